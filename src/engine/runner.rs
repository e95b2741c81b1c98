//! Steps of a plan on the GPU, many a submit.
//!
//! A step is: the step's own inputs are copied from a block that the host has written in one go, the plan's calls run in one pass, what the
//! step says is copied to a ring. Nothing is awaited in between; results arrive when they arrive, at most [`IN_FLIGHT`] submits
//! later. After warm-up nothing is created: buffers, pipelines and bind groups are those of [`Runner::new`].

use super::Memory;
use super::gpu::{Gpu, Mapping, Recording, Resident, unavailable};
use crate::error::Result;
use crate::graph::{PERSISTENT, Plan};
use crate::shape::Tensor;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Submits whose results are under way.
pub const IN_FLIGHT: usize = 3;

/// Most steps a submit.
const MOST_STEPS: usize = 64;

/// Bytes of inputs that a submit brings along, at most.
const BLOCK: usize = 8 << 20;

/// A plan on the GPU with what goes in and comes out of each step. All tensors are contiguous.
pub struct Runner {
    gpu: Rc<Gpu>,
    resident: Resident,
    plan: Plan,
    calls: Range<usize>,
    recording: Recording,
    /// Timesteps of a dispatch, at most.
    loop_steps: u32,
    feeds: Vec<Tensor>,
    reads: Vec<Tensor>,
    keeps: Vec<Tensor>,
    /// Inputs of the steps of the next submit, one after another.
    block: Vec<u32>,
    inputs: wgpu::Buffer,
    /// What the steps of a submit have said, one buffer for each submit in flight.
    results: Vec<wgpu::Buffer>,
    /// The persistent tensors that are kept, on their way to the host.
    kept: wgpu::Buffer,
    free: Vec<usize>,
    under_way: VecDeque<(usize, usize, Mapping)>,
}

/// Elements of some tensors.
fn words(tensors: &[Tensor]) -> usize {
    tensors.iter().map(|tensor| tensor.shape.len()).sum()
}

impl Runner {
    /// Puts a plan on the GPU, all numbers 0. `feeds` are written before each step, `reads` are read after each, `keeps` are what
    /// [`Runner::fetch`] reads.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the device refuses something or has not enough memory.
    pub async fn new(
        gpu: Rc<Gpu>,
        plan: &Plan,
        calls: Range<usize>,
        persistent_len: usize,
        [feeds, reads, keeps]: [Vec<Tensor>; 3],
    ) -> Result<Self> {
        let most = (BLOCK / 4 / words(&feeds).max(1)).clamp(1, MOST_STEPS);
        let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory];
        let [refused, short] = scopes.map(|filter| gpu.device().push_error_scope(filter));
        let resident = gpu.allocate([persistent_len, plan.arena_len, plan.index_len])?;
        let make = |elements: usize, usage| {
            let size = (elements.max(1) * 4) as u64;
            gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let readable = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let inputs = make(most * words(&feeds), wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST);
        let results = (0..IN_FLIGHT).map(|_| make(most * words(&reads), readable)).collect();
        let kept = make(words(&keeps), readable);
        let (short, refused) = (short.pop(), refused.pop());
        if let Some(error) = short.await.or(refused.await) {
            return Err(unavailable(error));
        }
        let recording = gpu.record(plan, calls.clone(), &resident).await?;
        let block = vec![0; most * words(&feeds)];
        let (free, under_way) = ((0..IN_FLIGHT).collect(), VecDeque::new());
        let (plan, loop_steps) = (plan.clone(), u32::MAX);
        Ok(Self {
            gpu,
            resident,
            plan,
            calls,
            recording,
            loop_steps,
            feeds,
            reads,
            keeps,
            block,
            inputs,
            results,
            kept,
            free,
            under_way,
        })
    }

    /// The device.
    pub fn gpu(&self) -> &Rc<Gpu> {
        &self.gpu
    }

    /// From now on, no dispatch runs more timesteps than this. Devices end those that take too long.
    pub fn cut_loops(&mut self, steps: u32) {
        if steps >= self.loop_steps {
            return;
        }
        self.loop_steps = steps;
        let (from, to) = (self.plan.mark(self.calls.start), self.plan.mark(self.calls.end - 1));
        let parts = self.plan.in_parts(steps);
        let recording = self.gpu.record_unchecked(&parts, parts.range(from, to), &self.resident);
        // Submits under way keep what they use of the old one.
        std::mem::replace(&mut self.recording, recording).buffers.iter().for_each(wgpu::Buffer::destroy);
    }

    /// Most steps that a submit takes.
    pub fn most_steps(&self) -> usize {
        self.block.len() / words(&self.feeds).max(1)
    }

    /// Steps that were submitted and have not been collected.
    pub fn steps_under_way(&self) -> usize {
        self.under_way.iter().map(|(_, steps, _)| steps).sum()
    }

    /// True when another submit may follow.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Asks for the inputs of a step of the next submit, one feed after another.
    pub fn feed(&mut self, step: usize, mut write: impl FnMut(&mut [u32])) {
        let size = words(&self.feeds);
        let mut rest = &mut self.block[step * size..][..size];
        for feed in &self.feeds {
            let (own, others) = rest.split_at_mut(feed.shape.len());
            write(own);
            rest = others;
        }
    }

    /// Submits the steps that have been fed.
    pub fn submit(&mut self, steps: usize) {
        let at = self.free.pop().expect("there is room");
        let (fed, said) = (words(&self.feeds), words(&self.reads));
        self.gpu.queue().write_buffer(&self.inputs, 0, bytemuck::cast_slice(&self.block[..steps * fed]));
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let segment = |tensor: &Tensor| (&self.resident.0[tensor.buffer as usize], u64::from(tensor.offset) * 4);
        for step in 0..steps {
            let mut from = (step * fed * 4) as u64;
            for feed in &self.feeds {
                let ((buffer, start), size) = (segment(feed), (feed.shape.len() * 4) as u64);
                encoder.copy_buffer_to_buffer(&self.inputs, from, buffer, start, size);
                from += size;
            }
            self.recording.encode(&mut encoder);
            let mut to = (step * said * 4) as u64;
            for read in &self.reads {
                let ((buffer, start), size) = (segment(read), (read.shape.len() * 4) as u64);
                encoder.copy_buffer_to_buffer(buffer, start, &self.results[at], to, size);
                to += size;
            }
        }
        let work = self.gpu.queue().submit([encoder.finish()]);
        self.under_way.push_back((at, steps, Mapping::begin(self.gpu.device(), work, &self.results[at])));
    }

    /// What the oldest submit has said, step after step, if it is there.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the device was lost or has refused the work.
    pub fn collect(&mut self) -> Option<Result<Vec<f32>>> {
        if let Some(fault) = self.gpu.fault() {
            return Some(Err(unavailable(fault)));
        }
        let (at, steps, mapping) = self.under_way.front()?;
        let (at, len) = (*at, steps * words(&self.reads));
        let outcome = mapping.outcome()?;
        self.under_way.pop_front();
        self.free.push(at);
        Some(outcome.and_then(|()| self.unload(&self.results[at], len)))
    }

    /// Ready when the oldest submit has been done; at once when there is none.
    pub fn oldest(&self) -> impl Future<Output = ()> + use<> {
        let mapping = self.under_way.front().map(|(.., mapping)| mapping.clone());
        async move {
            if let Some(mapping) = mapping {
                // How it went is the business of `collect`.
                let _ = mapping.done().await;
            }
        }
    }

    /// Asks for the tensors that are kept, as they are after everything that was submitted. When that is there, [`Runner::fetched`] reads
    /// them. One at a time.
    pub fn fetch(&self) -> impl Future<Output = Result<()>> + use<> {
        let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut to = 0;
        for keep in &self.keeps {
            let (from, size) = (u64::from(keep.offset) * 4, (keep.shape.len() * 4) as u64);
            encoder.copy_buffer_to_buffer(&self.resident.0[keep.buffer as usize], from, &self.kept, to, size);
            to += size;
        }
        let work = self.gpu.queue().submit([encoder.finish()]);
        Mapping::begin(self.gpu.device(), work, &self.kept).done()
    }

    /// What [`Runner::fetch`] has brought.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the device was lost.
    pub fn fetched(&self) -> Result<Vec<f32>> {
        self.unload(&self.kept, words(&self.keeps))
    }

    /// Reads a buffer that is mapped, and gives it back to the device.
    fn unload(&self, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<f32>> {
        let values = {
            let range = buffer.get_mapped_range(..).map_err(unavailable)?;
            bytemuck::pod_collect_to_vec(&range[..len * 4])
        };
        buffer.unmap();
        Ok(values)
    }

    /// Overwrites the persistent segment, before whatever is submitted next.
    pub fn write(&self, memory: &Memory<f32>) {
        self.gpu.queue().write_buffer(&self.resident.0[PERSISTENT as usize], 0, memory.bytes(PERSISTENT));
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Not left to the garbage collector, which does not see how much memory they stand for.
        let buffers = self.resident.0.iter().chain(&self.results).chain([&self.inputs, &self.kept]);
        let buffers = buffers.chain(&self.recording.buffers);
        buffers.for_each(wgpu::Buffer::destroy);
    }
}
