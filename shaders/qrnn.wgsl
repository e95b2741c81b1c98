// The gates of a QRNN layer and their adjoints.
//
// Twin: src/kernels/qrnn.rs. The time loop is that of helpers/scan.wgsl. Blocks are the forget gate f, which keeps, and the candidate v.

const G = 2u;
alias Unit = vec2<f32>;

fn opened(a: Unit) -> Unit {
    return Unit(sigmoid(a.x), hyperbolic_tangent(a.y));
}

fn adjoint(unit: Unit, d_k: f32, d_v: f32) -> Unit {
    return Unit(d_k * unit.x * (1.0 - unit.x), d_v * (1.0 - unit.y * unit.y));
}
