// Clipping, for optimisers: they bind the gradient as `gradient` and the result of the norm as `norm`. Twin: src/kernels/update.rs.

const WIDTH = 256u;
// Parameters of a workgroup: enough for its share of the norm to be little beside them.
const PER_WORKGROUP = 2048u;

const READERS = 16u;

var<workgroup> measured: array<vec2<f32>, READERS>;

// The clip coefficient, or -1 when the update is held. A norm that comes in parts is put together by every workgroup for itself, and
// one of them writes it down. All invocations of a workgroup come here together.
fn coefficient(index: u32, group: u32) -> f32 {
    let at = uniforms.norm.x;
    let n_parts = min(u32(norm[at + N_PARTS]), PARTS);
    if index < READERS {
        var own = vec2(0.0);
        for (var part = index; part < n_parts; part += READERS) {
            let place = at + N_PARTS + 1u + 2u * part;
            own = together(own, vec2(norm[place], norm[place + 1u]));
        }
        measured[index] = own;
    }
    workgroupBarrier();
    if n_parts == 0u {
        return norm[at + COEFFICIENT];
    }
    var all = measured[0];
    for (var reader = 1u; reader < READERS; reader++) {
        all = together(all, measured[reader]);
    }
    let length = all.x * sqrt(all.y);
    let coefficient = judged(length);
    if group == 0u && index == 0u {
        norm[at + LENGTH] = length;
        norm[at + COEFFICIENT] = coefficient;
        norm[at + LARGEST] = all.x;
    }
    return coefficient;
}

// Element `i` of the gradient after clipping by norm (through the coefficient) and by value.
fn clipped(i: u32, coefficient: f32) -> f32 {
    let scaled = gradient[uniforms.gradient.x + i] * coefficient;
    let max_value = hyper_at(MAX_VALUE);
    if scaled > max_value {
        return max_value;
    }
    return select(scaled, -max_value, scaled < -max_value);
}
