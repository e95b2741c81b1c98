//! A training step allocates nothing: a counting allocator watches steps 10 to 100 of every architecture, optimiser and task. A session
//! takes the memory that its plan announced, and a stream holds as many bytes after 10,000 timesteps as at its beginning.
//! On the host only, for a browser has one allocator for the page and its tests.
#![cfg(not(target_arch = "wasm32"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use unroll::nn::ARCHITECTURES;
use unroll::options::Value;
use unroll::tasks::TASKS;
use unroll::train::{Config, EngineKind, OPTIMISERS, Session};

thread_local! {
    /// Allocations of this thread; those of the test harness happen on others.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not given back.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

fn add(bytes: i64) {
    LIVE.with(|live| live.set(live.get() + bytes));
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        add(layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        add(layout.size() as i64);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        add(new_size as i64 - layout.size() as i64);
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as i64));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn object(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn session(task: &str, model: &str, optimiser: &str, carry: bool, kind: EngineKind) -> Session {
    let config = object(&[
        ("task", object(&[("id", text(task)), ("length", Value::Number(30.0))])),
        (
            "model",
            object(&[
                ("id", text(model)),
                ("hidden", Value::Number(9.0)),
                ("layers", Value::Number(2.0)),
                ("carry", Value::Bool(carry)),
            ]),
        ),
        ("optimiser", object(&[("id", text(optimiser)), ("lr", Value::Number(1e-3))])),
        ("clip", object(&[("kind", text("norm")), ("at", Value::Number(1.0))])),
        ("batch", Value::Number(3.0)),
    ]);
    let config = Config::read(config).expect("a configuration");
    Session::new(config, kind).expect("a session")
}

/// Allocations of steps 10 to 100.
fn allocations(task: &str, model: &str, optimiser: &str, carry: bool, kind: EngineKind) -> u64 {
    let mut session = session(task, model, optimiser, carry, kind);
    let mut before = 0;
    for step in 0..=100 {
        if step == 10 {
            before = ALLOCATIONS.get();
        }
        session.train_step().expect("finite");
    }
    ALLOCATIONS.get() - before
}

#[test]
fn a_training_step_allocates_nothing() {
    let first = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(ALLOCATIONS.get() - first, 1, "the allocator counts");
    for cell in ARCHITECTURES {
        for optimiser in OPTIMISERS {
            for kind in [EngineKind::Cpu, EngineKind::Reference] {
                let count = allocations("first-symbol", cell.id, optimiser.id, false, kind);
                assert_eq!(count, 0, "{} with {} on {kind:?}", cell.id, optimiser.id);
            }
        }
        for task in TASKS {
            let count = allocations(task.id, cell.id, "adam", false, EngineKind::Cpu);
            assert_eq!(count, 0, "{} on {}", cell.id, task.id);
        }
        if cell.time_loop().is_some() {
            let count = allocations("mackey-glass", cell.id, "adam", true, EngineKind::Cpu);
            assert_eq!(count, 0, "{} with carried state", cell.id);
        }
    }
}

/// All but those that keep what they have read: they hold more numbers with every timestep, as many each time, and end.
#[test]
fn a_stream_holds_the_same_memory_whatever_it_has_read() {
    for cell in ARCHITECTURES {
        let mut session = session("sine", cell.id, "adam", false, EngineKind::Cpu);
        let (mut before, mut handed_on) = (0, 0);
        for step in 0..10_000_usize {
            let signal = libm::sinf(step as f32 * 0.3);
            let streamed = match session.stream(&[signal], &[]) {
                Ok(streamed) => streamed,
                Err(error) => {
                    assert_eq!((cell.id, step), ("transformer", 30), "{error}");
                    break;
                }
            };
            assert_eq!(streamed.n_read, step as u64 + 1);
            let (now, is_growing) = (streamed.n_handed_on, streamed.longest.is_some());
            assert_eq!(is_growing, cell.id == "transformer");
            assert!(step < 30 || !is_growing, "the positions of the task end");
            drop(streamed);
            match step {
                0 => (before, handed_on) = (LIVE.get(), now),
                _ if is_growing => assert_eq!(now, handed_on * (step + 1), "{} at step {step}", cell.id),
                _ => {
                    assert_eq!(now, handed_on, "{} at step {step}", cell.id);
                    assert_eq!(LIVE.get(), before, "{} at step {step}", cell.id);
                }
            }
        }
    }
}

/// What a session on the adding problem holds after its first step, and what it had announced.
fn memory(model: &str, hidden: usize, length: usize, batch: usize) -> (i64, i64) {
    let number = |number: usize| Value::Number(number as f64);
    let config = object(&[
        ("task", object(&[("id", text("adding")), ("length", number(length))])),
        ("model", object(&[("id", text(model)), ("hidden", number(hidden))])),
        ("batch", number(batch)),
    ]);
    let config = Config::read(config).expect("a configuration");
    let before = LIVE.get();
    let mut session = Session::new(config, EngineKind::Cpu).expect("a session");
    session.train_step().expect("finite");
    (LIVE.get() - before, session.bytes() as i64)
}

/// Beside the segments there are the batch of the task, that of the probe, and lists whose lengths do not depend on T, B or H.
#[test]
fn a_session_takes_the_memory_that_its_plan_announced() {
    const PROBED: usize = 16;
    // What a program lists of its calls and tensors does not grow with sizes; RWKV's is the longest.
    const LISTS: i64 = 96 << 10;
    for cell in ARCHITECTURES {
        for (hidden, length, batch) in [(16, 32, 4), (64, 64, 16), (64, 256, 16), (64, 64, 128), (128, 128, 32)] {
            let (held, announced) = memory(cell.id, hidden, length, batch);
            // Two inputs and a target at each timestep, of each sequence.
            let batches = (4 * 3 * length * (batch + PROBED)) as i64;
            let name =
                format!("{}, H {hidden}, T {length}, B {batch}: {held} bytes held, {announced} announced", cell.id);
            assert!(announced > 0 && held >= announced, "{name}");
            assert!(held - announced <= batches + LISTS, "{name}; batches take {batches}");
        }
    }
}
