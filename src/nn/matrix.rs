//! Products of matrices by BLAS, for training: one thread each call.

use std::ffi::c_int;

use super::blas::{self, Transpose};
use super::processor::{Processor, Task};

/// A product with no side longer than this is computed here: BLAS would only look at it.
const TINY: usize = 7;

/// A matrix to read, in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    /// Values from a row to the next.
    row: usize,
    /// Values from a column to the next.
    column: usize,
}

/// A matrix to write: rows of values side by side, in a slice.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// `rows` rows of `columns` values side by side.
///
/// # Panics
/// If the slice has another length.
#[track_caller]
pub fn matrix(data: &[f32], rows: usize, columns: usize) -> Matrix<'_> {
    assert_eq!(
        data.len(),
        rows * columns,
        "a layer's slices have its sizes"
    );
    strided(data, rows, columns, columns)
}

/// [`matrix`] to write.
///
/// # Panics
/// If the slice has another length.
#[track_caller]
pub fn matrix_mut(data: &mut [f32], rows: usize, columns: usize) -> MatrixMut<'_> {
    assert_eq!(
        data.len(),
        rows * columns,
        "a layer's slices have its sizes"
    );
    strided_mut(data, rows, columns, columns)
}

/// `rows` rows of `columns` values that begin `stride` apart.
///
/// # Panics
/// If the slice ends before the last row, or rows overlap.
#[track_caller]
pub fn strided(data: &[f32], rows: usize, columns: usize, stride: usize) -> Matrix<'_> {
    Matrix {
        data: &data[..extent(rows, columns, stride)],
        rows,
        columns,
        row: stride,
        column: 1,
    }
}

/// [`strided`] to write.
///
/// # Panics
/// If the slice ends before the last row, or rows overlap.
#[track_caller]
pub fn strided_mut(data: &mut [f32], rows: usize, columns: usize, stride: usize) -> MatrixMut<'_> {
    MatrixMut {
        data: &mut data[..extent(rows, columns, stride)],
        rows,
        columns,
        stride,
    }
}

/// Values from the first to the last.
#[track_caller]
fn extent(rows: usize, columns: usize, stride: usize) -> usize {
    assert!(rows <= 1 || columns <= stride, "rows overlap");
    match rows {
        0 => 0,
        _ => (rows - 1) * stride + columns,
    }
}

impl Matrix<'_> {
    /// The same values with rows and columns exchanged.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// How BLAS reads it: as it lies or transposed, and the values from a row, as it lies, to the
    /// next, which BLAS wants to be no fewer than a row has, even of a single one. None if they are
    /// more than it can count.
    fn layout(&self) -> Option<(*const f32, Transpose, c_int)> {
        let as_it_lies =
            (self.column == 1 || self.columns == 1) && (self.rows <= 1 || self.row >= self.columns);
        let (transpose, lines, values, stride) = if as_it_lies {
            (Transpose::No, self.rows, self.columns, self.row)
        } else {
            (Transpose::Yes, self.columns, self.rows, self.column)
        };
        Some((
            self.data.as_ptr(),
            transpose,
            leading(lines, values, stride)?,
        ))
    }
}

fn leading(lines: usize, values: usize, stride: usize) -> Option<c_int> {
    let stride = if lines <= 1 {
        stride.max(values)
    } else {
        stride
    };
    c_int::try_from(stride).ok()
}

/// `c = a · b + beta · c`; where beta is 0, whatever `c` holds.
///
/// Loads BLAS if nobody did. Whoever trains loads it first, to hear of it should it be missing:
/// here it is done without, exactly and slowly.
///
/// # Panics
/// If the matrices do not fit together.
#[track_caller]
pub fn multiply(a: &Matrix<'_>, b: &Matrix<'_>, beta: f32, c: &mut MatrixMut<'_>) {
    assert!(
        a.rows == c.rows && a.columns == b.rows && b.columns == c.columns,
        "factors of [{}, {}] and [{}, {}] for a product of [{}, {}]",
        a.rows,
        a.columns,
        b.rows,
        b.columns,
        c.rows,
        c.columns
    );
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    let is_tiny = c.rows.max(c.columns).max(a.columns) <= TINY;
    if is_tiny || a.columns == 0 || !by_blas(a, b, beta, c) {
        Processor::detect().run(Plain { a, b, beta, c });
    }
}

/// The product by BLAS, if it is there and can count so far.
fn by_blas(a: &Matrix<'_>, b: &Matrix<'_>, beta: f32, c: &mut MatrixMut<'_>) -> bool {
    let sizes = || {
        let size = |size| c_int::try_from(size).ok();
        Some((
            [size(c.rows)?, size(c.columns)?, size(a.columns)?],
            a.layout()?,
            b.layout()?,
            leading(c.rows, c.columns, c.stride)?,
        ))
    };
    let (Ok(blas), Some((sizes, a, b, stride))) = (blas::load(), sizes()) else {
        return false;
    };
    // SAFETY: the slices hold matrices of these sizes; `multiply` saw that they fit together.
    unsafe { blas.sgemm(sizes, a, b, beta, (c.data.as_mut_ptr(), stride)) };
    true
}

/// The product, an element after the other.
struct Plain<'a, 'b, 'c> {
    a: &'a Matrix<'b>,
    b: &'a Matrix<'b>,
    beta: f32,
    c: &'a mut MatrixMut<'c>,
}

impl Task for Plain<'_, '_, '_> {
    #[inline(always)]
    fn run(self) {
        let Self { a, b, beta, c } = self;
        for row in 0..c.rows {
            for column in 0..c.columns {
                let mut sum = 0.0_f32;
                for k in 0..a.columns {
                    let a = a.data[row * a.row + k * a.column];
                    let b = b.data[k * b.row + column * b.column];
                    sum = a.mul_add(b, sum);
                }
                let c = &mut c.data[row * c.stride + column];
                *c = if beta == 0.0 {
                    sum
                } else {
                    beta.mul_add(*c, sum)
                };
            }
        }
    }
}
