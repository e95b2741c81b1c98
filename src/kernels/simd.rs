//! Four lanes of f32 from one source: simd128 on wasm, SSE or NEON on the host, and the same bits on all of them.
//!
//! No operation here is fused, reordered or approximated by the hardware, and no lane looks at its neighbour, so a tail that is
//! padded to four lanes gives what the full vector would have given. Errors in units of the last place (ulp) are measured
//! by the tests below over the whole range.

use bytemuck::cast;
use wide::{f32x4, i32x4};

/// Lanes of a vector.
pub const LANES: usize = 4;

/// Four numbers from the start of a slice.
#[inline(always)]
pub fn load(from: &[f32]) -> f32x4 {
    let from: &[f32; LANES] = from[..LANES].try_into().expect("four lanes");
    f32x4::from(*from)
}

/// Up to four numbers; missing lanes are 0.
#[inline(always)]
pub fn load_some(from: &[f32]) -> f32x4 {
    let mut lanes = [0.0; LANES];
    for (to, &from) in lanes.iter_mut().zip(from) {
        *to = from;
    }
    f32x4::from(lanes)
}

/// Writes four numbers to the start of a slice.
#[inline(always)]
pub fn store(value: f32x4, to: &mut [f32]) {
    to[..LANES].copy_from_slice(&value.to_array());
}

/// Writes as many numbers as there is room for, at most four.
#[inline(always)]
pub fn store_some(value: f32x4, to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(value.to_array()) {
        *to = from;
    }
}

/// 1.5·2²³: adding it rounds to an integer in the low bits of the mantissa.
const ROUND: f32 = 12_582_912.0;

/// 1 + r + r²·p(r) = eʳ for |r| ≤ ln 2 / 2, and the number whose low bits hold n, where x = n·ln 2 + r: ln 2 in two parts (Cody and
/// Waite 1980), the single-precision coefficients of the Cephes library.
#[inline(always)]
fn reduce(x: f32x4) -> (f32x4, f32x4) {
    let shifted = x * f32x4::splat(std::f32::consts::LOG2_E) + f32x4::splat(ROUND);
    let n = shifted - f32x4::splat(ROUND);
    let r = x - n * f32x4::splat(0.693_359_4) - n * f32x4::splat(-2.121_944_4e-4);
    let mut p = f32x4::splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + f32x4::splat(c);
    }
    (p * r * r + r + f32x4::splat(1.0), shifted)
}

/// eˣ; at most 2 ulp on [−87, 88], 0 below −87.3 and +∞ above 88.7.
#[inline(always)]
pub fn exp(x: f32x4) -> f32x4 {
    let low = f32x4::splat(-87.336_54);
    let high = f32x4::splat(88.722_83);
    let inside = x.simd_lt(low).select(low, x);
    let inside = inside.simd_gt(high).select(high, inside);
    let (mantissa, shifted) = reduce(inside);
    // 2ⁿ in two factors: n reaches 128, which has no single exponent.
    let n: i32x4 = cast::<f32x4, i32x4>(shifted) - i32x4::splat(ROUND.to_bits() as i32);
    let half: i32x4 = n >> 1;
    let power = |n: i32x4| cast::<i32x4, f32x4>((n + i32x4::splat(127)) << 23);
    let value = mantissa * power(half) * power(n - half);
    let value = x.simd_gt(high).select(f32x4::splat(f32::INFINITY), value);
    x.simd_lt(low).select(f32x4::splat(0.0), value)
}

/// 1 / (1 + e⁻ˣ); at most 4 ulp while the result is above 2·10⁻³⁸, where it stops.
///
/// e^{−|x|} never overflows and has its 2ⁿ in one factor, added to the exponent's bits.
#[inline(always)]
pub fn sigmoid(x: f32x4) -> f32x4 {
    let one = f32x4::splat(1.0);
    let low = f32x4::splat(-87.0);
    let negative = -x.abs();
    let inside = negative.simd_lt(low).select(low, negative);
    let (mantissa, shifted) = reduce(inside);
    let e: f32x4 = cast(cast::<f32x4, i32x4>(mantissa) + (cast::<f32x4, i32x4>(shifted) << 23));
    let share = one / (one + e);
    x.simd_lt(f32x4::splat(0.0)).select(e * share, share)
}

/// tanh x; at most 8 ulp.
///
/// x·P(x²)/Q(x²) with P of degree 6 and Q of degree 3, the single-precision minimax coefficients that Eigen and XNNPACK use,
/// and the value at 7.905 beyond that: there 1 − tanh |x| is smaller than the quotient can resolve.
#[inline(always)]
pub fn tanh(x: f32x4) -> f32x4 {
    let bound = f32x4::splat(7.905_311);
    let inside = x.simd_gt(bound).select(bound, x);
    let inside = inside.simd_lt(-bound).select(-bound, inside);
    let x2 = inside * inside;
    let mut p = f32x4::splat(-2.760_768_5e-16);
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_525e-3] {
        p = p * x2 + f32x4::splat(c);
    }
    let mut q = f32x4::splat(1.198_258_4e-6);
    for c in [1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = q * x2 + f32x4::splat(c);
    }
    inside * (p / q)
}

/// 0 where |x| is below the smallest normal number.
#[inline(always)]
pub fn flush(x: f32x4) -> f32x4 {
    x.abs().simd_lt(f32x4::splat(f32::MIN_POSITIVE)).select(f32x4::splat(0.0), x)
}

/// A matrix as four words: element (i, j) is `data[i·rows + j·columns]`.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance between rows.
    pub rows: usize,
    /// Distance between columns.
    pub columns: usize,
}

/// Takes the first `len` elements off a scratch memory.
pub fn take<'a>(scratch: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (head, rest) = std::mem::take(scratch).split_at_mut(len);
    *scratch = rest;
    head
}

/// Columns of a packed panel.
pub const PANEL: usize = 8;

/// Length of `k` × `n` packed in panels of eight columns.
pub fn packed_len(k: usize, n: usize) -> usize {
    k * n.div_ceil(PANEL) * PANEL
}

/// Packs rows `k0..k0+k` and columns `0..n` of `b` in panels of eight columns: panel after panel, row after row; missing
/// columns are 0.
pub fn pack(b: Strided, k0: usize, k: usize, n: usize, to: &mut [f32]) {
    for (panel, to) in to[..packed_len(k, n)].chunks_exact_mut(k.max(1) * PANEL).enumerate() {
        let first = panel * PANEL;
        let width = PANEL.min(n - first);
        if b.columns == 1 {
            for (row, to) in to.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                let from = &b.data[(k0 + row) * b.rows + first..];
                // A copy of a length that the compiler knows: two vectors instead of a call.
                if let Some(from) = from.first_chunk::<PANEL>().filter(|_| width == PANEL) {
                    *to = *from;
                } else {
                    to[..width].copy_from_slice(&from[..width]);
                    to[width..].fill(0.0);
                }
            }
        } else {
            to.fill(0.0);
            for column in 0..width {
                let from = &b.data[k0 * b.rows + (first + column) * b.columns..];
                for (to, &from) in to.iter_mut().skip(column).step_by(PANEL).zip(from.iter().step_by(b.rows)) {
                    *to = from;
                }
            }
        }
    }
}

/// Rows of a block of a packed left factor.
pub const ROWS: usize = 4;

/// Length of `m` × `k` packed in blocks of four rows.
pub fn packed_left_len(m: usize, k: usize) -> usize {
    m.next_multiple_of(ROWS) * k
}

/// Packs columns `k0..k0+k` of the first `m` rows of `a`, which are `stride` apart and contiguous: block of four rows after block,
/// term after term. Missing rows are 0.
pub fn pack_left(a: &[f32], stride: usize, k0: usize, k: usize, m: usize, to: &mut [f32]) {
    for (block, to) in to[..packed_left_len(m, k)].chunks_exact_mut((ROWS * k).max(1)).enumerate() {
        let first = block * ROWS;
        let count = ROWS.min(m - first);
        let row = |r: usize| if r < count { &a[(first + r) * stride + k0..][..k] } else { &[] };
        let rows = [row(0), row(1), row(2), row(3)];
        let body = k / LANES * LANES;
        for at in (0..body).step_by(LANES) {
            let four = rows.map(|row| if row.is_empty() { f32x4::splat(0.0) } else { load(&row[at..]) });
            for (j, four) in f32x4::transpose(four).into_iter().enumerate() {
                store(four, &mut to[(at + j) * ROWS..]);
            }
        }
        for at in body..k {
            for (r, row) in rows.iter().enumerate() {
                to[at * ROWS + r] = row.get(at).copied().unwrap_or(0.0);
            }
        }
    }
}

/// As [`pack_left`] for the transpose of rows `k0..k0+k` and columns `0..m` of `a`.
pub fn pack_left_transposed(a: &[f32], stride: usize, k0: usize, k: usize, m: usize, to: &mut [f32]) {
    // Sixteen columns at a time: every cache line of the source is read once, and four blocks are written side by side.
    const GROUP: usize = 4 * ROWS;
    for (group, to) in to[..packed_left_len(m, k)].chunks_mut((GROUP * k).max(1)).enumerate() {
        let first = group * GROUP;
        let row = |term: usize| &a[(k0 + term) * stride + first..];
        if m - first >= GROUP {
            let (low, high) = to.split_at_mut(2 * ROWS * k);
            let ((b0, b1), (b2, b3)) = (low.split_at_mut(ROWS * k), high.split_at_mut(ROWS * k));
            let [b0, b1, b2, b3] = [b0, b1, b2, b3].map(|block| block.as_chunks_mut::<ROWS>().0.iter_mut());
            for (term, (((b0, b1), b2), b3)) in b0.zip(b1).zip(b2).zip(b3).enumerate() {
                let from = row(term)[..GROUP].as_chunks::<ROWS>().0;
                (*b0, *b1, *b2, *b3) = (from[0], from[1], from[2], from[3]);
            }
        } else {
            for (block, to) in to.chunks_exact_mut(ROWS * k).enumerate() {
                let count = ROWS.min(m - first - block * ROWS);
                for (term, to) in to.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
                    store(load_some(&row(term)[block * ROWS..][..count]), to);
                }
            }
        }
    }
}

/// c += a · panel for `R` rows and eight columns; `a` is a block of four packed rows, `c` starts at the panel's first column.
///
/// The products of one element are added in the order of k, whatever the tile, so that tails agree with the body. One term a round:
/// with more, compilers gather the terms of each sum, and V8 runs out of registers.
#[inline(always)]
fn tile<const R: usize>(a: &[[f32; ROWS]], panel: &[[f32; PANEL]], c: &mut [f32], stride: usize, width: usize) {
    let mut sums = [[f32x4::splat(0.0); 2]; R];
    for (a, b) in a.iter().zip(panel) {
        let (b0, b1) = (load(b), load(&b[LANES..]));
        for r in 0..R {
            let a = f32x4::splat(a[r]);
            sums[r][0] += a * b0;
            sums[r][1] += a * b1;
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        let c = &mut c[r * stride..][..width];
        if width == PANEL {
            store(load(c) + sum[0], c);
            store(load(&c[LANES..]) + sum[1], &mut c[LANES..]);
        } else {
            let sum: [f32; PANEL] = cast(*sum);
            for (c, sum) in c.iter_mut().zip(sum) {
                *c += sum;
            }
        }
    }
}

/// C += A · B for `m` rows: `a` holds `m` × `k` in packed blocks of rows, `b` holds `k` × `n` in packed panels of columns.
pub fn multiply_packed(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: &mut [f32], stride: usize) {
    if k == 0 {
        return;
    }
    let blocks = a[..packed_left_len(m, k)].as_chunks::<ROWS>().0;
    for (index, panel) in b[..packed_len(k, n)].as_chunks::<PANEL>().0.chunks_exact(k).enumerate() {
        let first = index * PANEL;
        let width = PANEL.min(n - first);
        for (block, a) in blocks.chunks_exact(k).enumerate() {
            let row = block * ROWS;
            let c = &mut c[row * stride + first..];
            match m - row {
                1 => tile::<1>(a, panel, c, stride, width),
                2 => tile::<2>(a, panel, c, stride, width),
                3 => tile::<3>(a, panel, c, stride, width),
                _ => tile::<ROWS>(a, panel, c, stride, width),
            }
        }
    }
}

/// Calls `f` for every four lanes of rows of one length: it gets those of `reads` and `updates`, and gives those of `updates` and
/// `writes`. A tail is padded with 0, so that it is computed as the body is.
#[inline(always)]
pub fn each<const R: usize, const U: usize, const W: usize>(
    reads: [&[f32]; R],
    mut updates: [&mut [f32]; U],
    mut writes: [&mut [f32]; W],
    mut f: impl FnMut([f32x4; R], [f32x4; U]) -> ([f32x4; U], [f32x4; W]),
) {
    let len = reads.first().map_or_else(|| updates.first().map_or(0, |row| row.len()), |row| row.len());
    assert!(reads.iter().all(|row| row.len() == len), "rows of one length");
    assert!(updates.iter().chain(&writes).all(|row| row.len() == len), "rows of one length");
    let body = len / LANES * LANES;
    for at in (0..body).step_by(LANES) {
        // SAFETY: at + 4 ≤ len, the length of every row.
        unsafe {
            let (new, out) = f(
                std::array::from_fn(|r| load(reads.get_unchecked(r).get_unchecked(at..at + LANES))),
                std::array::from_fn(|u| load(updates.get_unchecked(u).get_unchecked(at..at + LANES))),
            );
            for u in 0..U {
                store(new[u], updates.get_unchecked_mut(u).get_unchecked_mut(at..at + LANES));
            }
            for w in 0..W {
                store(out[w], writes.get_unchecked_mut(w).get_unchecked_mut(at..at + LANES));
            }
        }
    }
    if body < len {
        let (new, out) = f(
            std::array::from_fn(|r| load_some(&reads[r][body..])),
            std::array::from_fn(|u| load_some(&updates[u][body..])),
        );
        for u in 0..U {
            store_some(new[u], &mut updates[u][body..]);
        }
        for w in 0..W {
            store_some(out[w], &mut writes[w][body..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units of the last place of the true value.
    fn ulps(got: f32, truth: f64) -> f64 {
        if f64::from(got) == truth {
            return 0.0;
        }
        let near = (truth as f32).abs().max(f32::MIN_POSITIVE);
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        (f64::from(got) - truth).abs() / unit
    }

    /// Every 1009th float of both signs, and what the function gives where it should be finite and normal.
    fn worst(simd: fn(f32x4) -> f32x4, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let mut worst = 0.0_f64;
        for bits in (0..0x7f80_0000_u32).step_by(1009) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let truth = truth(f64::from(x));
                if (from..=to).contains(&x) && (truth == 0.0 || truth.abs() >= f64::from(f32::MIN_POSITIVE)) {
                    worst = worst.max(ulps(simd(f32x4::splat(x)).to_array()[0], truth));
                }
            }
        }
        worst
    }

    #[test]
    fn exp_stays_within_its_stated_error() {
        let error = worst(exp, libm::exp, -87.0, 88.0);
        assert!(error <= 2.0, "{error} ulp");
        let [a, b, c, d] = exp(f32x4::from([-100.0, 100.0, f32::NEG_INFINITY, f32::NAN])).to_array();
        assert_eq!((a, b, c), (0.0, f32::INFINITY, 0.0));
        assert!(d.is_nan());
    }

    #[test]
    fn sigmoid_stays_within_its_stated_error() {
        let error = worst(sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), -87.0, 100.0);
        assert!(error <= 4.0, "{error} ulp");
        let [a, b, c, d] = sigmoid(f32x4::from([-200.0, 200.0, 0.0, -0.0])).to_array();
        assert!(a < 2e-38 && (b, c, d) == (1.0, 0.5, 0.5));
        assert!(sigmoid(f32x4::splat(f32::NAN)).to_array()[0].is_nan());
    }

    #[test]
    fn tanh_stays_within_its_stated_error() {
        let error = worst(tanh, libm::tanh, f32::MIN, f32::MAX);
        assert!(error <= 8.0, "{error} ulp");
        assert!(tanh(f32x4::splat(f32::NAN)).to_array()[0].is_nan());
        assert!(tanh(f32x4::from([100.0, -100.0, 8.0, f32::INFINITY])).to_array().iter().all(|y| y.abs() <= 1.0));
    }

    #[test]
    fn packed_products_equal_plain_sums_for_all_tails() {
        for (m, n, k) in [(1, 1, 1), (3, 7, 5), (4, 8, 3), (5, 9, 17), (7, 17, 2), (35, 19, 6), (2, 3, 0)] {
            let a: Vec<f32> = (0..m * k).map(|i| libm::sinf(i as f32 * 0.7)).collect();
            let b: Vec<f32> = (0..k * n).map(|i| libm::cosf(i as f32 * 0.3)).collect();
            for transposed in [false, true] {
                let b_view = if transposed {
                    Strided { data: &b, rows: 1, columns: k }
                } else {
                    Strided { data: &b, rows: n, columns: 1 }
                };
                let mut packed = vec![f32::NAN; packed_len(k, n)];
                pack(b_view, 0, k, n, &mut packed);
                let mut c = vec![1.0; m * n];
                let mut left = vec![f32::NAN; packed_left_len(m, k)];
                pack_left(&a, k, 0, k, m, &mut left);
                multiply_packed(m, n, k, &left, &packed, &mut c, n);
                let across: Vec<f32> = (0..k * m).map(|at| a[at % m * k + at / m]).collect();
                let mut twin = vec![f32::NAN; packed_left_len(m, k)];
                pack_left_transposed(&across, m, 0, k, m, &mut twin);
                assert_eq!(left, twin, "{m} {n} {k} {transposed}");
                for i in 0..m {
                    for j in 0..n {
                        let mut sum = 0.0;
                        for l in 0..k {
                            sum += a[i * k + l] * if transposed { b[j * k + l] } else { b[l * n + j] };
                        }
                        assert_eq!(c[i * n + j], 1.0 + sum, "{m} {n} {k} {transposed}");
                    }
                }
            }
        }
    }
}
