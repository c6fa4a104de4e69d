//! A head's values as factors of small products: as they stand among the other heads', or copied to
//! rows of whole panels, or transposed.

use crate::nn::kernels::product::{Left, Right, padded};

/// A left factor, row by row.
pub(super) fn left(data: &[f32], row: usize) -> Left<'_> {
    Left { data, row, step: 1 }
}

/// A left factor that stands transposed, `step` values a row.
pub(super) fn transposed(data: &[f32], step: usize) -> Left<'_> {
    Left { data, row: 1, step }
}

/// A right factor.
pub(super) fn right(data: &[f32], row: usize) -> Right<'_> {
    Right { data, row }
}

/// `count` rows of `size` values, as columns in whole panels: where they are, or copied.
pub(super) fn in_panels<'a>(
    from: &'a [f32],
    stride: usize,
    size: usize,
    copy: &'a mut [f32],
    count: usize,
) -> Right<'a> {
    if padded(size) == size {
        return right(from, stride);
    }
    pack(from, stride, size, copy, count);
    right(copy, padded(size))
}

/// Lets `compute` write `count` rows of `size` values in whole panels: where they belong, or to
/// `copy` and from there.
pub(super) fn to_panels(
    size: usize,
    to: &mut [f32],
    stride: usize,
    copy: &mut [f32],
    count: usize,
    compute: impl FnOnce(&mut [f32], usize),
) {
    let width = padded(size);
    if width == size {
        return compute(to, stride);
    }
    compute(copy, width);
    for (row, copy) in copy.chunks_exact(width).take(count).enumerate() {
        to[row * stride..][..size].copy_from_slice(&copy[..size]);
    }
}

/// `count` rows of `size` values to rows in whole panels, zero behind.
pub(super) fn pack(from: &[f32], stride: usize, size: usize, to: &mut [f32], count: usize) {
    for (row, to) in to.chunks_exact_mut(padded(size)).take(count).enumerate() {
        let (to, rest) = to.split_at_mut(size);
        to.copy_from_slice(&from[row * stride..][..size]);
        rest.fill(0.0);
    }
}

/// `count` rows of `size` values, times `scale`, to `size` rows of `columns`, zero behind.
pub(super) fn transpose(
    from: &[f32],
    stride: usize,
    size: usize,
    scale: f32,
    to: &mut [f32],
    columns: usize,
    count: usize,
) {
    for (i, to) in to.chunks_exact_mut(columns).take(size).enumerate() {
        let (to, rest) = to.split_at_mut(count);
        for (row, to) in to.iter_mut().enumerate() {
            *to = from[row * stride + i] * scale;
        }
        rest.fill(0.0);
    }
}
