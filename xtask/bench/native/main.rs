//! Training steps of WebGPU's engine without a browser: milliseconds, and the share of what the adapter can do at best.
//!
//! Built and started by `cargo xtask bench --native-gpu`; the binary needs nothing beside itself and can be carried to a machine with a
//! graphics card. LSTM and GRU on the adding problem, T 100, H 128, 256, 512, B 32, 64; on a software adapter H 128, B 32 alone. Options:
//! `--cell IDS`, `--hidden N,…`, `--batch N,…`, `--length T`, `--samples N`. The first losses must be those of the CPU engine. Limits are
//! those of a product, max(2mnk/F, bytes/β) + τ_d, and of a time loop whose weights come from a cache,
//! T·max(flop a step and workgroup/F_wg, weights/β_wg, 2τ_b)·⌈workgroups/(F/F_wg)⌉ + τ_d. Where a Python with PyTorch is found (named by
//! `PYTHON`, else `python3`), it trains the same networks. Ends with status 1 without an adapter, and when losses disagree.

mod calibrate;

use calibrate::{Machine, calibrate};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Instant;
use unroll::engine::gpu::Gpu;
use unroll::engine::schedule::{Dispatch, schedule};
use unroll::engine::{Engine, Runner};
use unroll::kernels::recurrence::Params;
use unroll::options::Value;
use unroll::train::{Config, EngineKind, Session};

/// Losses may differ by this, relative to those of the CPU engine.
const TOLERANCE: f64 = 1e-3;

/// Steps whose losses are compared.
const COMPARED: u64 = 3;

/// A timed sample lasts about this long, at least.
const SAMPLE_S: f64 = 0.3;

/// A submit holds about as many steps as take this long.
const SUBMIT_S: f64 = 0.01;

type Result<T> = std::result::Result<T, String>;

/// What was asked for.
struct Options {
    cells: Vec<String>,
    hidden: Vec<usize>,
    batch: Vec<usize>,
    length: usize,
    samples: usize,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>, is_software: bool) -> Result<Self> {
        let mut options = Self {
            cells: ["lstm", "gru"].map(str::to_owned).into(),
            hidden: if is_software { vec![128] } else { vec![128, 256, 512] },
            batch: if is_software { vec![32] } else { vec![32, 64] },
            length: 100,
            samples: if is_software { 3 } else { 15 },
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name}: expected a value"))?;
            let numbers = || {
                let number =
                    |word: &str| word.parse().map_err(|_| format!("{name}: expected whole numbers, got {word}"));
                value.split(',').map(number).collect::<Result<Vec<usize>>>()
            };
            let number = || match numbers()?[..] {
                [number] if number > 0 => Ok(number),
                _ => Err(format!("{name}: expected one number, at least 1, got {value}")),
            };
            match name.as_str() {
                "--cell" => options.cells = value.split(',').map(str::to_owned).collect(),
                "--hidden" => options.hidden = numbers()?,
                "--batch" => options.batch = numbers()?,
                "--length" => options.length = number()?,
                "--samples" => options.samples = number()?,
                _ => return Err(format!("expected --cell, --hidden, --batch, --length or --samples, got {name}")),
            }
        }
        Ok(options)
    }
}

/// A network to train.
struct Workload {
    cell: String,
    hidden: usize,
    batch: usize,
    length: usize,
}

impl Workload {
    fn session(&self) -> Result<Session> {
        let map = |fields: Vec<(&str, Value)>| {
            Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        let (text, number) = (|text: &str| Value::Text(text.to_owned()), |number: usize| Value::Number(number as f64));
        let config = map(vec![
            ("task", map(vec![("id", text("adding")), ("length", number(self.length))])),
            ("model", map(vec![("id", text(&self.cell)), ("hidden", number(self.hidden))])),
            ("clip", map(vec![("kind", text("norm")), ("at", Value::Number(1.0))])),
            ("batch", number(self.batch)),
        ]);
        let session = Config::read(config).and_then(|config| Session::new(config, EngineKind::Cpu));
        session.map_err(|error| error.to_string())
    }
}

/// Trains, with as many submits under way as the runner takes; the losses.
fn train(session: &mut Session, steps: u64, per_submit: usize) -> Result<Vec<f64>> {
    let target = session.step() + steps;
    let mut losses = Vec::new();
    while session.step() < target {
        while session.ahead() < target && session.runner().is_some_and(Runner::has_room) {
            session.submit(per_submit.min((target - session.ahead()) as usize));
        }
        pollster::block_on(session.runner().expect("an accelerated session").oldest());
        session.collect().map_err(|error| error.to_string())?;
        if session.is_held() {
            return Err(format!("step {}: a number is not finite", session.step()));
        }
        losses.extend(std::iter::from_fn(|| session.take_report()).map(|report| report.loss));
    }
    Ok(losses)
}

/// Seconds that a dispatch takes at best.
fn limit(dispatch: &Dispatch, flop: u64, machine: &Machine) -> f64 {
    let (flop, workgroups) = (flop as f64, f64::from(dispatch.grid().iter().product::<u32>()));
    let work = match dispatch {
        Dispatch::Call(call) if call.entry.parts.is_some() => {
            let steps = call.params::<Params>().steps().len() as f64;
            let weights = call.entry.operands.iter().zip(&call.operands).find(|(spec, _)| spec.name == "weight_hh");
            let weights = weights.and_then(|(_, tensor)| *tensor).map_or(0, |tensor| 4 * tensor.shape.len()) as f64;
            let arithmetic = flop / (steps * workgroups) / machine.flop_of_group;
            let step = arithmetic.max(weights / machine.bytes_of_group).max(2.0 * machine.barrier);
            steps * step * (workgroups / machine.groups()).ceil()
        }
        _ => (flop / machine.flop).max(dispatch.bytes() as f64 / machine.bytes),
    };
    work + machine.dispatch
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Measures one workload; true when its losses are those of the CPU engine.
fn measure(
    gpu: &Rc<Gpu>,
    machine: &Machine,
    workload: &Workload,
    options: &Options,
    peer: Option<&mut Peer>,
) -> Result<bool> {
    let Workload { cell, hidden, batch, length } = workload;
    println!("\n{cell}, H {hidden}, B {batch}, T {length}");
    let (mut host, mut session) = (workload.session()?, workload.session()?);
    let fail = |error: unroll::error::Error| error.to_string();
    let recipe = session.recipe().map_err(fail)?;
    let runner = Runner::new(Rc::clone(gpu), &recipe.plan, recipe.calls.clone(), recipe.persistent_len, recipe.tensors);
    session.accelerate(pollster::block_on(runner).map_err(fail)?);

    let losses = train(&mut session, COMPARED, 1)?;
    let mut worst = 0.0_f64;
    for &loss in &losses {
        let expected = host.train_step().map_err(|diverged| diverged.message)?.loss;
        worst = worst.max((loss - expected).abs() / expected);
    }
    let agrees = worst <= TOLERANCE;
    let verdict = if agrees { "agree with" } else { "DIFFER FROM" };
    println!("  losses {verdict} the CPU engine's: {worst:.1e} over {COMPARED} steps, {TOLERANCE:.0e} allowed");

    let start = Instant::now();
    train(&mut session, 1, 1)?;
    let mut pace = start.elapsed().as_secs_f64();
    let mut samples = Vec::new();
    // One sample more: the first has the pace of a single step.
    for _ in 0..=options.samples {
        let per_submit = ((SUBMIT_S / pace) as usize).max(1);
        let steps = ((SAMPLE_S / pace) as u64).max(3);
        let start = Instant::now();
        train(&mut session, steps, per_submit)?;
        pace = start.elapsed().as_secs_f64() / steps as f64;
        samples.push(pace);
    }
    samples.remove(0);
    samples.sort_by(f64::total_cmp);
    let (middle, least) = (median(&samples), samples[0]);

    let plan = &recipe.plan;
    let dispatches = schedule(plan, recipe.calls.clone());
    let Engine::Cpu(memory) = host.engine() else { return Err("the host computes in single precision".to_owned()) };
    let resident = gpu.upload(memory);
    let (mut best, mut at) = (0.0, recipe.calls.start);
    println!(
        "  {:<22} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "dispatch", "workgroups", "KB", "MFLOP", "limit, µs", "ran, µs"
    );
    for dispatch in &dispatches {
        let calls = match dispatch {
            Dispatch::Call(_) => at..at + 1,
            Dispatch::Group(group) => group.calls.clone(),
        };
        at = calls.end;
        let flop = plan.calls()[calls.clone()].iter().map(|call| (call.entry.flop)(call)).sum();
        let recording = pollster::block_on(gpu.record(plan, calls, &resident)).map_err(fail)?;
        let ran = alone(gpu, &recording);
        let limit = limit(dispatch, flop, machine);
        best += limit;
        println!(
            "  {:<22} {:>10} {:>10.0} {:>10.1} {:>10.1} {:>10.1}",
            dispatch.label(),
            dispatch.grid().iter().product::<u32>(),
            dispatch.bytes() as f64 / 1e3,
            flop as f64 / 1e6,
            limit * 1e6,
            ran * 1e6
        );
    }
    println!(
        "  {:.3} ms a step (median), {:.3} (minimum of {}); {} dispatches; limit {:.3} ms, {:.0} % of the median",
        middle * 1e3,
        least * 1e3,
        samples.len(),
        dispatches.len(),
        best * 1e3,
        100.0 * best / middle
    );
    if let Some(peer) = peer {
        let [theirs, theirs_least] = peer.ask(workload)?;
        let ratio = middle * 1e3 / theirs;
        println!(
            "  PyTorch: {theirs:.3} ms (median), {theirs_least:.3} (minimum); ours takes {ratio:.2} times as long"
        );
    }
    Ok(agrees)
}

/// Seconds of a recording by itself, submitted many times: the least of three.
fn alone(gpu: &Gpu, recording: &unroll::engine::gpu::Recording) -> f64 {
    let time = |n: u32| {
        let start = Instant::now();
        (0..n).for_each(|_| gpu.submit(recording));
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
        start.elapsed().as_secs_f64()
    };
    let once = time(1).min(time(1));
    let n = ((SUBMIT_S / once) as u32).clamp(1, 100);
    (0..3).map(|_| time(n) / f64::from(n)).fold(f64::INFINITY, f64::min)
}

/// PyTorch in a process of its own.
struct Peer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    /// Nothing where there is no Python with PyTorch.
    fn start() -> Option<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(python);
        command.args(["-c", include_str!("torch_peer.py")]);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = pipes.spawn().ok()?;
        let answers = BufReader::new(child.stdout.take()?);
        let mut peer = Self { child, answers };
        let name = peer.line().ok()?;
        println!("{name}");
        Some(peer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(len) if len > 0 => Ok(line.trim().to_owned()),
            _ => Err("PyTorch ended without an answer".to_owned()),
        }
    }

    /// Milliseconds a step: median and minimum.
    fn ask(&mut self, workload: &Workload) -> Result<[f64; 2]> {
        let Workload { cell, hidden, batch, length } = workload;
        let input = self.child.stdin.as_mut().ok_or("PyTorch takes no questions")?;
        writeln!(input, "{cell} {hidden} {batch} {length}").map_err(|error| format!("PyTorch: {error}"))?;
        let line = self.line()?;
        let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().map_err(|_| format!("PyTorch: expected two numbers, got {line}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends when nobody asks any more; that it could not be waited for changes nothing.
        let _ = self.child.wait();
    }
}

fn run() -> Result<bool> {
    let gpu =
        Rc::new(pollster::block_on(Gpu::new()).map_err(|error| format!("{error}; a driver of Vulkan is needed"))?);
    let kind =
        if gpu.is_software { "a SOFTWARE adapter: its times say nothing of a graphics card" } else { "hardware" };
    let options = Options::read(std::env::args().skip(1), gpu.is_software)?;
    println!("Adapter: {}, {kind}", gpu.adapter);
    let machine = calibrate(&gpu);
    if let Some(fault) = gpu.fault() {
        return Err(fault);
    }
    println!(
        "F {:.0} GFLOP/s, F_wg {:.2} GFLOP/s, β {:.1} GB/s, β_wg {:.2} GB/s, τ_d {:.2} µs, τ_s {:.1} µs, τ_b {:.3} µs",
        machine.flop / 1e9,
        machine.flop_of_group / 1e9,
        machine.bytes / 1e9,
        machine.bytes_of_group / 1e9,
        machine.dispatch * 1e6,
        machine.submit * 1e6,
        machine.barrier * 1e6
    );
    let mut peer = Peer::start();
    if peer.is_none() {
        println!("No PyTorch here: no comparison");
    }
    let mut agree = true;
    for cell in &options.cells {
        for &hidden in &options.hidden {
            for &batch in &options.batch {
                let workload = Workload { cell: cell.clone(), hidden, batch, length: options.length };
                agree &= measure(&gpu, &machine, &workload, &options, peer.as_mut())?;
            }
        }
    }
    Ok(agree)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("native bench: {problem}");
            ExitCode::FAILURE
        }
    }
}
