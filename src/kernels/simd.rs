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
#[inline(never)]
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
#[inline(never)]
pub fn store_some(value: f32x4, to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(value.to_array()) {
        *to = from;
    }
}

/// The sum of the lanes, in one order everywhere.
#[inline(always)]
pub fn total(lanes: f32x4) -> f32 {
    let [a, b, c, d] = lanes.to_array();
    (a + b) + (c + d)
}

/// Operations of a round of [`saturate`].
pub const SATURATING: u32 = (2 * LINKS * CHAINS * LANES) as u32;

/// Products and sums that do not wait for each other, as many as registers hold beside two constants.
const CHAINS: usize = 7;

/// Links that each chain grows by in a round: a round's own jump and check cost a tenth of a round of one link.
const LINKS: usize = 8;

/// Multiplies and adds in registers alone: what no kernel can be faster than. The result only keeps the loop.
pub fn saturate(rounds: u32) -> f32 {
    // Numbers that stay as they are and differ from each other, which the compiler does not know: it would merge chains that are alike.
    let number = |value: f32| f32x4::splat(std::hint::black_box(value));
    let (one, zero) = (number(1.0), number(0.0));
    let mut products: [f32x4; CHAINS] = std::array::from_fn(|chain| number(1.0 + chain as f32));
    let mut sums: [f32x4; CHAINS] = std::array::from_fn(|chain| number(2.0 + chain as f32));
    for _ in 0..rounds {
        for _ in 0..LINKS {
            for (product, sum) in products.iter_mut().zip(&mut sums) {
                *product *= one;
                *sum += zero;
            }
        }
    }
    products.into_iter().chain(sums).map(|chain| chain.reduce_add()).sum()
}

/// 1.5·2²³: adding it rounds to an integer in the low bits of the mantissa.
const ROUND: f32 = 12_582_912.0;

/// The exponential curves. Their coefficients stay in memory, four lanes each: V8 builds a constant vector from three
/// instructions every time that a loop uses it, and a load is one.
pub struct Curves {
    exp: [f32x4; 10],
    tanh: [f32x4; 11],
    erf: [f32x4; 12],
    /// Bounds of σ, of tanh and of erf.
    bounds: [[f32x4; 2]; 3],
}

const fn splat<const N: usize>(numbers: [f32; N]) -> [f32x4; N] {
    let mut vectors = [f32x4::splat(0.0); N];
    let mut at = 0;
    while at < N {
        vectors[at] = f32x4::splat(numbers[at]);
        at += 1;
    }
    vectors
}

static CURVES: Curves = Curves {
    // log₂ e; ln 2 in two parts (Cody and Waite 1980); the single-precision coefficients of the Cephes library.
    exp: splat([
        std::f32::consts::LOG2_E,
        ROUND,
        0.693_359_4,
        -2.121_944_4e-4,
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ]),
    // The single-precision minimax coefficients that Eigen and XNNPACK use.
    tanh: splat([
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_525e-3,
        1.198_258_4e-6,
        1.185_347e-4,
        2.268_434_6e-3,
        4.893_525e-3,
    ]),
    // The single-precision coefficients of Eigen.
    erf: splat([
        -2.726_142_3e-10,
        2.770_681_5e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
        -1.456_607_2e-5,
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329_3e-3,
        -1.426_473_9e-2,
    ]),
    bounds: [splat([-87.0, 87.0]), splat([-7.905_311, 7.905_311]), splat([-4.0, 4.0])],
};

impl Curves {
    /// The curves, for one call of a kernel.
    pub fn get() -> &'static Self {
        std::hint::black_box(&CURVES)
    }

    /// 1 + r + r²·p(r) = eʳ for |r| ≤ ln 2 / 2, and the number whose low bits hold n, where x = n·ln 2 + r.
    #[inline(always)]
    fn reduce(&self, x: f32x4) -> (f32x4, f32x4) {
        let [log2_e, round, ln2_high, ln2_low, first, rest @ .., last] = &self.exp;
        let shifted = x * *log2_e + *round;
        let n = shifted - *round;
        let r = x - n * *ln2_high - n * *ln2_low;
        let mut p = *first;
        for c in rest {
            p = p * r + *c;
        }
        p = p * r + *last;
        (p * r * r + r + f32x4::splat(1.0), shifted)
    }

    /// eˣ; at most 2 ulp on [−87, 88], 0 below −87.3 and +∞ above 88.7.
    #[inline(always)]
    pub fn exp(&self, x: f32x4) -> f32x4 {
        let (low, high) = (f32x4::splat(-87.336_54), f32x4::splat(88.722_83));
        let (mantissa, shifted) = self.reduce(clamp(x, [low, high]));
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
    /// |x| ≤ 87, so that e⁻ˣ neither overflows nor vanishes and has its 2ⁿ in one factor, added to the exponent's bits.
    #[inline(always)]
    pub fn sigmoid(&self, x: f32x4) -> f32x4 {
        let (mantissa, shifted) = self.reduce(clamp(-x, self.bounds[0]));
        let e: f32x4 = cast(cast::<f32x4, i32x4>(mantissa) + (cast::<f32x4, i32x4>(shifted) << 23));
        let one = f32x4::splat(1.0);
        one / (one + e)
    }

    /// tanh x; at most 8 ulp.
    ///
    /// x·P(x²)/Q(x²) with P of degree 6 and Q of degree 3, and the value at 7.905 beyond that: there 1 − tanh |x| is smaller than
    /// the quotient can resolve.
    #[inline(always)]
    pub fn tanh(&self, x: f32x4) -> f32x4 {
        quotient(clamp(x, self.bounds[1]), &self.tanh)
    }

    /// erf x; at most 5·10⁻⁷ off.
    ///
    /// As tanh, with Q of degree 4, and the value at 4 beyond that.
    #[inline(always)]
    pub fn erf(&self, x: f32x4) -> f32x4 {
        quotient(clamp(x, self.bounds[2]), &self.erf)
    }
}

/// x·P(x²)/Q(x²): seven coefficients of P, highest power first, then those of Q.
#[inline(always)]
fn quotient(x: f32x4, coefficients: &[f32x4]) -> f32x4 {
    let x2 = x * x;
    let (p, q) = coefficients.split_at(7);
    let [p, q] = [p, q].map(|c| c[1..].iter().fold(c[0], |sum, c| sum * x2 + *c));
    x * (p / q)
}

/// `x` within bounds; what is not a number stays so. Two instructions where the hardware has such a minimum.
#[inline(always)]
pub fn clamp(x: f32x4, [low, high]: [f32x4; 2]) -> f32x4 {
    // SSE gives its second operand when one is not a number, wasm its first, NEON the one that is no number.
    if cfg!(target_family = "wasm") { x.fast_min(high).fast_max(low) } else { low.fast_max(high.fast_min(x)) }
}

/// 0 where |x| is below the smallest normal number.
#[inline(always)]
pub fn flush(x: f32x4) -> f32x4 {
    x & !x.abs().simd_lt(f32x4::splat(f32::MIN_POSITIVE))
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

impl Strided<'_> {
    /// Element (i, j) in every lane.
    #[inline(always)]
    pub fn splat(&self, i: usize, j: usize) -> f32x4 {
        f32x4::splat(self.data[i * self.rows + j * self.columns])
    }
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

/// Terms that are packed at a time, so that whole cache lines are read in order and written at once.
const TERMS: usize = 4;

/// Packs rows `k0..k0+k` and columns `0..n` of `b` in panels of eight columns: panel after panel, row after row; missing
/// columns are 0.
pub fn pack(b: Strided, k0: usize, k: usize, n: usize, to: &mut [f32]) {
    let to = to[..packed_len(k, n)].as_chunks_mut::<PANEL>().0;
    if b.columns == 1 {
        for row in (0..k).step_by(TERMS) {
            let rows = row..k.min(row + TERMS);
            for first in (0..n).step_by(PANEL) {
                let to = &mut to[first / PANEL * k..];
                for row in rows.clone() {
                    let from = &b.data[(k0 + row) * b.rows + first..];
                    // A copy of a length that the compiler knows: two vectors instead of a call.
                    if n - first >= PANEL {
                        to[row].copy_from_slice(&from[..PANEL]);
                    } else {
                        to[row] = [0.0; PANEL];
                        to[row][..n - first].copy_from_slice(&from[..n - first]);
                    }
                }
            }
        }
    } else {
        for (panel, to) in to.chunks_exact_mut(k.max(1)).enumerate() {
            let first = panel * PANEL;
            to.fill([0.0; PANEL]);
            for column in 0..PANEL.min(n - first) {
                let from = &b.data[k0 * b.rows + (first + column) * b.columns..];
                for (to, &from) in to.iter_mut().zip(from.iter().step_by(b.rows)) {
                    to[column] = from;
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
    pack_left_part(a, stride, k0, k, m, to, [0, k]);
}

/// As [`pack_left`], for the terms from `at` on of a left factor of `terms`.
pub fn pack_left_part(
    a: &[f32],
    stride: usize,
    k0: usize,
    k: usize,
    m: usize,
    to: &mut [f32],
    [at, terms]: [usize; 2],
) {
    let body = k / LANES;
    for (block, to) in to[..packed_left_len(m, terms)].chunks_exact_mut((ROWS * terms).max(1)).enumerate() {
        let first = block * ROWS;
        let count = ROWS.min(m - first);
        let rows: [&[f32]; ROWS] =
            std::array::from_fn(|r| if r < count { &a[(first + r) * stride + k0..][..k] } else { &[] });
        let to = &mut to.as_chunks_mut::<ROWS>().0[at..][..k];
        let mut done = 0;
        if count == ROWS {
            let [r0, r1, r2, r3] = rows.map(|row| row.as_chunks::<LANES>().0);
            for ((((to, r0), r1), r2), r3) in to.as_chunks_mut::<LANES>().0.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
                *to = cast(f32x4::transpose([r0, r1, r2, r3].map(|&four| f32x4::from(four))));
            }
            done = body * LANES;
        }
        for (at, to) in to.iter_mut().enumerate().skip(done) {
            *to = rows.map(|row| row.get(at).copied().unwrap_or(0.0));
        }
    }
}

/// As [`pack_left`] for the transpose of rows `k0..k0+k` and columns `0..m` of `a`.
pub fn pack_left_transposed(a: &[f32], stride: usize, k0: usize, k: usize, m: usize, to: &mut [f32]) {
    let to = to[..packed_left_len(m, k)].as_chunks_mut::<ROWS>().0;
    for term in (0..k).step_by(TERMS) {
        let terms = term..k.min(term + TERMS);
        for first in (0..m).step_by(ROWS) {
            let to = &mut to[first / ROWS * k..];
            for term in terms.clone() {
                let from = &a[(k0 + term) * stride + first..];
                if m - first >= ROWS {
                    to[term].copy_from_slice(&from[..ROWS]);
                } else {
                    store(load_some(&from[..m - first]), &mut to[term]);
                }
            }
        }
    }
}

/// Where a product goes.
pub struct Target<'a> {
    /// From the first element on.
    pub data: &'a mut [f32],
    /// Distance between rows.
    pub stride: usize,
    /// True: added to what is there; false: in its place.
    pub accumulate: bool,
}

/// One tile of the result, a · panel, of `R` rows and eight columns; `a` is a block of four packed rows.
///
/// The products of one element are added in the order of k, whatever the tile, so that tails agree with the body. One term a round:
/// with more, compilers gather the terms of each sum, and V8 runs out of registers. Pointers, not indices: V8 computes an address
/// from an index anew in every round.
#[inline(always)]
fn tile<const R: usize>(a: &[[f32; ROWS]], panel: &[[f32; PANEL]]) -> [[f32x4; 2]; R] {
    assert_eq!(a.len(), panel.len(), "terms of both factors");
    let mut sums = [[f32x4::splat(0.0); 2]; R];
    let (mut a, mut b) = (a.as_ptr_range(), panel.as_ptr());
    while a.start != a.end {
        // SAFETY: both point into slices of one length, before their ends.
        let (four, eight) = unsafe { (&*a.start, &*b) };
        let (b0, b1) = (load(eight), load(&eight[LANES..]));
        for r in 0..R {
            let a = f32x4::splat(four[r]);
            sums[r][0] += a * b0;
            sums[r][1] += a * b1;
        }
        // SAFETY: at most one past the ends.
        unsafe { (a.start, b) = (a.start.add(1), b.add(1)) };
    }
    sums
}

/// Writes rows of a tile; `to` starts at its first element.
#[inline(always)]
fn write<const R: usize>(sums: [[f32x4; 2]; R], to: &mut [f32], stride: usize, width: usize, accumulate: bool) {
    for (r, sum) in sums.into_iter().enumerate() {
        let to = &mut to[r * stride..][..width];
        if let Ok(to) = <&mut [f32; PANEL]>::try_from(&mut *to) {
            let (low, high) = to.split_at_mut(LANES);
            store(if accumulate { load(low) + sum[0] } else { sum[0] }, low);
            store(if accumulate { load(high) + sum[1] } else { sum[1] }, high);
        } else {
            let sum: [f32; PANEL] = cast(sum);
            for (to, sum) in to.iter_mut().zip(sum) {
                *to = if accumulate { *to + sum } else { sum };
            }
        }
    }
}

/// C = A · B or C += A · B for `m` rows: `a` holds `m` × `k` in packed blocks of rows, `b` holds `k` × `n` in packed panels of columns.
pub fn multiply_packed(m: usize, n: usize, k: usize, a: &[f32], b: &[f32], c: Target) {
    let Target { data, stride, accumulate } = c;
    if k == 0 {
        if !accumulate {
            data.chunks_mut(stride).take(m).for_each(|row| row[..n].fill(0.0));
        }
        return;
    }
    let blocks = a[..packed_left_len(m, k)].as_chunks::<ROWS>().0;
    for (index, panel) in b[..packed_len(k, n)].as_chunks::<PANEL>().0.chunks_exact(k).enumerate() {
        let first = index * PANEL;
        let width = PANEL.min(n - first);
        for (block, a) in blocks.chunks_exact(k).enumerate() {
            let row = block * ROWS;
            let to = &mut data[row * stride + first..];
            match m - row {
                1 => write(tile::<1>(a, panel), to, stride, width, accumulate),
                2 => write(tile::<2>(a, panel), to, stride, width, accumulate),
                3 => write(tile::<3>(a, panel), to, stride, width, accumulate),
                _ => write(tile::<ROWS>(a, panel), to, stride, width, accumulate),
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
    fn worst(simd: fn(&Curves, f32x4) -> f32x4, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let mut worst = 0.0_f64;
        for bits in (0..0x7f80_0000_u32).step_by(1009) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let truth = truth(f64::from(x));
                if (from..=to).contains(&x) && (truth == 0.0 || truth.abs() >= f64::from(f32::MIN_POSITIVE)) {
                    worst = worst.max(ulps(simd(Curves::get(), f32x4::splat(x)).to_array()[0], truth));
                }
            }
        }
        worst
    }

    #[test]
    fn exp_stays_within_its_stated_error() {
        let error = worst(Curves::exp, libm::exp, -87.0, 88.0);
        assert!(error <= 2.0, "{error} ulp");
        let [a, b, c, d] = Curves::get().exp(f32x4::from([-100.0, 100.0, f32::NEG_INFINITY, f32::NAN])).to_array();
        assert_eq!((a, b, c), (0.0, f32::INFINITY, 0.0));
        assert!(d.is_nan());
    }

    #[test]
    fn sigmoid_stays_within_its_stated_error() {
        let error = worst(Curves::sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), -87.0, 100.0);
        assert!(error <= 4.0, "{error} ulp");
        let [a, b, c, d] = Curves::get().sigmoid(f32x4::from([-200.0, 200.0, 0.0, -0.0])).to_array();
        assert!(a < 2e-38 && (b, c, d) == (1.0, 0.5, 0.5));
        assert!(Curves::get().sigmoid(f32x4::splat(f32::NAN)).to_array()[0].is_nan());
    }

    #[test]
    fn tanh_stays_within_its_stated_error() {
        let error = worst(Curves::tanh, libm::tanh, f32::MIN, f32::MAX);
        assert!(error <= 8.0, "{error} ulp");
        assert!(Curves::get().tanh(f32x4::splat(f32::NAN)).to_array()[0].is_nan());
        assert!(
            Curves::get()
                .tanh(f32x4::from([100.0, -100.0, 8.0, f32::INFINITY]))
                .to_array()
                .iter()
                .all(|y| y.abs() <= 1.0)
        );
    }

    #[test]
    fn erf_stays_within_its_stated_error() {
        let curves = Curves::get();
        for at in -60_000..=60_000 {
            let x = at as f32 / 10_000.0;
            let got = curves.erf(f32x4::splat(x)).to_array()[0];
            let truth = libm::erf(f64::from(x));
            assert!((f64::from(got) - truth).abs() <= 5e-7, "erf({x}) is {truth}, got {got}");
        }
        assert!(curves.erf(f32x4::splat(f32::NAN)).to_array()[0].is_nan());
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
                let mut left = vec![f32::NAN; packed_left_len(m, k)];
                pack_left(&a, k, 0, k, m, &mut left);
                let across: Vec<f32> = (0..k * m).map(|at| a[at % m * k + at / m]).collect();
                let mut twin = vec![f32::NAN; packed_left_len(m, k)];
                pack_left_transposed(&across, m, 0, k, m, &mut twin);
                assert_eq!(left, twin, "{m} {n} {k} {transposed}");
                for accumulate in [false, true] {
                    let mut c = vec![1.0; m * n];
                    multiply_packed(m, n, k, &left, &packed, Target { data: &mut c, stride: n, accumulate });
                    for i in 0..m {
                        for j in 0..n {
                            let mut sum = 0.0;
                            for l in 0..k {
                                sum += a[i * k + l] * if transposed { b[j * k + l] } else { b[l * n + j] };
                            }
                            let start = if accumulate { 1.0 } else { 0.0 };
                            assert_eq!(c[i * n + j], start + sum, "{m} {n} {k} {transposed} {accumulate}");
                        }
                    }
                }
            }
        }
    }
}
