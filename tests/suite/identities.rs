//! Structural identities: causality, batch split, chunk carry, truncation, the law ρ^(T−t), bit-for-bit repetition.
