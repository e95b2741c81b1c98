// The gates of a minGRU layer and their adjoints.
//
// Twin: src/kernels/mingru.rs. The time loop is that of helpers/scan.wgsl. Blocks are the kept share k = 1 - z and the candidate v.

const G = 2u;
alias Unit = vec2<f32>;

fn opened(a: Unit) -> Unit {
    return Unit(sigmoid(-a.x), select(a.y, positive(a.y), forward_uniforms.nonlinearity == 0u));
}

fn adjoint(unit: Unit, d_k: f32, d_v: f32) -> Unit {
    let slope = select(1.0, positive_slope(unit.y), backward_uniforms.nonlinearity == 0u);
    return Unit(-(d_k * unit.x * (1.0 - unit.x)), d_v * slope);
}
