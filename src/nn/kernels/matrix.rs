//! Products of matrices by BLAS, for training: one thread each call.

use std::ffi::c_int;
use std::ops::Range;

use super::blas::{self, Transpose};
use super::processor::{Processor, Task};
use crate::nn::base::stop::Pace;

/// A product with no side longer than this is computed here: BLAS would only look at it.
const TINY: usize = 7;

/// A product is cut at multiples of so many rows, and nowhere else: a multiple of what OpenBLAS's
/// kernels take at a time (4 to 48 rows), so that each element is still summed by the same code. To
/// cut columns, or the inner index, changes bits with some of them: what has few rows is not cut.
const CUT: usize = 192;
/// Multiply-adds of a part, if it has more rows than that: a smaller one would take longer for the
/// other factor to be read anew, some hundredths with this.
const PART: usize = 1 << 27;

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

    /// Some of its rows, of which there is at least one.
    fn part(&self, rows: Range<usize>) -> Self {
        Self {
            data: self.data.get(rows.start * self.row..).unwrap_or_default(),
            rows: rows.len(),
            ..*self
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

impl MatrixMut<'_> {
    /// Some of its rows, of which there is at least one.
    fn part(&mut self, rows: Range<usize>) -> MatrixMut<'_> {
        let end = (rows.end - 1) * self.stride + self.columns;
        MatrixMut {
            data: &mut self.data[rows.start * self.stride..end],
            rows: rows.len(),
            ..*self
        }
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
    multiply_paced(a, b, beta, c, &Pace::endless());
}

/// [`multiply`] in parts if it is large, with a look before each. The bits are the same, which the
/// tests hold against the product as a whole for the kernels of this machine.
///
/// # Panics
/// Likewise.
#[track_caller]
pub fn multiply_paced(
    a: &Matrix<'_>,
    b: &Matrix<'_>,
    beta: f32,
    c: &mut MatrixMut<'_>,
    pace: &Pace<'_>,
) {
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
    let row = c.columns.saturating_mul(a.columns);
    let part = (PART / row.max(1) / CUT * CUT).max(CUT);
    let parts = (c.rows / part).max(1);
    for i in 0..parts {
        let begin = i * part;
        // The last has the rest, too: what is small may be computed by other code.
        let end = if i + 1 == parts { c.rows } else { begin + part };
        if pace.spend((end - begin).saturating_mul(row)) {
            return;
        }
        multiply_whole(&a.part(begin..end), b, beta, &mut c.part(begin..end));
    }
}

fn multiply_whole(a: &Matrix<'_>, b: &Matrix<'_>, beta: f32, c: &mut MatrixMut<'_>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::base::random::Random;

    #[test]
    fn parts_have_the_bits_of_the_whole() {
        let mut random = Random::new(1, 0);
        for [m, n, k] in [[1003, 701, 1999], [387, 2047, 800], [40_001, 192, 64]] {
            let mut values =
                |count| -> Vec<f32> { (0..count).map(|_| random.normal_f32()).collect() };
            let (a, b, before) = (values(m * k), values(k * n), values(m * n));
            for (a, b) in [
                (matrix(&a, m, k), matrix(&b, k, n)),
                (matrix(&a, k, m).t(), matrix(&b, k, n)),
                (matrix(&a, m, k), matrix(&b, n, k).t()),
            ] {
                let (mut whole, mut parts) = (before.clone(), before.clone());
                multiply_whole(&a, &b, 1.0, &mut matrix_mut(&mut whole, m, n));
                multiply(&a, &b, 1.0, &mut matrix_mut(&mut parts, m, n));
                let bits = |c: &[f32]| c.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
                assert!(bits(&whole) == bits(&parts), "{m} {n} {k}");
            }
        }
    }
}
