//! Training: sessions, optimisers, clipping.
//!
//! Floor 6. A [`Session`] is one network on one task: it reads a [`Config`], compiles programs (plans with named slots), draws batches
//! and takes steps. [`OPTIMISERS`] lists the optimisers. What can be seen of a session is the business of `lens`, what can be saved
//! of `io`.

mod config;
mod optimisers;
mod program;
mod session;

pub use config::{Clip, ClipKind, Config, LIMITS, Limits, Optimiser};
pub use optimisers::{OPTIMISERS, OptimiserSpec, Vectors, find_optimiser};
pub use program::{Blueprint, Layout, LossAt, Program, Purpose, Row, Seeded, Stretch, TargetSlot};
#[cfg(target_arch = "wasm32")]
pub use session::Recipe;
pub use session::{
    CallerGradients, Diverged, EngineKind, Evaluation, Pace, Rehearsal, Session, StepReport, Streamed, Trial,
};
