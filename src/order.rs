//! Sorting.
//!
//! Floor 0. Every type that the sort of the standard library meets is some kilobytes of code to download; here it meets one.

/// Sorts whole numbers.
pub fn words(values: &mut [u64]) {
    values.sort_unstable();
}

/// Sorts numbers from the smallest to the largest; NaN, with its sign bit clear, comes last.
pub fn numbers(values: &mut [f64]) {
    // The order of IEEE 754 is that of these words: the larger, the more; below zero, all bits the other way round.
    let flip = |bits: u64, negative: bool| bits ^ if negative { u64::MAX } else { 1 << 63 };
    let mut keys: Vec<u64> = values.iter().map(|v| flip(v.to_bits(), v.is_sign_negative())).collect();
    words(&mut keys);
    for (value, key) in values.iter_mut().zip(keys) {
        *value = f64::from_bits(flip(key, key >> 63 == 0));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_come_in_order() {
        let mut values = [2.5, -0.0, f64::NAN, 0.0, -3.0, f64::INFINITY, 1e-300, -1e-300, f64::NEG_INFINITY];
        super::numbers(&mut values);
        let sorted = [f64::NEG_INFINITY, -3.0, -1e-300, -0.0, 0.0, 1e-300, 2.5, f64::INFINITY];
        assert_eq!(values[..8], sorted);
        assert!(values[8].is_nan() && values[3].is_sign_negative());
    }
}
