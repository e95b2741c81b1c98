//! Unroll: recurrent networks that train in a browser tab, and the numbers behind the pictures.
pub mod engine;
pub mod error;
pub mod graph;
pub mod io;
pub mod kernels;
pub mod lens;
pub mod nn;
pub mod options;
pub mod rng;
pub mod shape;
pub mod tasks;
pub mod train;
#[cfg(target_arch = "wasm32")]
pub mod web;

#[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
compile_error!("build with -C target-feature=+simd128; a RUSTFLAGS variable replaces the flags of .cargo/config.toml");
