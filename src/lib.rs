//! Unroll: recurrent networks that train in a browser tab, and the numbers behind the pictures.
pub mod engine;
pub mod error;
pub mod graph;
pub mod kernels;
pub mod nn;
pub mod options;
pub mod rng;
pub mod shape;
pub mod tasks;
pub mod train;
