//! WebGPU: runs planned calls.
//!
//! A [`Resident`] holds the three segments of a memory on the device; a [`Recording`] holds pipelines, bind groups and grids of calls
//! on it. Both are made once: submitting a recording encodes one compute pass and creates nothing else. Dispatches of a pass
//! run in order, each after what those before it have written. [`super::Runner`] submits many at a time.
//!
//! Each segment of a plan is one storage buffer; every operand is bound as a range of it, aligned to 256 bytes, with what is left of its
//! offset in the uniforms. All storage bindings are `read_write`, because WebGPU does not let one buffer be bound for reading and
//! for writing in one dispatch; [`crate::graph::Graph::plan`] has checked that ranges do not overlap where one is written. Uniforms:
//! offset and stride of each operand, then the kernel's parameter struct. An operand that a call leaves out has the offset
//! [`ABSENT`] and a binding of its own, which its shader never touches.

use super::Memory;
use super::group::{self, Group};
use super::schedule::{Dispatch as Scheduled, schedule};
use super::shaders;
use crate::error::{Error, Result};
use crate::graph::{ARENA, INDEX, PERSISTENT, Plan};
use crate::kernels::{Access, Call, Entry, GROUP};
use crate::shape::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use wgpu::util::{BufferInitDescriptor, DeviceExt};

/// Elements of 4 bytes in 256 bytes.
const ALIGNMENT: u32 = 64;

/// The offset of an operand that is left out; the same word as in `shaders/helpers/time_loop.wgsl`.
const ABSENT: u32 = u32::MAX;

/// A device and its queue.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// One for each entry that has been recorded, under its label.
    pipelines: RefCell<BTreeMap<&'static str, wgpu::ComputePipeline>>,
    /// What went wrong since, outside of what is awaited: the device was lost, or refused some work.
    fault: Arc<Mutex<Option<String>>>,
    /// What the adapter calls itself; many say nothing.
    pub adapter: String,
    /// True when the adapter is a program that computes on the processor.
    pub is_software: bool,
}

/// The segments of a memory on the device.
pub struct Resident(pub(super) [wgpu::Buffer; 3]);

/// Calls that are ready to be submitted.
pub struct Recording {
    dispatches: Vec<Dispatch>,
    /// What only they use: uniforms, operands that are copied, stand-ins for those that are left out.
    pub(super) buffers: Vec<wgpu::Buffer>,
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: [u32; 3],
    /// Operands that are copied first, to where they are bound.
    copies: Vec<(wgpu::Buffer, Range<u64>, wgpu::Buffer)>,
}

/// An error with the first line of a reason, which may be a page of a compiler's output. Without a browser, the first line of several says
/// no more than what kind of error it is.
pub(super) fn unavailable(why: impl std::fmt::Display) -> Error {
    let why = why.to_string();
    let told = if cfg!(target_arch = "wasm32") { 1 } else { 4 };
    let lines = why.lines().map(str::trim).filter(|line| !line.is_empty()).take(told);
    let line = lines.collect::<Vec<_>>().join(" ");
    Error::unavailable("WebGPU", line.trim_end_matches(['.', ' ']))
}

/// The stem of the kernel that an entry belongs to, and its entry point there.
fn shader(entry: &'static Entry) -> (&'static str, &'static str) {
    entry.label.split_once('.').expect("a label is a stem and an entry point")
}

/// The segment of a tensor, and the bytes of its binding: from the last multiple of 256 before its first element to its last one.
fn range(tensor: &Tensor) -> (u32, Range<u64>) {
    let start = tensor.offset / ALIGNMENT * ALIGNMENT;
    (tensor.buffer, u64::from(start) * 4..(u64::from(tensor.offset) + tensor.span() as u64) * 4)
}

impl Gpu {
    /// The device that everybody on this thread shares; a new one when the last has failed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none.
    pub async fn shared() -> Result<Rc<Self>> {
        thread_local! {
            static SHARED: RefCell<Option<Rc<Gpu>>> = const { RefCell::new(None) };
        }
        let shared = SHARED.with_borrow(Clone::clone).filter(|gpu| gpu.fault().is_none());
        if let Some(gpu) = shared {
            return Ok(gpu);
        }
        let gpu = Rc::new(Self::new().await?);
        SHARED.set(Some(Rc::clone(&gpu)));
        Ok(gpu)
    }

    /// Asks for an adapter and a device.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none.
    pub async fn new() -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let mut options = wgpu::RequestAdapterOptions::default();
        if cfg!(not(target_arch = "wasm32")) {
            options.power_preference = wgpu::PowerPreference::HighPerformance;
        }
        // The error is about wgpu's other backends, which are not compiled in.
        let adapter = instance.request_adapter(&options).await;
        let adapter = adapter.map_err(|_| unavailable("no graphics adapter was found"))?;
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(unavailable)?;
        let fault: Arc<Mutex<Option<String>>> = Arc::default();
        let note = |fault: &Arc<Mutex<Option<String>>>| {
            let fault = Arc::clone(fault);
            move |why: String| {
                // The first fault is the cause of those that follow.
                if let Ok(mut fault) = fault.lock() {
                    fault.get_or_insert(why);
                }
            }
        };
        let (lost, refused) = (note(&fault), note(&fault));
        device.set_device_lost_callback(move |_, message| {
            lost(if message.is_empty() { "the device was lost".to_owned() } else { message });
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| refused(error.to_string())));
        let name = [info.name, info.driver].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let adapter = name.join(" ");
        let is_software = info.device_type == wgpu::DeviceType::Cpu;
        Ok(Self { device, queue, pipelines: RefCell::default(), fault, adapter, is_software })
    }

    /// What went wrong since the device was made; afterwards it cannot be used any more.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().map_or_else(|_| Some("the device is poisoned".to_owned()), |fault| fault.clone())
    }

    /// Ends the device: whatever waits for it fails.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// The device, for those who measure it.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Where work goes.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Segments of some lengths on the device, all 0.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device cannot bind one of them.
    pub fn allocate(&self, lengths: [usize; 3]) -> Result<Resident> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        // No buffer is empty.
        let sizes = lengths.map(|elements| (elements + ALIGNMENT as usize) as u64 * 4);
        let limits = self.device.limits();
        let most = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        if let Some(size) = sizes.into_iter().find(|&size| size > most) {
            return Err(unavailable(format!("the session needs {size} bytes in one buffer, the device has {most}")));
        }
        Ok(Resident(sizes.map(|size| {
            self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        })))
    }

    /// Copies a memory to the device.
    pub fn upload(&self, memory: &Memory<f32>) -> Resident {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        Resident([PERSISTENT, ARENA, INDEX].map(|segment| {
            let mut contents = memory.bytes(segment).to_vec();
            // No buffer is empty.
            contents.resize(contents.len() + 4 * ALIGNMENT as usize, 0);
            self.device.create_buffer_init(&BufferInitDescriptor { label: None, contents: &contents, usage })
        }))
    }

    /// Writes a contiguous tensor before whatever is submitted next.
    pub fn write(&self, resident: &Resident, tensor: Tensor, words: &[u8]) {
        assert_eq!(tensor.span() * 4, words.len(), "as many values as the tensor has elements, side by side");
        self.queue.write_buffer(&resident.0[tensor.buffer as usize], u64::from(tensor.offset) * 4, words);
    }

    /// Reads a segment, after everything that was submitted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device is lost.
    pub async fn read(&self, resident: &Resident, segment: u32, range: Range<u64>) -> Result<Vec<u8>> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let size = range.end - range.start;
        let staging = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let staging = self.device.create_buffer(&staging);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&resident.0[segment as usize], range.start, &staging, 0, size);
        let work = self.queue.submit([encoder.finish()]);
        Mapping::begin(&self.device, work, &staging).done().await?;
        Ok(staging.get_mapped_range(..).map_err(unavailable)?.to_vec())
    }

    /// Makes pipelines, bind groups and grids for some calls of a plan. The weight gradients of a step become one dispatch.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device refuses one of them, or a call has more workgroups than it runs at once.
    pub async fn record(&self, plan: &Plan, calls: Range<usize>, resident: &Resident) -> Result<Recording> {
        let most = self.device.limits().max_compute_workgroups_per_dimension;
        for dispatch in schedule(plan, calls.clone()) {
            let largest = dispatch.grid().into_iter().max().unwrap_or(0);
            if largest > most {
                let label = dispatch.label();
                return Err(unavailable(format!("{label} needs {largest} workgroups, the device runs {most}")));
            }
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let recording = self.record_unchecked(plan, calls, resident);
        match scope.pop().await {
            Some(error) => Err(unavailable(error)),
            None => Ok(recording),
        }
    }

    /// As [`Gpu::record`], but what the device refuses becomes its fault.
    pub(super) fn record_unchecked(&self, plan: &Plan, calls: Range<usize>, resident: &Resident) -> Recording {
        let mut buffers = Vec::new();
        let make = |scheduled: &Scheduled| match scheduled {
            Scheduled::Call(call) => self.dispatch(call, resident, &mut buffers),
            Scheduled::Group(group) => self.group(group, resident, &mut buffers),
        };
        let dispatches = schedule(plan, calls).iter().map(make).collect();
        Recording { dispatches, buffers }
    }

    /// Runs a recording: one submit, and one pass but for the copies that operands need whose bindings meet.
    pub fn submit(&self, recording: &Recording) {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        recording.encode(&mut encoder);
        self.queue.submit([encoder.finish()]);
    }
}

impl Recording {
    /// Dispatches of a run.
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// Appends the calls to what will be submitted.
    pub(super) fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut dispatches = self.dispatches.iter().peekable();
        while dispatches.peek().is_some() {
            for (from, range, copy) in dispatches.peek().into_iter().flat_map(|next| &next.copies) {
                let size = range.end - range.start;
                encoder.copy_buffer_to_buffer(from, range.start, copy, 0, size);
            }
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let mut first = true;
            while let Some(dispatch) = dispatches.next_if(|next| std::mem::take(&mut first) || next.copies.is_empty()) {
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.group, &[]);
                let [x, y, z] = dispatch.grid;
                pass.dispatch_workgroups(x, y, z);
            }
        }
    }
}

impl Gpu {
    /// Runs some calls of a plan on the numbers of a memory, and puts the results back there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device reports an error.
    pub async fn run(&self, plan: &Plan, calls: Range<usize>, memory: &mut Memory<f32>) -> Result<()> {
        let resident = self.upload(memory);
        let recording = self.record(plan, calls, &resident).await?;
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        self.submit(&recording);
        if let Some(error) = scope.pop().await {
            return Err(unavailable(error));
        }
        for segment in [PERSISTENT, ARENA] {
            let size = resident.0[segment as usize].size();
            memory.set_bytes(segment, &self.read(&resident, segment, 0..size).await?);
        }
        Ok(())
    }

    fn pipeline(&self, label: &'static str, (stem, point): (&str, &str)) -> wgpu::ComputePipeline {
        let make = || {
            let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(label),
                source: wgpu::ShaderSource::Wgsl(shaders::text(stem).into()),
            });
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: None,
                module: &module,
                entry_point: Some(point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        self.pipelines.borrow_mut().entry(label).or_insert_with(make).clone()
    }

    /// The weight gradients of a plan.
    fn group(&self, group: &Group, resident: &Resident, buffers: &mut Vec<wgpu::Buffer>) -> Dispatch {
        let pipeline = self.pipeline(group::LABEL, (GROUP, group::POINT));
        let make = |words: &[u32], usage| {
            let contents = bytemuck::cast_slice(words);
            self.device.create_buffer_init(&BufferInitDescriptor { label: Some(group::LABEL), contents, usage })
        };
        let words = [group.jobs.len() as u32, group.tiles(), group.workgroups(), group.norm];
        let uniforms = make(&words, wgpu::BufferUsages::UNIFORM);
        let table = make(&group.table(), wgpu::BufferUsages::STORAGE);
        let [persistent, arena, index] = &resident.0;
        let bound = [&uniforms, persistent, arena, index, &table];
        let entries: Vec<_> = (0..)
            .zip(bound)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let entries = &entries[..];
        let bind = wgpu::BindGroupDescriptor { label: Some(group::LABEL), layout, entries };
        let bind = self.device.create_bind_group(&bind);
        buffers.extend([uniforms.clone(), table.clone()]);
        Dispatch { pipeline, group: bind, grid: [group.workgroups(), 1, 1], copies: Vec::new() }
    }

    fn dispatch(&self, call: &Call, resident: &Resident, buffers: &mut Vec<wgpu::Buffer>) -> Dispatch {
        let label = call.entry.label;
        let pipeline = self.pipeline(label, shader(call.entry));
        // An operand that is left out has a buffer of its own, and so has one that is only read and whose range meets another's:
        // writable bindings must not overlap, even when nothing is written there.
        let ranges: Vec<_> = call.operands.iter().map(|tensor| tensor.map(|tensor| range(&tensor))).collect();
        let written = |at: usize| call.entry.operands[at].access != Access::Read;
        let make = |size| {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let mut copies = Vec::new();
        let mut own = Vec::new();
        for (at, place) in ranges.iter().enumerate() {
            let Some((segment, range)) = place else {
                own.push(Some(make(16)));
                continue;
            };
            let meets = |other: usize| {
                let same = |(of, other): &(u32, Range<u64>)| {
                    of == segment && other.start < range.end && range.start < other.end
                };
                other != at && ranges[other].as_ref().is_some_and(same)
            };
            let yields = !written(at) && (0..ranges.len()).any(|other| meets(other) && (other < at || written(other)));
            own.push(yields.then(|| {
                let buffer = make(range.end - range.start);
                copies.push((resident.0[*segment as usize].clone(), range.clone(), buffer.clone()));
                buffer
            }));
        }
        let mut words = Vec::new();
        let mut bindings = Vec::new();
        for ((tensor, range), own) in call.operands.iter().zip(&ranges).zip(&own) {
            words.extend(tensor.map_or([ABSENT, 0], |tensor| [tensor.offset % ALIGNMENT, tensor.stride]));
            bindings.push(match (own, range) {
                (Some(buffer), _) => wgpu::BufferBinding { buffer, offset: 0, size: None },
                (None, Some((segment, range))) => wgpu::BufferBinding {
                    buffer: &resident.0[*segment as usize],
                    offset: range.start,
                    size: NonZeroU64::new(range.end - range.start),
                },
                (None, None) => unreachable!("an operand that is left out has a buffer of its own"),
            });
        }
        words.extend(call.words);
        let uniforms = self.device.create_buffer_init(&BufferInitDescriptor {
            label: Some(label),
            contents: bytemuck::cast_slice(&words),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() }];
        for (index, binding) in bindings.into_iter().enumerate() {
            let resource = wgpu::BindingResource::Buffer(binding);
            entries.push(wgpu::BindGroupEntry { binding: index as u32 + 1, resource });
        }
        buffers.push(uniforms.clone());
        buffers.extend(own.iter().flatten().cloned());
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        Dispatch { pipeline, group, grid: (call.entry.grid)(call), copies }
    }
}

/// A buffer on its way to the host.
#[derive(Clone)]
pub(super) struct Mapping {
    device: wgpu::Device,
    /// What is waited for: the work that fills the buffer.
    work: wgpu::SubmissionIndex,
    state: Arc<Mutex<MappingState>>,
}

#[derive(Default)]
struct MappingState {
    outcome: Option<std::result::Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

impl Mapping {
    /// Asks for a buffer that `work` fills.
    pub(super) fn begin(device: &wgpu::Device, work: wgpu::SubmissionIndex, buffer: &wgpu::Buffer) -> Self {
        let mapping = Self { device: device.clone(), work, state: Arc::default() };
        let state = Arc::clone(&mapping.state);
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            let mut state = state.lock().expect("nobody panics with it");
            state.outcome = Some(result);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        });
        mapping
    }

    /// A browser tells by itself what has come; without one, somebody has to ask.
    fn ask(&self, kind: wgpu::PollType) {
        if cfg!(not(target_arch = "wasm32")) {
            // What goes wrong is told to the buffer and to the callback of lost devices.
            let _ = self.device.poll(kind);
        }
    }

    fn told(&self) -> Option<Result<()>> {
        // The error says no more than that it did not come, and it comes before the loss of the device is told.
        let outcome = self.state.lock().expect("nobody panics with it").outcome.clone();
        outcome.map(|result| result.map_err(|_| unavailable("the device was lost")))
    }

    /// How it went, once it is there.
    pub(super) fn outcome(&self) -> Option<Result<()>> {
        self.ask(wgpu::PollType::Poll);
        self.told()
    }

    /// Waits until it is there.
    pub(super) async fn done(self) -> Result<()> {
        self.ask(wgpu::PollType::Wait { submission_index: Some(self.work.clone()), timeout: None });
        poll_fn(|context| match self.told() {
            Some(result) => Poll::Ready(result),
            None => {
                self.state.lock().expect("nobody panics with it").waker = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}
