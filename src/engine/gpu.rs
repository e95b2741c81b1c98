//! WebGPU: runs planned calls whose kernels have a shader.
//!
//! Each segment of a plan is one storage buffer; every operand is bound as a range of it, aligned to 256 bytes, with what is left of its
//! offset in the uniforms. All storage bindings are `read_write`, because WebGPU does not let one buffer be bound for reading and
//! for writing in one dispatch; [`crate::graph::Graph::plan`] has checked that ranges do not overlap where one is written. Uniforms:
//! offset and stride of each operand, then the kernel's parameter struct. An operand that a call leaves out has the offset
//! [`ABSENT`] and a binding of its own, which its shader never touches.

use super::Memory;
use crate::error::{Error, Result};
use crate::graph::{ARENA, INDEX, PERSISTENT, Plan};
use crate::kernels::{Call, Entry, KERNELS, WORDS};
use crate::shape::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroU64;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker};
use wgpu::util::{BufferInitDescriptor, DeviceExt};

/// Elements of 4 bytes in 256 bytes.
const ALIGNMENT: u32 = 64;

/// The offset of an operand that is left out; the same word as in `shaders/helpers/recurrence.wgsl`.
const ABSENT: u32 = u32::MAX;

/// A device and its queue.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// One for each entry that has run, under its label.
    pipelines: RefCell<BTreeMap<&'static str, wgpu::ComputePipeline>>,
    /// What the adapter calls itself.
    pub adapter: String,
}

fn unavailable(why: impl std::fmt::Display) -> Error {
    Error::unavailable("WebGPU", why.to_string())
}

/// The shader of the kernel that an entry belongs to, and its entry point there.
fn shader(entry: &'static Entry) -> (&'static str, &'static str) {
    let (stem, point) = entry.label.split_once('.').expect("a label is a stem and an entry point");
    let kernel = KERNELS.iter().find(|kernel| kernel.stem == stem).expect("every entry belongs to a kernel");
    (kernel.shader, point)
}

/// The segment of a tensor, and the bytes of its binding: from the last multiple of 256 before its first element to its last one.
fn range(tensor: &Tensor) -> (u32, Range<u64>) {
    let start = tensor.offset / ALIGNMENT * ALIGNMENT;
    (tensor.buffer, u64::from(start) * 4..(u64::from(tensor.offset) + tensor.span() as u64) * 4)
}

impl Gpu {
    /// Asks for an adapter and a device.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none.
    pub async fn new() -> Result<Self> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.map_err(unavailable)?;
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(unavailable)?;
        let adapter = format!("{} {}", info.name, info.driver);
        Ok(Self { device, queue, pipelines: RefCell::default(), adapter })
    }

    /// Runs some calls of a plan on the numbers of a memory, and puts the results back there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the device reports an error.
    pub async fn run(&self, plan: &Plan, calls: Range<usize>, memory: &mut Memory<f32>) -> Result<()> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let segments = [PERSISTENT, ARENA, INDEX].map(|segment| {
            let mut contents = memory.bytes(segment).to_vec();
            // A binding has at least one element, and the last one may reach to the end of its block.
            contents.resize(contents.len() + 4 * ALIGNMENT as usize, 0);
            self.device.create_buffer_init(&BufferInitDescriptor { label: None, contents: &contents, usage })
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for call in &plan.calls()[calls] {
            self.dispatch(&mut encoder, call, &segments);
        }
        let staging = segments.each_ref().map(|buffer| {
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let descriptor =
                wgpu::BufferDescriptor { label: None, size: buffer.size(), usage, mapped_at_creation: false };
            let staging = self.device.create_buffer(&descriptor);
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
            staging
        });
        self.queue.submit([encoder.finish()]);
        if let Some(error) = scope.pop().await {
            return Err(unavailable(error));
        }
        for (segment, staging) in [PERSISTENT, ARENA].into_iter().zip(&staging) {
            mapped(staging).await?;
            let view = staging.get_mapped_range(..).map_err(unavailable)?;
            memory.set_bytes(segment, &view);
        }
        Ok(())
    }

    fn pipeline(&self, entry: &'static Entry) -> wgpu::ComputePipeline {
        let make = || {
            let (source, point) = shader(entry);
            let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(entry.label),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry.label),
                layout: None,
                module: &module,
                entry_point: Some(point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        self.pipelines.borrow_mut().entry(entry.label).or_insert_with(make).clone()
    }

    fn dispatch(&self, encoder: &mut wgpu::CommandEncoder, call: &Call, segments: &[wgpu::Buffer; 3]) {
        let label = call.entry.label;
        let pipeline = self.pipeline(call.entry);
        // An operand that is left out, and one that lies where another does, has a buffer of its own: writable bindings must not
        // overlap, even when nothing is written.
        let ranges: Vec<_> = call.operands.iter().map(|tensor| tensor.map(|tensor| range(&tensor))).collect();
        let own: Vec<Option<wgpu::Buffer>> = (0..ranges.len())
            .map(|at| {
                let make = |size| {
                    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
                    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
                    self.device.create_buffer(&descriptor)
                };
                let Some((segment, range)) = &ranges[at] else { return Some(make(16)) };
                let meets = |other: &Option<(u32, Range<u64>)>| {
                    let meets = |(of, other): &(u32, Range<u64>)| {
                        of == segment && other.start < range.end && range.start < other.end
                    };
                    other.as_ref().is_some_and(meets)
                };
                ranges[..at].iter().any(meets).then(|| {
                    let buffer = make(range.end - range.start);
                    let from = &segments[*segment as usize];
                    encoder.copy_buffer_to_buffer(from, range.start, &buffer, 0, range.end - range.start);
                    buffer
                })
            })
            .collect();
        let mut words = Vec::new();
        let mut bindings = Vec::new();
        for ((tensor, range), own) in call.operands.iter().zip(&ranges).zip(&own) {
            words.extend(tensor.map_or([ABSENT, 0], |tensor| [tensor.offset % ALIGNMENT, tensor.stride]));
            bindings.push(match (own, range) {
                (Some(buffer), _) => wgpu::BufferBinding { buffer, offset: 0, size: None },
                (None, Some((segment, range))) => wgpu::BufferBinding {
                    buffer: &segments[*segment as usize],
                    offset: range.start,
                    size: NonZeroU64::new(range.end - range.start),
                },
                (None, None) => unreachable!("an operand that is left out has a buffer of its own"),
            });
        }
        words.extend(call.words);
        debug_assert!(words.len() <= 2 * call.operands.len() + WORDS);
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
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(label),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = (call.entry.grid)(call);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// Waits until a buffer can be read.
async fn mapped(buffer: &wgpu::Buffer) -> Result<()> {
    type State = (Option<std::result::Result<(), wgpu::BufferAsyncError>>, Option<Waker>);
    let state: Rc<RefCell<State>> = Rc::default();
    let done = Rc::clone(&state);
    buffer.map_async(wgpu::MapMode::Read, .., move |result| {
        let mut state = done.borrow_mut();
        state.0 = Some(result);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    });
    poll_fn(|context| {
        let mut state = state.borrow_mut();
        match state.0.take() {
            Some(result) => Poll::Ready(result.map_err(unavailable)),
            None => {
                state.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
