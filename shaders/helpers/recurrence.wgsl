// What the recurrences with recurrent weights share: who owns which rows, and the recurrent sum.
// Twin: src/kernels/recurrence.rs. It reads what every recurrence binds under the same names: forward_uniforms, y, weight_hh and state0;
// backward_uniforms, backward_weight_hh, d_y and d_state.

const WIDTH = 128u;

// Rows of the batch that a workgroup owns: an invocation adds for all of them, four to a vector.
const ROWS = 8u;
const QUADS = 2u;
alias Rows = mat2x4<f32>;

// Terms of a sum that are in workgroup memory at a time.
const BLOCK = 128u;

// All rows of what is multiplied, for each term; then, what each invocation has summed.
var<workgroup> tile: array<vec4<f32>, BLOCK * QUADS>;

// An invocation adds products for an item, a few units of all rows. Where there are fewer items than invocations, each of some slices
// adds a part of the terms.
struct Share {
    item: u32,
    slice: u32,
    slices: u32,
    // Invocations from one slice to the next.
    stride: u32,
    // False for an invocation that has no item.
    works: bool,
}

fn share(index: u32, base: u32, items: u32) -> Share {
    let slices = max(1u, WIDTH / items);
    let stride = min(items, WIDTH);
    let item = base + index % stride;
    let slice = index / stride;
    return Share(item, slice, slices, stride, slice < slices && item < items);
}

// The terms of a block that a slice adds, of `count` in all: from the first to before the second.
fn terms(own: Share, count: u32) -> vec2<u32> {
    let each = (min(count, BLOCK) + own.slices - 1u) / own.slices;
    let first = own.slice * each;
    let last = min(first + each, min(count, BLOCK));
    return select(vec2(0u), vec2(first, last), own.works);
}

// The sum of what the slices of an item have, for the invocation of slice 0. All invocations of the workgroup come here together.
fn merged(index: u32, own: Share, sum: Rows) -> Rows {
    workgroupBarrier();
    tile[index * QUADS] = sum[0];
    tile[index * QUADS + 1u] = sum[1];
    workgroupBarrier();
    var total = sum;
    if own.slice == 0u {
        for (var slice = 1u; slice < own.slices; slice++) {
            total += rows_at(index + slice * own.stride);
        }
    }
    return total;
}

// All rows at a place of the tile.
fn rows_at(place: u32) -> Rows {
    return Rows(tile[place * QUADS], tile[place * QUADS + 1u]);
}

// The rows of the batch that this workgroup owns: the first one, and their number.
fn owned(group: u32, batch: u32) -> vec2<u32> {
    let first = group * ROWS;
    return vec2(first, min(ROWS, batch - first));
}

// True when there is a state before a step.
fn has_state(step: u32) -> bool {
    return step > 0u || forward_uniforms.state0.x != ABSENT;
}

// h before a step: of row `b` of the batch, at t_before or from the state operand.
fn h_before(step: u32, t_before: u32, b: u32, k: u32) -> f32 {
    let uniforms = forward_uniforms;
    if b >= uniforms.batch || k >= uniforms.hidden {
        return 0.0;
    }
    if step > 0u {
        return y[uniforms.y.x + (t_before * uniforms.batch + b) * uniforms.y.y + k];
    }
    return state0[uniforms.state0.x + b * uniforms.state0.y + k];
}

// Brings h before a step into the tile, from term `first` on. All invocations of the workgroup come here together.
fn stage_h(index: u32, step: u32, t_before: u32, first_row: u32, first: u32) {
    workgroupBarrier();
    for (var at = index; at < BLOCK * QUADS; at += WIDTH) {
        let b = first_row + at % QUADS * 4u;
        let k = first + at / QUADS;
        tile[at] = vec4(
            h_before(step, t_before, b, k),
            h_before(step, t_before, b + 1u, k),
            h_before(step, t_before, b + 2u, k),
            h_before(step, t_before, b + 3u, k),
        );
    }
    workgroupBarrier();
}

// Brings d of a step into the tile, from term `first` on, by the stem's d_at. All invocations of the workgroup come here together.
fn stage_d(index: u32, t: u32, first_row: u32, first: u32) {
    workgroupBarrier();
    for (var at = index; at < BLOCK * QUADS; at += WIDTH) {
        let b = first_row + at % QUADS * 4u;
        let n = first + at / QUADS;
        tile[at] = vec4(d_at(t, b, n), d_at(t, b + 1u, n), d_at(t, b + 2u, n), d_at(t, b + 3u, n));
    }
    workgroupBarrier();
}

// ∂L/∂h of the step before: W_hhᵀ d, `count` terms of d at timestep t, in d_state. `adds` keeps what the stem has put there. All
// invocations of the workgroup come here together.
fn propagate(index: u32, first_row: u32, t: u32, count: u32, cut: bool, adds: bool) {
    let uniforms = backward_uniforms;
    let hidden = uniforms.hidden;
    // Four units, `quarter` apart.
    let quarter = (hidden + 3u) / 4u;
    for (var base = 0u; base < quarter; base += WIDTH) {
        let own = share(index, base, quarter);
        let k = own.item;
        let units = min(vec4(k, k + quarter, k + 2u * quarter, k + 3u * quarter), vec4(hidden - 1u));
        var s0 = Rows();
        var s1 = Rows();
        var s2 = Rows();
        var s3 = Rows();
        for (var first = 0u; first < count; first += BLOCK) {
            stage_d(index, t, first_row, first);
            let part = terms(own, count - first);
            var w = uniforms.weight_hh.x + (first + part.x) * uniforms.weight_hh.y;
            for (var n = part.x; n < part.y; n++) {
                let d = rows_at(n);
                s0 += backward_weight_hh[w + units.x] * d;
                s1 += backward_weight_hh[w + units.y] * d;
                s2 += backward_weight_hh[w + units.z] * d;
                s3 += backward_weight_hh[w + units.w] * d;
                w += uniforms.weight_hh.y;
            }
        }
        s0 = merged(index, own, s0);
        s1 = merged(index, own, s1);
        s2 = merged(index, own, s2);
        s3 = merged(index, own, s3);
        for (var r = 0u; r < ROWS; r++) {
            let b = first_row + r;
            if own.works && own.slice == 0u && b < uniforms.batch {
                keep(b, k, s0[r / 4u][r % 4u], cut, adds);
                keep(b, k + quarter, s1[r / 4u][r % 4u], cut, adds);
                keep(b, k + 2u * quarter, s2[r / 4u][r % 4u], cut, adds);
                keep(b, k + 3u * quarter, s3[r / 4u][r % 4u], cut, adds);
            }
        }
    }
}

// ∂L/∂h of the step before, for a unit that there is.
fn keep(b: u32, k: u32, sum: f32, cut: bool, adds: bool) {
    let uniforms = backward_uniforms;
    if k < uniforms.hidden {
        let state = uniforms.d_state.x + b * uniforms.d_state.y + k;
        d_state[state] = select(flush(sum + select(0.0, d_state[state], adds)), 0.0, cut);
    }
}
