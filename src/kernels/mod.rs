//! Kernels: the arithmetic of training, one kernel a file.
//!
//! Floor 1. A kernel has entries (mostly `forward` and `backward`). An entry holds its operands, `reference` (plain loops, generic
//! over f32 and f64, the order of the shader), `cpu` (f32 with SIMD, the engine of every visitor without WebGPU), the grid of its
//! dispatch and its gradient rule. A [`Call`] is one entry with operands and sizes: pure data. [`stems!`] lists every kernel.
//! Kernels know tensors, not models: what a call means to a network is the business of the floors above.

/// A generic function as [`Reference`].
macro_rules! reference {
    ($plain:ident) => {{
        const _: fn(super::Arguments<f64>) = $plain;
        super::Reference {
            #[cfg(feature = "reference")]
            single: $plain,
            #[cfg(feature = "reference")]
            double: $plain,
        }
    }};
}

/// The table of all kernels, a line a stem: calls a macro with the words after its name, the recurrent cells in the order of menus, and
/// the other kernels in the order of their stems. Modules, [`KERNELS`], [`CELLS`], the menus and the tests of each kernel come from it.
#[macro_export]
macro_rules! stems {
    ($then:ident $($with:ident)*) => {
        $then! {
            with { $($with)* }
            cells {
                elman
                lstm
                gru
                mingru
                minlstm
                qrnn
            }
            others {
                activation
                adam
                additive_attention
                attention
                carry
                causal_conv
                copy
                cross_entropy
                fill
                gather
                layer_norm
                mean_squared_error
                norm
                position
                product
                rmsprop
                row_sum
                selective_scan
                sgd
                wkv
            }
        }
    };
}

/// Declares a module for each stem, and the tables.
macro_rules! declare {
    (with {} cells { $($cell:ident)* } others { $($stem:ident)* }) => {
        $(pub mod $cell;)*
        $(pub mod $stem;)*

        /// Every kernel.
        pub static KERNELS: &[&Kernel] = &[$(&$cell::KERNEL,)* $(&$stem::KERNEL,)*];

        /// Every recurrent cell, in the order of menus.
        pub static CELLS: &[&recurrence::Cell] = &[$(&$cell::CELL,)*];
    };
}

stems!(declare);

pub mod recurrence;
pub mod residual;
pub mod scan;
pub mod simd;
pub mod update;

use crate::shape::{Shape, Tensor};
use bytemuck::{Pod, Zeroable};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// The WGSL of the weight gradients of a step as one dispatch, which stands for many calls and is no kernel of its own.
pub static GROUP_SHADER: &str = shader!("../../shaders/group.wgsl", "../../shaders/helpers/parts.wgsl");
/// Its stem.
pub const GROUP: &str = "group";

/// The WGSL of a stem; empty without the feature `shaders`.
pub fn shader(stem: &str) -> &'static str {
    let kernel = KERNELS.iter().find(|kernel| kernel.stem == stem);
    kernel.map_or(GROUP_SHADER, |kernel| kernel.shader)
}

/// The WGSL of all stems, as a file.
pub fn shader_file() -> String {
    let stems = KERNELS.iter().map(|kernel| kernel.stem).chain([GROUP]);
    crate::wgsl::file(stems.map(|stem| (stem, shader(stem))))
}

/// A real number that the reference is generic over.
pub trait Real:
    Copy
    + PartialOrd
    + Default
    + Send
    + Sync
    + std::fmt::Debug
    + Pod
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The smallest positive normal number. State adjoints below it become 0 on every engine.
    const FLOOR: Self;
    /// The nearest number.
    fn of(value: f64) -> Self;
    /// The same number.
    fn wide(self) -> f64;
    /// eˣ.
    fn exp(self) -> Self;
    /// ln x.
    fn ln(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// erf x = 2/√π ∫₀ˣ e^{−t²} dt.
    fn erf(self) -> Self;
    /// |x|.
    fn abs(self) -> Self {
        if self < Self::ZERO { -self } else { self }
    }
    /// 1 / (1 + e⁻ˣ), without overflow on either side.
    fn sigmoid(self) -> Self {
        let e = (-self.abs()).exp();
        let share = Self::ONE / (Self::ONE + e);
        if self < Self::ZERO { e * share } else { share }
    }
    /// 0 below [`Real::FLOOR`]: vanishing gradients stop at the same line on every engine.
    fn flush(self) -> Self {
        if self.abs() < Self::FLOOR { Self::ZERO } else { self }
    }
    /// The largest absolute value; NaN when one is not finite.
    fn largest(values: &[Self]) -> f64;
    /// The nearest numbers, element by element.
    fn round(to: &mut [Self], from: &[f32]);
}

/// As [`Real::largest`]; instantiated here, where loops are compiled for speed.
fn largest<F: Real>(values: &[F]) -> f64 {
    // Sixteen maxima side by side, and sums of 0·v, which are 0 unless some v is not finite: the loop has no branch.
    let (mut largest, mut faults) = ([F::ZERO; 16], [F::ZERO; 16]);
    let mut visit = |chunk: &[F]| {
        for ((largest, fault), &value) in largest.iter_mut().zip(&mut faults).zip(chunk) {
            let size = if value < F::ZERO { F::ZERO - value } else { value };
            *largest = if size > *largest { size } else { *largest };
            *fault += value * F::ZERO;
        }
    };
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder();
    chunks.for_each(&mut visit);
    visit(rest);
    let nan: f64 = faults.iter().map(|fault| fault.wide()).sum();
    largest.iter().map(|largest| largest.wide()).fold(nan, |most, largest| if most < largest { largest } else { most })
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const FLOOR: Self = f32::MIN_POSITIVE;
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn exp(self) -> Self {
        libm::expf(self)
    }
    fn ln(self) -> Self {
        libm::logf(self)
    }
    fn tanh(self) -> Self {
        libm::tanhf(self)
    }
    fn sqrt(self) -> Self {
        libm::sqrtf(self)
    }
    fn erf(self) -> Self {
        libm::erff(self)
    }
    fn largest(values: &[Self]) -> f64 {
        largest(values)
    }
    fn round(to: &mut [Self], from: &[f32]) {
        to.copy_from_slice(from);
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const FLOOR: Self = f64::MIN_POSITIVE;
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        libm::exp(self)
    }
    fn ln(self) -> Self {
        libm::log(self)
    }
    fn tanh(self) -> Self {
        libm::tanh(self)
    }
    fn sqrt(self) -> Self {
        libm::sqrt(self)
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
    fn largest(values: &[Self]) -> f64 {
        largest(values)
    }
    fn round(to: &mut [Self], from: &[f32]) {
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = f64::from(from));
    }
}

/// What a kernel does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only reads it.
    Read,
    /// Overwrites all of it.
    Write,
    /// Reads and changes it.
    Update,
}

/// What an operand holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Real numbers.
    Real,
    /// Symbols or classes, 32 bits.
    Index,
}

/// One operand of an entry: a binding of its shader.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// Name, the same in Rust and WGSL.
    pub name: &'static str,
    /// Read, written or both.
    pub access: Access,
    /// Reals or indices.
    pub element: Element,
    /// True when a call may leave it out.
    pub optional: bool,
}

impl Operand {
    const fn new(name: &'static str, access: Access) -> Self {
        Self { name, access, element: Element::Real, optional: false }
    }
    /// An operand that is only read.
    pub const fn read(name: &'static str) -> Self {
        Self::new(name, Access::Read)
    }
    /// An operand that is overwritten.
    pub const fn write(name: &'static str) -> Self {
        Self::new(name, Access::Write)
    }
    /// An operand that is changed.
    pub const fn update(name: &'static str) -> Self {
        Self::new(name, Access::Update)
    }
    /// Symbols or classes.
    pub const fn index(name: &'static str) -> Self {
        Self { element: Element::Index, ..Self::read(name) }
    }
    /// The same, but a call may leave it out.
    pub const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// The sizes and switches of a call: the last words of the uniform buffer of its shader.
pub const WORDS: usize = 12;

/// One kernel call, as data.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub entry: &'static Entry,
    /// One for each of the entry's operands.
    pub operands: Vec<Option<Tensor>>,
    /// The kernel's own parameter struct, as words.
    pub words: [u32; WORDS],
}

impl Call {
    /// A call. `params` is the kernel's parameter struct; operands are in the order of the entry.
    pub fn new<P: Pod>(entry: &'static Entry, params: P, operands: &[Option<Tensor>]) -> Self {
        assert_eq!(operands.len(), entry.operands.len(), "{}: number of operands", entry.label);
        for (spec, operand) in entry.operands.iter().zip(operands) {
            assert!(spec.optional || operand.is_some(), "{}: {} is missing", entry.label, spec.name);
        }
        let mut words = [0; WORDS];
        let bytes = bytemuck::bytes_of(&params);
        bytemuck::bytes_of_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { entry, operands: operands.to_vec(), words }
    }

    /// The same with another parameter struct.
    pub fn with<P: Pod>(&self, params: P) -> Self {
        Self::new(self.entry, params, &self.operands)
    }

    /// The kernel's parameter struct.
    pub fn params<P: Pod>(&self) -> P {
        bytemuck::pod_read_unaligned(&bytemuck::bytes_of(&self.words)[..size_of::<P>()])
    }

    /// An operand that must be there.
    pub fn tensor(&self, at: usize) -> Tensor {
        self.operands[at].unwrap_or_else(|| panic!("{}: {} is missing", self.entry.label, self.entry.operands[at].name))
    }

    /// The operands that it writes.
    pub fn written(&self) -> impl Iterator<Item = Tensor> {
        let operands = self.entry.operands.iter().zip(&self.operands);
        operands.filter_map(|(spec, tensor)| tensor.filter(|_| spec.access != Access::Read))
    }
}

/// The plain version of an entry in both precisions. It judges the others, in tests: the package that is shipped is built without the
/// feature `reference`, and does not carry it.
pub struct Reference {
    /// In f32.
    #[cfg(feature = "reference")]
    pub single: fn(Arguments<f32>),
    /// In f64.
    #[cfg(feature = "reference")]
    pub double: fn(Arguments<f64>),
}

/// One entry point of a kernel.
pub struct Entry {
    /// `stem.name`, such as `gru.forward`; also the label on the GPU.
    pub label: &'static str,
    /// Its operands.
    pub operands: &'static [Operand],
    /// Plain loops.
    pub reference: Reference,
    /// The fast version.
    pub cpu: fn(Arguments<f32>),
    /// Elements of scratch memory that `cpu` needs.
    pub scratch: fn(&Call) -> usize,
    /// Workgroups of its dispatch.
    pub grid: fn(&Call) -> [u32; 3],
    /// Floating-point operations of its products, each multiplication and each addition; what it does to single elements does not count.
    pub flop: fn(&Call) -> u64,
    /// The same as several calls in order, each of at most so many timesteps: for devices that end a long dispatch. `None`: it is short.
    pub parts: Option<fn(&Call, u32) -> Vec<Call>>,
    /// Appends the calls that add this call's share to the adjoints of its operands. `None`: first order only.
    pub gradient: Option<fn(&mut dyn Tape, &Call)>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label)
    }
}

/// No scratch memory.
pub fn no_scratch(_: &Call) -> usize {
    0
}

/// A kernel: a file here, a shader of the same stem, a row of twins.
pub struct Kernel {
    /// The stem of its files.
    pub stem: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its WGSL: the file of its stem, then the helpers that it shares with others.
    pub shader: &'static str,
    /// Its entry points.
    pub entries: &'static [&'static Entry],
    /// Largest difference between `cpu` and `reference` in f32, relative to the largest element of the result, and why.
    pub tolerance: Tolerance,
    /// Largest difference between its shader and `cpu`, relative to the largest element of the result, and why.
    pub on_gpu: Tolerance,
}

/// A tolerance is data with a reason.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Largest difference, relative to the largest element of the result.
    pub relative: f32,
    /// Why it is not smaller.
    pub reason: &'static str,
}

/// The recorder that a gradient rule writes to.
pub trait Tape {
    /// Appends a call.
    fn record(&mut self, call: Call);
    /// A new buffer.
    fn temporary(&mut self, name: &str, shape: Shape) -> Tensor;
    /// The adjoint of something that a call wrote, or `None` when the loss does not depend on it.
    fn adjoint(&mut self, of: Tensor) -> Option<Tensor>;
    /// As [`Tape::adjoint`], but only from the first outermost row on that has one; before it are as many rows as the number says, whose
    /// adjoint is 0.
    fn tail(&mut self, of: Tensor) -> Option<(Tensor, usize)>;
    /// Where to put the adjoint of something that a call read, and whether to add to it (else overwrite); `None` when nobody
    /// needs it.
    fn contribute(&mut self, to: Tensor) -> Option<(Tensor, bool)>;
    /// Says that `adjoint` holds the whole adjoint of `of`, instead of a fresh buffer. `of` must have no other reader.
    fn provide(&mut self, of: Tensor, adjoint: Tensor);
    /// True when the adjoint of `of` is wanted.
    fn wants(&self, of: Tensor) -> bool;
    /// Where the total adjoint of the states that this call wrote should be kept, if the plan asks for it.
    fn totals(&mut self, of: Tensor) -> Option<Tensor>;
}

/// The memory of one operand.
#[derive(Default)]
pub enum Slot<'a, F> {
    /// Left out by the call, or already taken.
    #[default]
    Absent,
    /// Read only.
    Read(&'a [F]),
    /// To be written.
    Write(&'a mut [F]),
    /// Symbols.
    Index(&'a [u32]),
}

/// Most operands of an entry: the storage buffers that every WebGPU adapter offers a stage.
pub const MAX_OPERANDS: usize = 8;

/// A call with its memory, as an engine hands it to a kernel.
pub struct Arguments<'a, F> {
    /// The call.
    pub call: &'a Call,
    /// One for each operand; each slice runs from the first to the last element of the view, gaps between rows included.
    pub slots: [Slot<'a, F>; MAX_OPERANDS],
    /// As long as the entry's `scratch` says, contents undefined.
    pub scratch: &'a mut [F],
}

/// Rows of equal length in one slice, `stride` elements apart.
#[derive(Clone, Copy)]
pub struct Rows<'a, F> {
    /// From the first to the last element.
    pub data: &'a [F],
    /// Elements between the starts of two rows.
    pub stride: usize,
    /// Elements of a row.
    pub columns: usize,
}

impl<'a, F: Copy> Rows<'a, F> {
    /// Row `index`.
    #[inline]
    pub fn row(&self, index: usize) -> &'a [F] {
        &self.data[index * self.stride..][..self.columns]
    }
}

/// As [`Rows`], writable.
pub struct RowsMut<'a, F> {
    /// From the first to the last element.
    pub data: &'a mut [F],
    /// Elements between the starts of two rows.
    pub stride: usize,
    /// Elements of a row.
    pub columns: usize,
}

impl<F: Copy> RowsMut<'_, F> {
    /// Row `index`.
    #[inline]
    pub fn row(&mut self, index: usize) -> &mut [F] {
        &mut self.data[index * self.stride..][..self.columns]
    }

    /// Row `index`, to read.
    #[inline]
    pub fn get(&self, index: usize) -> &[F] {
        &self.data[index * self.stride..][..self.columns]
    }

    /// All rows, to read.
    #[inline]
    pub fn view(&self) -> Rows<'_, F> {
        Rows { data: self.data, stride: self.stride, columns: self.columns }
    }
}

impl<'a, F: Copy> Arguments<'a, F> {
    /// The kernel's parameter struct.
    pub fn params<P: Pod>(&self) -> P {
        self.call.params()
    }

    fn layout(&self, at: usize) -> (usize, usize) {
        let tensor = self.call.tensor(at);
        (tensor.stride as usize, tensor.shape.columns())
    }

    /// True when operand `at` was given.
    pub fn has(&self, at: usize) -> bool {
        self.call.operands[at].is_some()
    }

    /// The rows of an operand that is read.
    pub fn read(&mut self, at: usize) -> Rows<'a, F> {
        let (stride, columns) = self.layout(at);
        match std::mem::take(&mut self.slots[at]) {
            Slot::Read(data) => Rows { data, stride, columns },
            _ => panic!("{}: operand {at} is not there to read", self.call.entry.label),
        }
    }

    /// The rows of an optional operand that is read.
    pub fn read_optional(&mut self, at: usize) -> Option<Rows<'a, F>> {
        self.has(at).then(|| self.read(at))
    }

    /// The rows of an operand that is written.
    pub fn write(&mut self, at: usize) -> RowsMut<'a, F> {
        let (stride, columns) = self.layout(at);
        match std::mem::take(&mut self.slots[at]) {
            Slot::Write(data) => RowsMut { data, stride, columns },
            _ => panic!("{}: operand {at} is not there to write", self.call.entry.label),
        }
    }

    /// The rows of an optional operand that is written.
    pub fn write_optional(&mut self, at: usize) -> Option<RowsMut<'a, F>> {
        self.has(at).then(|| self.write(at))
    }

    /// The indices of an operand, contiguous.
    pub fn index(&mut self, at: usize) -> &'a [u32] {
        match std::mem::take(&mut self.slots[at]) {
            Slot::Index(data) => data,
            _ => panic!("{}: operand {at} holds no indices", self.call.entry.label),
        }
    }
}

/// Parameters of kernels that need none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Rectangle {
    /// Number of rows.
    pub rows: u32,
    /// Elements of a row.
    pub columns: u32,
    /// 1: add to what is there; 0: overwrite.
    pub accumulate: u32,
}

impl Rectangle {
    /// The rectangle of a tensor.
    pub fn of(tensor: Tensor, accumulate: bool) -> Self {
        Self {
            rows: tensor.shape.rows() as u32,
            columns: tensor.shape.columns() as u32,
            accumulate: u32::from(accumulate),
        }
    }
}
