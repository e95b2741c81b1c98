//! Unroll: recurrent networks that train in a browser tab, and the numbers behind the pictures.

pub mod error;
pub mod options;
pub mod rng;
pub mod shape;
pub mod tasks;
