//! The lowest two floors, as a crate of their own: what has inner loops is compiled for speed, everything above for size.
//!
//! `unroll` hands all of it on under the same names; its documentation has the map.

// First, for its macro.
#[macro_use]
pub mod wgsl;

pub mod error;
pub mod kernels;
pub mod options;
pub mod rng;
pub mod shape;
