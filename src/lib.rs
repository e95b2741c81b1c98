//! Unroll: recurrent networks that train in a browser tab, and the numbers behind the pictures.
//!
//! # The map
//!
//! Each floor uses only the floors below it; `tests/tidy.rs` keeps it so. The lowest two are a crate of their own (`base.rs`).
//!
//! ```text
//! 9  www/        the page (TypeScript)          knows the package, not the crate
//! 8  web         the JavaScript boundary        the only floor that names wasm-bindgen, js-sys, web-sys
//! 7  lens · io   what one can see · save        lens reads a session, io writes safetensors
//! 6  train       sessions, optimisers           OPTIMISERS
//! 5  tasks       data                           TASKS
//! 4  nn          layers, initialisation         ARCHITECTURES (cells of stems!, blocks), INITS
//! 3  engine      runs a plan                    the only floor that names wgpu
//! 2  graph       record, differentiate, plan
//! 1  kernels     one kernel a file              stems!: KERNELS, CELLS
//! 0  error · options · order · rng · shape · wgsl
//! ```
//!
//! **One training step.** `Task::sample` draws a batch from counter-based random numbers → input slots of a plan → forward calls →
//! loss → backward calls → norm and clip coefficient → optimiser. A [`train::Program`] is a plan for one purpose and size (training,
//! the probe, a caller's batch) with its slots; all programs of a session work on one persistent segment: parameters, gradient,
//! moments, carried states, hyperparameters. Calls carry the marks forward, loss, backward, clip, update; a run can stop at
//! each. A step that is not finite stops before the update and is run again call by call to name the tensor.
//!
//! **A kernel** is a file `src/kernels/STEM.rs`: operands, shape rule, `reference` (plain loops, f32 and f64), `cpu` (SIMD), the grid of
//! the dispatch, and the gradient rule, which records further calls on a [`kernels::Tape`]. Its shader is `shaders/STEM.wgsl`, with what it
//! shares behind it (`shaders/helpers/`); two tolerances stand beside it, `cpu` against `reference` and shader against `cpu`. A cell
//! (`elman`, `lstm`, `gru`) also describes itself there ([`kernels::recurrence::Cell`]): gates, channels for the pictures, equations.
//!
//! **WebGPU.** A session may hand its training steps to a `Runner` ([`engine`]): plan and persistent segment lie on the device,
//! pipelines and bind groups are made once, a submit brings many steps along with their batches and hyperparameters, each step is one
//! pass, and what it says comes back through a ring of buffers that nobody waits for. The engine of the host stays: it draws the pictures,
//! evaluates and takes snapshots, from numbers that are fetched when somebody asks and a few times a second, and it goes on where the
//! device fails (`train::session::accelerated`, `web::device`). The norm kernel holds updates whose gradient is not finite; the host then
//! does that step with all its checks. A step of one layer is eight dispatches, four more for each further layer, whatever T: the weight
//! gradients of all layers are one ([`engine::group`]), which also measures the norm in parts; the optimiser puts these together. A
//! time loop is one dispatch unless it takes a device longer than 200 ms: then it is cut ([`graph::Plan::in_parts`]). What is
//! still to be done: sums split over workgroups, tiles chosen by measurement, weights laid out for the recurrences.
//!
//! The same engine runs on the host, through Vulkan, behind the feature `native-gpu`: for the twins' tests, and for a bench that needs no
//! browser.
//!
//! **Cells without recurrent weights** (such as `mingru`) have gates that read the input alone: a step is diagonal and costs O(H). Their
//! time loop is [`kernels::scan`], on WebGPU a parallel scan over eight parts of the time; the stem says how gates come from
//! pre-activations. Where a panel is about W_hh, they show what takes its place: the mean step's eigenvalues, the ledger of W_ih. **In both
//! directions** a model has two rows a layer; a task that asks at the end reads the final state of each, and tasks whose targets are later
//! inputs refuse them.
//!
//! **Residual blocks** ([`kernels::residual`]) are the other body that an architecture may have ([`kernels::recurrence::Body`]): a stream
//! of H features to which each layer adds, y = x + f(x). Its file lies in [`nn`], says which parameters a block has and how they begin,
//! and records f. The rows of a scene are the streams behind each block; a second state is what a block's own time loop keeps. The
//! adjoint of a stream is its ribbon, for the graph has it anyway. Panels without a meaning say in one sentence what takes their place
//! (`Cell::absent`), and weights with which a timestep reads another are shown as attention (`Cell::attention`).
//! **Linear recurrences in blocks**: Mamba's time loop is `selective_scan`, one dispatch each way, whose states leave the backward pass
//! as their adjoints; RetNet's retention is `attention` without the softmax; RWKV's means are those of `wkv`. Tests show them equal to
//! their other forms (`tests/suite/blocks.rs`): step by step, in a tree, in chunks, all pairs at once.
//!
//! **Encoder and decoder** share one time axis: timesteps 0..S are the source, S..T the answer, fed one step late
//! ([`tasks::Form::source`]). So every architecture can be trained on such a task; a recurrent cell may also answer with a second stack
//! of weights, without or with attention to the source ([`nn::Decoder`], one choice, so that no combination is without a meaning). The
//! two parts are calls of their own; programs that keep pictures copy them into rows of all T timesteps, training programs copy nothing
//! but what the head reads. Bahdanau attention is an input of the decoder, so that its loop is recorded timestep by timestep, and its
//! dispatches grow with the answer; all others keep one call for the loop. Greedy decoding is U passes forward of the same program.
//!
//! **Panels** of the page ask [`lens::inspect`] for named series about one layer: what makes up a step's Jacobian, the spectrum of
//! W_hh, the product of the keep gates, the shares of ∂L/∂W_hh, the credit matrix, the ripple of a change by hand, the way of the
//! state through its plane. They run the probe,
//! copies of its sequences with adjoints of the output given from outside ([`graph::Graph::seed`]), or a stretch of one from given
//! states. A cell says what its panels need: its slope, its gates that keep, admit and emit. Changes by hand act on the running
//! network: the keep gate's bias, the spectral radius of a block of W_hh, the truncation window, which makes new programs. The loss
//! cliff ([`lens::cliff`]) asks no session.
//!
//! **A stream** (`train::session::stream`) is a program of one timestep: what it hands on is read after each run and written before the
//! next, with the weights of now. A residual block says what that is while it records itself (`Scribe::hand_on`, `residual::behind`): the
//! states of a scan, the latest inputs of a convolution, the state of a retention, all of constant size; or the keys and values of all
//! timesteps so far, whose program is made anew as they grow, until the learnt positions end. The same program of C timesteps reads a
//! sequence in chunks (`Session::in_chunks`): C = 1 is the recurrent form, C = T the parallel one, and the proof compares them
//! ([`lens::inspect`]); for RetNet that is its chunkwise form.
//!
//! **What a pass costs** (`train::session::pace`) is counted in the program that runs: the longest chain of calls that wait for one another
//! ([`graph::Graph::depth`]), a loop over time as long as its timesteps, operations, numbers handed on; and it is timed.
//!
//! **Beside training**, without a trace (`train::session::trial`): a loss as a function of the parameters, for the check of the
//! gradient by finite differences ([`lens::agreements`]); the next update, done and taken back, and pictures of the next batch, for
//! slow motion; the next step's gradient by both engines.
//!
//! # Where building showed a better way than the design
//!
//! * A recurrence reads its initial states from an optional operand `[S, B, H]`, not from row 0 of a longer output: sequences stay
//!   `[T, B, H]`, and training from zero states costs no product for the first step.
//! * The backward kernels take `d_state` both ways: it enters as the adjoint of the last state and leaves as that of the first. With
//!   the states and their totals packed in one tensor each, every entry keeps within the eight storage bindings of WebGPU.
//! * Weights are packed at the start of each call, not once per update: O(G·H²) beside O(T·B·G·H²), and no copy to invalidate.
//! * The gates of an LSTM or GRU take the place of its input part, and their adjoints the place of the gates: a third of the memory, and
//!   as much less traffic. The probe copies them before its backward pass.
//! * A linear layer adds its bias in the product, a loss writes its gradient with its value, and an adjoint has no rows for timesteps
//!   at the start whose output nobody reads: each was a pass over memory on the CPU, and a dispatch on the GPU.
//! * The truncation window is counted from the end of the sequence, so that a loss at the last step reaches back exactly W steps.
//! * The norm adds squares in f64: an exploding gradient of 10²⁰ is finite, its square in f32 is not. The shader has no f64 and adds
//!   squares relative to the largest element.
//! * Backward calls that only write gradients of parameters come last, in one row: the GPU makes one dispatch of them, and the CPU does
//!   not care. The norm comes out of that dispatch instead of one that reads the gradient again, so that eight are enough.
//! * Both biases of an Elman or LSTM layer have one gradient: the second sum over the rows is recorded as a copy of the first.
//! * The inner loop of the matrix core walks pointers, and the curves keep their coefficients in memory: V8 computes addresses from
//!   indices in every round, and builds a constant vector from three instructions at every use.
//! * The probe's program declares the parameters as constants and asks for the adjoints of the states only, so that a picture costs no
//!   weight gradients and never touches those of the training step.
//! * The lowest two floors are compiled for speed and everything above for size, which only a crate can choose: a module of the same
//!   inner loops compiled for size trains fifteen times slower, and all of it compiled for speed is a tenth more to download. Loops over
//!   numbers therefore live in the kernels ([`kernels::Real`]), also those that engines need.
//! * The shaders are a file beside the module ([`engine::shaders`]), for only who can use WebGPU needs them, and the reader of JSON in
//!   files of weights is the browser's own ([`io`]): a seventh of what everybody downloads.
//! * Sentences write their own numbers and quotation marks ([`options`]): the standard library's are exact for all numbers and letters,
//!   and with their tables they were a twentieth of the package.
//! * Pictures take turns (`www/src/ui/turns.ts`): four milliseconds of drawing a frame, whatever the machine, and each is drawn with the
//!   newest numbers when its turn comes. While the networks load, the page shows a run that the build has recorded (`www/recorded.ts`).
//! * What the boundary does is tested in JavaScript (`www/test/boundary.test.ts`), where its callers live.

pub mod engine;
pub mod graph;
pub mod io;
pub mod lens;
pub mod nn;
pub mod order;
pub mod tasks;
pub mod train;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use unroll_base::{error, kernels, options, rng, shape, stems, wgsl};

#[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
compile_error!("build with -C target-feature=+simd128; a RUSTFLAGS variable replaces the flags of .cargo/config.toml");
