//! What an adapter can do at best: rates and costs that limits are computed from.

use std::time::{Duration, Instant};
use unroll::engine::gpu::Gpu;
use wgpu::util::{BufferInitDescriptor, DeviceExt};

/// A measurement lasts at least this long.
const LEAST: Duration = Duration::from_millis(10);

/// Bytes that are copied, half of them read: more than caches hold.
const TRAFFIC: u64 = 128 << 20;

/// Bytes of the weights that one workgroup reads again and again: those of an LSTM with 256 units.
const WEIGHTS: u64 = 4 * 4 * 256 * 256;

/// Most workgroups in one direction of a grid; as in `calibrate.wgsl`.
const SIDE: u64 = 65_535;

/// Invocations of a workgroup; as in `calibrate.wgsl`.
const WIDTH: u64 = 256;

/// Rates and costs, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// F: floating-point operations a second.
    pub flop: f64,
    /// F_wg: those of one workgroup.
    pub flop_of_group: f64,
    /// β: bytes a second to and from memory.
    pub bytes: f64,
    /// β_wg: those that one workgroup reads from a cache.
    pub bytes_of_group: f64,
    /// τ_d: a dispatch that depends on the one before.
    pub dispatch: f64,
    /// τ_s: a submit that is waited for.
    pub submit: f64,
    /// τ_b: a barrier of a workgroup.
    pub barrier: f64,
}

impl Machine {
    /// Workgroups that run at the full rate of one, side by side.
    pub fn groups(&self) -> f64 {
        (self.flop / self.flop_of_group).max(1.0)
    }
}

/// Seconds that `work` takes for each of its repetitions: the slope between n and 2n of them, with n large enough to be measured.
fn seconds(mut work: impl FnMut(u32)) -> f64 {
    let mut time = |n: u32| {
        let once = |_| {
            let start = Instant::now();
            work(n);
            start.elapsed().as_secs_f64()
        };
        (0..3).map(once).fold(f64::INFINITY, f64::min)
    };
    let mut n = 1;
    loop {
        let first = time(n);
        if first >= LEAST.as_secs_f64() || n >= 1 << 20 {
            let second = time(2 * n);
            // Where a burst of other load hid the slope, the whole is an upper bound.
            return if second > first { second - first } else { second / 2.0 } / f64::from(n);
        }
        n *= if first < LEAST.as_secs_f64() / 8.0 { 4 } else { 2 };
    }
}

/// Measures an adapter.
pub fn calibrate(gpu: &Gpu) -> Machine {
    let (device, queue) = (gpu.device(), gpu.queue());
    let limits = device.limits();
    let half = (TRAFFIC / 2).min(limits.max_storage_buffer_binding_size).min(limits.max_buffer_size);
    let storage = |label| {
        let usage = wgpu::BufferUsages::STORAGE;
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: half,
            usage,
            mapped_at_creation: false,
        })
    };
    let (from, to) = (storage("from"), storage("to"));
    let source = wgpu::ShaderSource::Wgsl(include_str!("calibrate.wgsl").into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("calibrate"), source });
    let run = |point: &'static str, rounds: [u32; 2], groups: u64, dispatches: u32| {
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(point),
            layout: None,
            module: &module,
            entry_point: Some(point),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let contents = [rounds[0].to_le_bytes(), rounds[1].to_le_bytes(), [0; 4], [0; 4]].concat();
        let usage = wgpu::BufferUsages::UNIFORM;
        let uniform = device.create_buffer_init(&BufferInitDescriptor { label: None, contents: &contents, usage });
        // Entry points that leave a buffer alone have no binding for it.
        let buffers = [&uniform, &from, &to];
        let bound: &[u32] = match point {
            "arithmetic" | "barrier" => &[0, 2],
            "stream" => &[0, 1, 2],
            _ => &[1, 2],
        };
        let entry =
            |&binding: &u32| wgpu::BindGroupEntry { binding, resource: buffers[binding as usize].as_entire_binding() };
        let entries: Vec<_> = bound.iter().map(entry).collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        for _ in 0..dispatches {
            pass.dispatch_workgroups(groups.min(SIDE) as u32, groups.div_ceil(SIDE) as u32, 1);
        }
        drop(pass);
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    };
    const ROUND: f64 = 64.0 * WIDTH as f64;
    let many = if gpu.is_software { 64 } else { 4096 };
    let flop = ROUND * many as f64 / seconds(|n| run("arithmetic", [n, 0], many, 1));
    let flop_of_group = ROUND / seconds(|n| run("arithmetic", [n, 0], 1, 1));
    let bytes = 2.0 * half as f64 / seconds(|n| run("traffic", [0, 0], (half / 16).div_ceil(WIDTH), n));
    let vectors = WEIGHTS.min(half) / 16;
    let bytes_of_group = 16.0 * vectors as f64 / seconds(|n| run("stream", [n, vectors as u32], 1, 1));
    let dispatch = seconds(|n| run("nothing", [0, 0], 1, n));
    let submit = seconds(|n| (0..n).for_each(|_| run("nothing", [0, 0], 1, 1)));
    let barrier = seconds(|n| run("barrier", [n, 0], 1, 1));
    Machine { flop, flop_of_group, bytes, bytes_of_group, dispatch, submit, barrier }
}
