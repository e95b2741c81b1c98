// What the diagonal recurrences share: h = k * h_before + (1 - k) * v, and its adjoint, unit by unit.
//
// Twin: src/kernels/scan.rs. A parallel scan: the loop is linear in h, so each part of the time, one invocation for each unit, says what it
// makes of any value that enters it; with that, each part knows its own entering value and runs again. A unit's last invocation holds what
// leaves. The stem says how gates come from pre-activations, and what their adjoints are: opened and adjoint, on G blocks.
// Blelloch 1990, "Prefix sums and their applications" (CMU-CS-90-190); Martin and Cundy 2018 (arXiv:1709.04057).

// Units of a workgroup, and parts into which it cuts the time.
const UNITS = 32u;
const PARTS = 8u;

struct Forward {
    // offset and stride of each operand, in elements
    gates: vec2<u32>,
    state0: vec2<u32>,
    y: vec2<u32>,
    n_steps: u32,
    batch: u32,
    hidden: u32,
    reverse: u32,
    window: u32,
    nonlinearity: u32,
    silent: u32,
    fresh: u32,
    first: u32,
    end: u32,
}

struct Backward {
    // offset and stride of each operand, in elements
    d_y: vec2<u32>,
    y: vec2<u32>,
    state0: vec2<u32>,
    d_state: vec2<u32>,
    gates: vec2<u32>,
    totals: vec2<u32>,
    n_steps: u32,
    batch: u32,
    hidden: u32,
    reverse: u32,
    window: u32,
    nonlinearity: u32,
    silent: u32,
    fresh: u32,
    first: u32,
    end: u32,
}

@group(0) @binding(0) var<uniform> forward_uniforms: Forward;
@group(0) @binding(1) var<storage, read_write> gates: array<f32>;
@group(0) @binding(2) var<storage, read_write> state0: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@group(0) @binding(0) var<uniform> backward_uniforms: Backward;
@group(0) @binding(1) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(2) var<storage, read_write> backward_y: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_state0: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_state: array<f32>;
@group(0) @binding(5) var<storage, read_write> backward_gates: array<f32>;
@group(0) @binding(6) var<storage, read_write> totals: array<f32>;

// What its part of the time makes of a value that enters it: kept * value + added.
var<workgroup> kept: array<array<f32, UNITS>, PARTS>;
var<workgroup> added: array<array<f32, UNITS>, PARTS>;
// What enters the first part.
var<workgroup> entering: array<f32, UNITS>;

// The steps of part `part` among those from `first` to before `end`.
fn part_of(part: u32, first: u32, end: u32) -> vec2<u32> {
    let length = (end - first + PARTS - 1u) / PARTS;
    return vec2<u32>(min(first + part * length, end), min(first + (part + 1u) * length, end));
}

// What enters part `part`, by those before it in the order of computation.
fn entering_part(part: u32, unit: u32) -> f32 {
    var value = entering[unit];
    for (var before = 0u; before < part; before++) {
        value = kept[before][unit] * value + added[before][unit];
    }
    return value;
}

@compute @workgroup_size(UNITS, PARTS)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) place: vec3<u32>) {
    let uniforms = forward_uniforms;
    let hidden = uniforms.hidden;
    let j = id.x;
    let b = id.z;
    let own = part_of(place.y, uniforms.first, uniforms.end);
    var share = 1.0;
    var h = 0.0;
    if j < hidden {
        for (var step = own.x; step < own.y; step++) {
            let at = uniforms.gates.x + (time(step, uniforms.n_steps, uniforms.reverse) * uniforms.batch + b) * uniforms.gates.y + j;
            var unit = Unit();
            for (var block = 0u; block < G; block++) {
                unit[block] = gates[at + block * hidden];
            }
            unit = opened(unit);
            for (var block = 0u; block < G; block++) {
                gates[at + block * hidden] = unit[block];
            }
            share *= unit[0];
            h = unit[0] * h + (1.0 - unit[0]) * unit[G - 1u];
        }
        kept[place.y][place.x] = share;
        added[place.y][place.x] = h;
        if place.y == 0u {
            entering[place.x] = before_step(uniforms.first, b, j);
        }
    }
    workgroupBarrier();
    if j >= hidden {
        return;
    }
    h = entering_part(place.y, place.x);
    for (var step = own.x; step < own.y; step++) {
        let row = time(step, uniforms.n_steps, uniforms.reverse) * uniforms.batch + b;
        let at = uniforms.gates.x + row * uniforms.gates.y + j;
        let k = gates[at];
        h = k * h + (1.0 - k) * gates[at + (G - 1u) * hidden];
        y[uniforms.y.x + row * uniforms.y.y + j] = h;
    }
}

// The state that enters step `step` of the forward loop.
fn before_step(step: u32, b: u32, j: u32) -> f32 {
    let uniforms = forward_uniforms;
    if step > 0u {
        let t_before = time(step - 1u, uniforms.n_steps, uniforms.reverse);
        return y[uniforms.y.x + (t_before * uniforms.batch + b) * uniforms.y.y + j];
    }
    if uniforms.state0.x != ABSENT {
        return state0[uniforms.state0.x + b * uniforms.state0.y + j];
    }
    return 0.0;
}

// The adjoint of the state before `step` from the total one after it.
fn handed_back(step: u32, delta: f32, k: f32) -> f32 {
    return select(flush(delta * k), 0.0, is_cut(step, backward_uniforms.n_steps, backward_uniforms.window));
}

@compute @workgroup_size(UNITS, PARTS)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_id) place: vec3<u32>) {
    let uniforms = backward_uniforms;
    let hidden = uniforms.hidden;
    let j = id.x;
    let b = id.z;
    // Parts count from the end of time.
    let own = part_of(PARTS - 1u - place.y, uniforms.first, uniforms.end);
    let state = uniforms.d_state.x + b * uniforms.d_state.y + j;
    var share = 1.0;
    var later = 0.0;
    if j < hidden {
        for (var left = own.y; left > own.x; left--) {
            let step = left - 1u;
            let row = time(step, uniforms.n_steps, uniforms.reverse) * uniforms.batch + b;
            let k = backward_gates[uniforms.gates.x + row * uniforms.gates.y + j];
            share = handed_back(step, share, k);
            later = handed_back(step, from_output(row, j) + later, k);
        }
        kept[place.y][place.x] = share;
        added[place.y][place.x] = later;
        if place.y == PARTS - 1u {
            entering[place.x] = from_later(uniforms.end, state);
        }
    }
    workgroupBarrier();
    if j >= hidden {
        return;
    }
    later = entering_part(place.y, place.x);
    for (var left = own.y; left > own.x; left--) {
        let step = left - 1u;
        let row = time(step, uniforms.n_steps, uniforms.reverse) * uniforms.batch + b;
        var h_prev = 0.0;
        if step > 0u {
            let t_before = time(step - 1u, uniforms.n_steps, uniforms.reverse);
            h_prev = backward_y[uniforms.y.x + (t_before * uniforms.batch + b) * uniforms.y.y + j];
        } else if uniforms.state0.x != ABSENT {
            h_prev = backward_state0[uniforms.state0.x + b * uniforms.state0.y + j];
        }
        let at = uniforms.gates.x + row * uniforms.gates.y + j;
        var unit = Unit();
        for (var block = 0u; block < G; block++) {
            unit[block] = backward_gates[at + block * hidden];
        }
        let delta = flush(from_output(row, j) + later);
        if uniforms.totals.x != ABSENT {
            totals[uniforms.totals.x + row * uniforms.totals.y + j] = delta;
        }
        let k = unit[0];
        unit = adjoint(unit, delta * (h_prev - unit[G - 1u]), delta * (1.0 - k));
        for (var block = 0u; block < G; block++) {
            backward_gates[at + block * hidden] = flush(unit[block]);
        }
        later = handed_back(step, delta, k);
    }
    if place.y == PARTS - 1u {
        d_state[state] = later;
    }
}

// g: x + 1/2 from 0 on, sigmoid below.
fn positive(x: f32) -> f32 {
    return select(x + 0.5, sigmoid(x), x < 0.0);
}

// The slope of g from its value.
fn positive_slope(g: f32) -> f32 {
    return select(1.0, g * (1.0 - g), g < 0.5);
}
