//! Shapes and handles of tensors.
//!
//! Floor 0. Letters, everywhere: B batch, T timesteps, I input features, H hidden units, G gates a unit, V vocabulary,
//! L layers, D directions. Sequences are time-major `[T, B, ·]`, row-major.

use std::fmt;

/// Up to four extents, row-major: the last one is contiguous.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    extents: [u32; 4],
    rank: u8,
}

impl Shape {
    /// A shape of at most four extents.
    pub fn new(extents: &[usize]) -> Self {
        assert!(extents.len() <= 4, "a shape has at most four extents, got {extents:?}");
        let mut all = [1; 4];
        for (to, &from) in all.iter_mut().zip(extents) {
            *to = u32::try_from(from).expect("an extent fits into 32 bits");
        }
        Self { extents: all, rank: extents.len() as u8 }
    }

    /// Number of extents.
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// Extent `axis`.
    pub fn extent(&self, axis: usize) -> usize {
        assert!(axis < self.rank(), "axis {axis} of {self}");
        self.extents[axis] as usize
    }

    /// All extents.
    pub fn extents(&self) -> Vec<usize> {
        self.extents[..self.rank()].iter().map(|&e| e as usize).collect()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.extents.iter().map(|&e| e as usize).product()
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last extent: the length of a contiguous row.
    pub fn columns(&self) -> usize {
        if self.rank == 0 { 1 } else { self.extent(self.rank() - 1) }
    }

    /// All extents but the last, multiplied: the number of rows.
    pub fn rows(&self) -> usize {
        self.extents[..self.rank().saturating_sub(1)].iter().map(|&e| e as usize).product()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.extents())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A view of a buffer: an offset, a shape and a distance between rows, all in elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tensor {
    /// Index of the buffer in its graph.
    pub buffer: u32,
    /// First element.
    pub offset: u32,
    /// Extents; the last one is contiguous.
    pub shape: Shape,
    /// Distance between the starts of two rows; at least the length of a row.
    pub stride: u32,
}

impl Tensor {
    /// The view of a whole buffer.
    pub fn whole(buffer: u32, shape: Shape) -> Self {
        Self { buffer, offset: 0, shape, stride: shape.columns() as u32 }
    }

    /// Elements from the first to the last one of the view, gaps between rows included.
    pub fn span(&self) -> usize {
        if self.shape.is_empty() { 0 } else { (self.shape.rows() - 1) * self.stride as usize + self.shape.columns() }
    }

    /// `count` outermost rows from `start` on: a `[T, B, H]` becomes `[count, B, H]`.
    pub fn outer(&self, start: usize, count: usize) -> Self {
        let mut extents = self.shape.extents();
        assert!(start + count <= extents[0], "rows {start}..{} of {}", start + count, self.shape);
        let row = if self.shape.rank() == 1 { 1 } else { self.shape.rows() / extents[0] * self.stride as usize };
        extents[0] = count;
        Self { offset: self.offset + (start * row) as u32, shape: Shape::new(&extents), ..*self }
    }

    /// `count` columns from `start` on.
    pub fn columns(&self, start: usize, count: usize) -> Self {
        let mut extents = self.shape.extents();
        let last = extents.len() - 1;
        assert!(start + count <= extents[last], "columns {start}..{} of {}", start + count, self.shape);
        extents[last] = count;
        Self { offset: self.offset + start as u32, shape: Shape::new(&extents), ..*self }
    }

    /// The same elements as `[rows, columns]`.
    pub fn flat(&self) -> Self {
        Self { shape: Shape::new(&[self.shape.rows(), self.shape.columns()]), ..*self }
    }
}
