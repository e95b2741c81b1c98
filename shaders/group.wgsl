// The weight gradients of a step, one job each: C = Σ over pairs of Aᵀ B, where B may also be ones or one-hot symbols. A job can write
// Σ Aᵀ 1 along.
//
// Twin: Group::reference in src/engine/group.rs, which makes the table. Workgroups take tiles of C in turns and measure what they write:
// the largest element and the squares relative to it are a part of the norm of the gradient.

struct Uniforms {
    n_jobs: u32,
    n_tiles: u32,
    // workgroups
    n_parts: u32,
    // offset of the norm in the persistent segment
    norm: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read_write> persistent: array<f32>;
@group(0) @binding(2) var<storage, read_write> arena: array<f32>;
@group(0) @binding(3) var<storage, read_write> symbols: array<u32>;
@group(0) @binding(4) var<storage, read> table: array<u32>;

const WIDTH = 64u;
const TILE = 64u;
const SIDE = 8u;
const FOURS = 16u;
const DEPTH = 16u;
const THIN_ROWS = 16u;
const FEW = 4u;
const SLICES = 4u;

// Words of a job and of a pair.
const JOB = 10u;
const PAIR = 5u;
const N_PARTS = 3u;
const ONES = 0xffffffffu;
const NONE = 0xffffffffu;

struct Job {
    first_tile: u32,
    m: u32,
    n: u32,
    c: u32,
    rows: u32,
    columns: u32,
    first_pair: u32,
    end_pair: u32,
    // Where Σ Aᵀ 1 goes, or NONE.
    sums: vec2<u32>,
}

struct Pair {
    a: u32,
    a_stride: u32,
    b: u32,
    b_stride: u32,
    k: u32,
}

fn job(which: u32) -> Job {
    let at = which * JOB;
    return Job(
        table[at],
        table[at + 1u],
        table[at + 2u],
        table[at + 3u],
        table[at + 4u],
        table[at + 5u],
        table[at + 6u],
        table[at + 7u],
        vec2(table[at + 8u], table[at + 9u]),
    );
}

fn pair(which: u32) -> Pair {
    let at = uniforms.n_jobs * JOB + which * PAIR;
    return Pair(table[at], table[at + 1u], table[at + 2u], table[at + 3u], table[at + 4u]);
}

// The largest element that an invocation has written, and its squares relative to that.
var<private> largest: f32;
var<private> squares: f32;

fn write(own: Job, i: u32, j: u32, value: f32) {
    if i < own.m && j < own.n {
        put(own.c + i * own.rows + j * own.columns, value);
    }
}

fn put(at: u32, value: f32) {
    persistent[at] = value;
    let size = abs(value);
    if size > largest {
        let share = largest / size;
        squares = squares * share * share + 1.0;
        largest = size;
    } else if size != 0.0 {
        // What is not a number comes here too, and stays visible in the sum.
        let share = size / largest;
        squares += share * share;
    }
}

fn write_row(own: Job, i: u32, j: u32, sums: vec4<f32>) {
    for (var column = 0u; column < 4u; column++) {
        write(own, i, j + column, sums[column]);
    }
}

fn write_sum(own: Job, i: u32, sum: f32) {
    if own.sums.x != NONE && i < own.m {
        put(own.sums.x + i, sum);
    }
    if own.sums.y != NONE && i < own.m {
        put(own.sums.y + i, sum);
    }
}

// Element `i` of row `l` of A.
fn a_at(factors: Pair, own: Job, l: u32, i: u32) -> f32 {
    if i >= own.m {
        return 0.0;
    }
    return arena[factors.a + l * factors.a_stride + i];
}

// Four elements, from `j` on, of a row that is `n` wide and starts at `first`; 0 beyond it. No branch: it is every invocation's way.
fn four(first: u32, n: u32, j: u32) -> vec4<f32> {
    let places = vec4(j, j + 1u, j + 2u, j + 3u);
    let at = first + min(places, vec4(n - 1u));
    let values = vec4(arena[at.x], arena[at.y], arena[at.z], arena[at.w]);
    return select(vec4(0.0), values, places < vec4(n));
}

// Four elements of row `l` of B.
fn four_of_b(factors: Pair, n: u32, l: u32, j: u32) -> vec4<f32> {
    let is_counted = factors.b == ONES;
    if is_counted && factors.b_stride == 0u {
        return vec4(1.0);
    }
    if is_counted || factors.b_stride == 0u {
        // One-hot: the timestep of the row, or its symbol.
        var place = l / max(factors.b_stride, 1u);
        if !is_counted {
            place = symbols[factors.b + l];
        }
        return select(vec4(0.0), vec4(1.0), vec4(j, j + 1u, j + 2u, j + 3u) == vec4(place));
    }
    return four(factors.b + l * factors.b_stride, n, j);
}

// Four rows of Aᵀ, or four columns of B, for each term.
var<workgroup> a_tile: array<vec4<f32>, DEPTH * FOURS>;
var<workgroup> b_tile: array<vec4<f32>, DEPTH * FOURS>;

// A square of C: one invocation computes eight rows of eight columns.
fn square(own: Job, tile: u32, index: u32) {
    let across = (own.n + TILE - 1u) / TILE;
    let row = index / SIDE;
    let column = index % SIDE;
    let first_row = tile / across * TILE;
    let first_column = tile % across * TILE;
    // Eight rows of the left four columns and of the right four.
    var l0 = vec4(0.0);
    var l1 = vec4(0.0);
    var l2 = vec4(0.0);
    var l3 = vec4(0.0);
    var l4 = vec4(0.0);
    var l5 = vec4(0.0);
    var l6 = vec4(0.0);
    var l7 = vec4(0.0);
    var r0 = vec4(0.0);
    var r1 = vec4(0.0);
    var r2 = vec4(0.0);
    var r3 = vec4(0.0);
    var r4 = vec4(0.0);
    var r5 = vec4(0.0);
    var r6 = vec4(0.0);
    var r7 = vec4(0.0);
    var upper_sum = vec4(0.0);
    var lower_sum = vec4(0.0);
    for (var which = own.first_pair; which < own.end_pair; which++) {
        let factors = pair(which);
        for (var first = 0u; first < factors.k; first += DEPTH) {
            let depth = min(DEPTH, factors.k - first);
            workgroupBarrier();
            for (var at = index; at < depth * FOURS; at += WIDTH) {
                let l = first + at / FOURS;
                let i = first_row + at % FOURS * 4u;
                let j = first_column + at % FOURS * 4u;
                a_tile[at] = four(factors.a + l * factors.a_stride, own.m, i);
                b_tile[at] = four_of_b(factors, own.n, l, j);
            }
            workgroupBarrier();
            for (var l = 0u; l < depth; l++) {
                let upper = a_tile[l * FOURS + row];
                let lower = a_tile[l * FOURS + SIDE + row];
                let left = b_tile[l * FOURS + column];
                let right = b_tile[l * FOURS + SIDE + column];
                upper_sum += upper;
                lower_sum += lower;
                l0 += upper.x * left;
                l1 += upper.y * left;
                l2 += upper.z * left;
                l3 += upper.w * left;
                l4 += lower.x * left;
                l5 += lower.y * left;
                l6 += lower.z * left;
                l7 += lower.w * left;
                r0 += upper.x * right;
                r1 += upper.y * right;
                r2 += upper.z * right;
                r3 += upper.w * right;
                r4 += lower.x * right;
                r5 += lower.y * right;
                r6 += lower.z * right;
                r7 += lower.w * right;
            }
        }
    }
    let i = first_row + row * 4u;
    let j = first_column + column * 4u;
    write_row(own, i, j, l0);
    write_row(own, i, j + TILE / 2u, r0);
    write_row(own, i + 1u, j, l1);
    write_row(own, i + 1u, j + TILE / 2u, r1);
    write_row(own, i + 2u, j, l2);
    write_row(own, i + 2u, j + TILE / 2u, r2);
    write_row(own, i + 3u, j, l3);
    write_row(own, i + 3u, j + TILE / 2u, r3);
    write_row(own, i + TILE / 2u, j, l4);
    write_row(own, i + TILE / 2u, j + TILE / 2u, r4);
    write_row(own, i + TILE / 2u + 1u, j, l5);
    write_row(own, i + TILE / 2u + 1u, j + TILE / 2u, r5);
    write_row(own, i + TILE / 2u + 2u, j, l6);
    write_row(own, i + TILE / 2u + 2u, j + TILE / 2u, r6);
    write_row(own, i + TILE / 2u + 3u, j, l7);
    write_row(own, i + TILE / 2u + 3u, j + TILE / 2u, r7);
    if j == 0u {
        for (var next = 0u; next < 4u; next++) {
            write_sum(own, i + next, upper_sum[next]);
            write_sum(own, i + TILE / 2u + next, lower_sum[next]);
        }
    }
}

var<workgroup> slices: array<vec4<f32>, WIDTH>;
var<workgroup> a_slices: array<f32, WIDTH>;

// Rows of a C of at most four columns: one invocation adds every fourth term of a row.
fn thin(own: Job, tile: u32, index: u32) {
    let i = tile * THIN_ROWS + index % THIN_ROWS;
    var sums = vec4(0.0);
    var a_sum = 0.0;
    for (var which = own.first_pair; which < own.end_pair; which++) {
        let factors = pair(which);
        for (var l = index / THIN_ROWS; l < factors.k; l += SLICES) {
            let a = a_at(factors, own, l, i);
            sums += a * four_of_b(factors, own.n, l, 0u);
            a_sum += a;
        }
    }
    workgroupBarrier();
    slices[index] = sums;
    a_slices[index] = a_sum;
    workgroupBarrier();
    if index < THIN_ROWS {
        write_row(own, i, 0u, slices[index] + slices[index + 16u] + slices[index + 32u] + slices[index + 48u]);
        write_sum(own, i, a_slices[index] + a_slices[index + 16u] + a_slices[index + 32u] + a_slices[index + 48u]);
    }
}

var<workgroup> measured: array<vec2<f32>, WIDTH>;

@compute @workgroup_size(WIDTH)
fn gradients(@builtin(local_invocation_index) index: u32, @builtin(workgroup_id) group: vec3<u32>) {
    for (var tile = group.x; tile < uniforms.n_tiles; tile += uniforms.n_parts) {
        var which = 0u;
        while which + 1u < uniforms.n_jobs && table[(which + 1u) * JOB] <= tile {
            which++;
        }
        let own = job(which);
        let within = tile - own.first_tile;
        if own.n <= FEW {
            thin(own, within, index);
        } else {
            square(own, within, index);
        }
    }
    measured[index] = vec2(largest, squares);
    workgroupBarrier();
    if index == 0u {
        var all = measured[0];
        for (var other = 1u; other < WIDTH; other++) {
            all = together(all, measured[other]);
        }
        let at = uniforms.norm + N_PARTS;
        persistent[at + 1u + 2u * group.x] = all.x;
        persistent[at + 2u + 2u * group.x] = all.y;
        if group.x == 0u {
            persistent[at] = f32(uniforms.n_parts);
        }
    }
}
