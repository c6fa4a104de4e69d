//! Products of matrices by BLAS, for training: one thread each call.

use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder, s};

use super::blas;
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
pub type Matrix<'a> = ArrayView2<'a, f32>;
/// A matrix to write: rows of values side by side, in a slice.
pub type MatrixMut<'a> = ArrayViewMut2<'a, f32>;

/// `rows` rows of `columns` values side by side.
///
/// # Panics
/// If the slice has another length.
#[track_caller]
pub fn matrix(data: &[f32], rows: usize, columns: usize) -> Matrix<'_> {
    assert_eq!(data.len(), rows * columns, "{SIZES}");
    strided(data, rows, columns, columns)
}

/// [`matrix`] to write.
///
/// # Panics
/// If the slice has another length.
#[track_caller]
pub fn matrix_mut(data: &mut [f32], rows: usize, columns: usize) -> MatrixMut<'_> {
    assert_eq!(data.len(), rows * columns, "{SIZES}");
    strided_mut(data, rows, columns, columns)
}

/// `rows` rows of `columns` values that begin `stride` apart.
///
/// # Panics
/// If the slice ends before the last row, or rows overlap.
#[track_caller]
pub fn strided(data: &[f32], rows: usize, columns: usize, stride: usize) -> Matrix<'_> {
    assert!(rows <= 1 || columns <= stride, "rows overlap");
    ArrayView2::from_shape((rows, columns).strides((stride, 1)), data).expect(SIZES)
}

/// [`strided`] to write.
///
/// # Panics
/// If the slice ends before the last row, or rows overlap.
#[track_caller]
pub fn strided_mut(data: &mut [f32], rows: usize, columns: usize, stride: usize) -> MatrixMut<'_> {
    ArrayViewMut2::from_shape((rows, columns).strides((stride, 1)), data).expect(SIZES)
}

/// What must hold of the slices that are taken as matrices.
const SIZES: &str = "a layer's slices have its sizes";

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
    let (rows, inner) = a.dim();
    let columns = b.ncols();
    assert!(
        b.nrows() == inner && c.dim() == (rows, columns),
        "factors of {:?} and {:?} for a product of {:?}",
        a.shape(),
        b.shape(),
        c.shape()
    );
    if rows == 0 || columns == 0 {
        return;
    }
    let row = columns.saturating_mul(inner);
    let part = (PART / row.max(1) / CUT * CUT).max(CUT);
    let parts = (rows / part).max(1);
    for i in 0..parts {
        let begin = i * part;
        // The last has the rest, too: what is small may be computed by other code.
        let end = if i + 1 == parts { rows } else { begin + part };
        if pace.spend((end - begin).saturating_mul(row)) {
            return;
        }
        let mut c = c.slice_mut(s![begin..end, ..]);
        multiply_whole(&a.slice(s![begin..end, ..]), b, beta, &mut c);
    }
}

fn multiply_whole(a: &Matrix<'_>, b: &Matrix<'_>, beta: f32, c: &mut MatrixMut<'_>) {
    let is_tiny = c.nrows().max(c.ncols()).max(a.ncols()) <= TINY;
    if is_tiny || a.ncols() == 0 {
        return Processor::detect().run(Plain { a, b, beta, c });
    }
    match blas::load() {
        // SAFETY: `multiply_paced` saw that they fit together.
        Ok(blas) => unsafe { blas.multiply(a, b, beta, c) },
        Err(_) => Processor::detect().run(Plain { a, b, beta, c }),
    }
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
        for ((row, column), c) in c.indexed_iter_mut() {
            let mut sum = 0.0_f32;
            for k in 0..a.ncols() {
                sum = a[[row, k]].mul_add(b[[k, column]], sum);
            }
            *c = if beta == 0.0 {
                sum
            } else {
                beta.mul_add(*c, sum)
            };
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
        for [m, n, k] in [
            [1003, 701, 1999],
            [387, 2047, 800],
            [40_001, 192, 64],
            // A part of one row or column must be BLAS's, too.
            [1, 300, 400],
            [300, 1, 400],
            [300, 400, 1],
        ] {
            let mut values =
                |count| -> Vec<f32> { (0..count).map(|_| random.normal_f32()).collect() };
            let (a, b, before) = (values(m * k), values(k * n), values(m * n));
            for (a, b) in [
                (matrix(&a, m, k), matrix(&b, k, n)),
                (matrix(&a, k, m).reversed_axes(), matrix(&b, k, n)),
                (matrix(&a, m, k), matrix(&b, n, k).reversed_axes()),
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
