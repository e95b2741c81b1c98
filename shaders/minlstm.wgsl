// The gates of a minLSTM layer and their adjoints.
//
// Twin: src/kernels/minlstm.rs. The time loop is that of helpers/scan.wgsl. Blocks are the kept share k = f / (f + i), the input gate i and
// the candidate v.

const G = 3u;
alias Unit = vec3<f32>;

fn opened(a: Unit) -> Unit {
    let f = sigmoid(a.x);
    let i = sigmoid(a.y);
    return Unit(f / (f + i), i, select(a.z, positive(a.z), forward_uniforms.nonlinearity == 0u));
}

fn adjoint(unit: Unit, d_k: f32, d_v: f32) -> Unit {
    let rest = 1.0 - unit.x;
    let d_u = d_k * unit.x * rest;
    let f = unit.y * unit.x / max(rest, 1e-30);
    let slope = select(1.0, positive_slope(unit.z), backward_uniforms.nonlinearity == 0u);
    return Unit(d_u * (1.0 - f), -(d_u * (1.0 - unit.y)), d_v * slope);
}
