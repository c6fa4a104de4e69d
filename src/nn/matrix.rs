//! Products of matrices by BLAS, for training: one thread each call.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

/// A matrix to read: rows `stride` apart, in a slice.
pub type Matrix<'a> = ArrayView2<'a, f32>;
/// A matrix to write.
pub type MatrixMut<'a> = ArrayViewMut2<'a, f32>;

/// `rows` rows of `columns` values side by side.
///
/// # Panics
/// If the slice has another length.
#[track_caller]
pub fn matrix(data: &[f32], rows: usize, columns: usize) -> Matrix<'_> {
    ArrayView2::from_shape((rows, columns), data).expect("a layer's slices have its sizes")
}

/// [`matrix`] to write.
///
/// # Panics
/// If the slice has another length.
#[track_caller]
pub fn matrix_mut(data: &mut [f32], rows: usize, columns: usize) -> MatrixMut<'_> {
    ArrayViewMut2::from_shape((rows, columns), data).expect("a layer's slices have its sizes")
}

/// `rows` rows of `columns` values that begin `stride` apart.
///
/// # Panics
/// If the slice ends before the last row, or rows overlap.
#[track_caller]
pub fn strided(data: &[f32], rows: usize, columns: usize, stride: usize) -> Matrix<'_> {
    let data = &data[..extent(rows, columns, stride)];
    ArrayView2::from_shape((rows, columns).strides((stride, 1)), data)
        .expect("the slice was cut to these strides")
}

/// [`strided`] to write.
///
/// # Panics
/// If the slice ends before the last row, or rows overlap.
#[track_caller]
pub fn strided_mut(data: &mut [f32], rows: usize, columns: usize, stride: usize) -> MatrixMut<'_> {
    let data = &mut data[..extent(rows, columns, stride)];
    ArrayViewMut2::from_shape((rows, columns).strides((stride, 1)), data)
        .expect("the slice was cut to these strides")
}

fn extent(rows: usize, columns: usize, stride: usize) -> usize {
    match rows {
        0 => 0,
        _ => (rows - 1) * stride + columns,
    }
}

/// `c = a · b + beta · c`; where beta is 0, whatever `c` holds.
pub fn multiply(a: &Matrix<'_>, b: &Matrix<'_>, beta: f32, c: &mut MatrixMut<'_>) {
    general_mat_mul(1.0, a, b, beta, c);
}
