//! Scaled dot-product attention, softmax(q · kᵀ / √size) · v, of each head of a row.
//!
//! Scores stand transposed, [key][query], so that softmax runs down sixteen queries at a time and
//! needs no sums across lanes. Queries are taken in blocks and the backward pass computes the
//! weights anew from what softmax was scaled by, so that memory grows with the steps and not with
//! their square (Dao and others, "FlashAttention", 2022). Sums have a fixed order: the
//! same code serves training and prediction.

use crate::nn::dropout_mask::DropoutMask;
use crate::nn::math;
use crate::nn::processor::{Processor, Task};
use crate::nn::small_product::{Left, Product, Right, padded};

/// Queries whose scores are computed at once, at most.
const BLOCK: usize = 64;
/// Lanes of the elementwise steps.
const LANES: usize = 16;

/// The sizes of an attention: rows of `steps` steps, each with `features` values of the queries,
/// as many of the keys and of the values, head after head.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::layers) struct Heads {
    pub steps: usize,
    pub features: usize,
    pub heads: usize,
}

/// What a row's attention has to work with beside its values.
#[derive(Clone, Copy)]
pub(in crate::nn::layers) struct RowPass {
    /// Steps that are there.
    pub there: usize,
    /// Dropout of the row's weights.
    pub mask: Option<DropoutMask>,
    pub processor: Processor,
}

impl Heads {
    /// Values of a head.
    fn size(&self) -> usize {
        self.features / self.heads
    }

    fn block(&self) -> usize {
        padded(self.steps).min(BLOCK)
    }

    /// Numbers a row that [`Heads::forward`] keeps: for each head and query the largest score and
    /// one over softmax's denominator.
    pub fn kept(&self) -> usize {
        2 * self.heads * self.steps
    }

    /// Places a row that its dropout mask covers.
    pub fn weights(&self) -> usize {
        self.heads * self.steps * padded(self.steps)
    }

    /// Working memory of [`Heads::forward`].
    pub fn forward_scratch(&self) -> usize {
        let (block, width) = (self.block(), padded(self.size()));
        block * (self.size() + self.steps + width + 2) + self.steps * width
    }

    /// Working memory of [`Heads::backward`].
    pub fn backward_scratch(&self) -> usize {
        let (block, width) = (self.block(), padded(self.size()));
        block * (2 * self.size() + 2 * self.steps + 3 * width + 2) + 3 * self.steps * width
    }

    /// Attention of one row: from `qkv`, [steps][3 · features], to `context`, [steps][features];
    /// it is zero for the steps that are not there.
    pub fn forward(
        &self,
        pass: RowPass,
        qkv: &[f32],
        context: &mut [f32],
        kept: &mut [f32],
        mut scratch: &mut [f32],
    ) {
        let (size, width, block) = (self.size(), padded(self.size()), self.block());
        let (there, processor) = (pass.there, pass.processor);
        let stride = 3 * self.features;
        let scale = 1.0 / (size as f32).sqrt();
        let queries = take(&mut scratch, size * block);
        let scores = take(&mut scratch, there * block);
        let sums = take(&mut scratch, block * width);
        let largest = take(&mut scratch, block);
        let inverse = take(&mut scratch, block);
        let values = take(&mut scratch, there * width);
        context[there * self.features..].fill(0.0);
        for head in 0..self.heads {
            let at = head * size;
            let query = &qkv[at..];
            let key = &qkv[self.features + at..];
            pack(
                &qkv[2 * self.features + at..],
                stride,
                size,
                1.0,
                values,
                width,
                there,
            );
            let kept = &mut kept[2 * head * self.steps..];
            for first in (0..there).step_by(block) {
                let count = block.min(there - first);
                let columns = padded(count);
                let query = &query[first * stride..];
                transpose(query, stride, size, scale, queries, columns, count);
                Product {
                    rows: there,
                    inner: size,
                    columns,
                    a: left(key, stride),
                    b: right(queries, columns),
                    add: false,
                    c: scores,
                    c_row: columns,
                }
                .compute(processor);
                processor.run(Softmax {
                    scores: &mut scores[..there * columns],
                    columns,
                    largest,
                    inverse,
                    mask: pass.mask.map(|mask| mask.from(self.place(head, first))),
                    mask_row: padded(self.steps),
                });
                kept[first..first + count].copy_from_slice(&largest[..count]);
                kept[self.steps + first..][..count].copy_from_slice(&inverse[..count]);
                Product {
                    rows: count,
                    inner: there,
                    columns: width,
                    a: transposed(scores, columns),
                    b: right(values, width),
                    add: false,
                    c: sums,
                    c_row: width,
                }
                .compute(processor);
                for (i, (sums, inverse)) in sums
                    .chunks_exact(width)
                    .zip(&*inverse)
                    .take(count)
                    .enumerate()
                {
                    let context = &mut context[(first + i) * self.features + at..][..size];
                    for (context, sum) in context.iter_mut().zip(sums) {
                        *context = sum * inverse;
                    }
                }
            }
        }
    }

    /// From the gradient with respect to the context, that with respect to `qkv`, of one row; it is
    /// zero for the steps that are not there.
    pub fn backward(
        &self,
        pass: RowPass,
        qkv: &[f32],
        kept: &[f32],
        gradient: &[f32],
        qkv_gradient: &mut [f32],
        mut scratch: &mut [f32],
    ) {
        let (size, width, block) = (self.size(), padded(self.size()), self.block());
        let (there, processor) = (pass.there, pass.processor);
        let stride = 3 * self.features;
        let scale = 1.0 / (size as f32).sqrt();
        let queries = take(&mut scratch, size * block);
        let gradients = take(&mut scratch, size * block);
        let weights = take(&mut scratch, there * block);
        let slopes = take(&mut scratch, there * block);
        let packed_queries = take(&mut scratch, block * width);
        let packed_gradients = take(&mut scratch, block * width);
        let query_gradients = take(&mut scratch, block * width);
        let largest = take(&mut scratch, block);
        let inverse = take(&mut scratch, block);
        let keys = take(&mut scratch, there * width);
        let key_gradients = take(&mut scratch, there * width);
        let value_gradients = take(&mut scratch, there * width);
        qkv_gradient[there * stride..].fill(0.0);
        for head in 0..self.heads {
            let at = head * size;
            let query = &qkv[at..];
            let key = &qkv[self.features + at..];
            let value = &qkv[2 * self.features + at..];
            let kept = &kept[2 * head * self.steps..];
            pack(key, stride, size, 1.0, keys, width, there);
            for first in (0..there).step_by(block) {
                let count = block.min(there - first);
                let columns = padded(count);
                let query = &query[first * stride..];
                let gradient = &gradient[first * self.features + at..];
                transpose(query, stride, size, scale, queries, columns, count);
                transpose(
                    gradient,
                    self.features,
                    size,
                    1.0,
                    gradients,
                    columns,
                    count,
                );
                pack(query, stride, size, scale, packed_queries, width, count);
                pack(
                    gradient,
                    self.features,
                    size,
                    1.0,
                    packed_gradients,
                    width,
                    count,
                );
                // Beyond the queries the weights become zero.
                largest[..columns].fill(0.0);
                largest[..count].copy_from_slice(&kept[first..][..count]);
                inverse[..columns].fill(0.0);
                inverse[..count].copy_from_slice(&kept[self.steps + first..][..count]);
                for (left_factor, right_factor, product) in [
                    (key, &*queries, &mut *weights),
                    (value, &*gradients, &mut *slopes),
                ] {
                    Product {
                        rows: there,
                        inner: size,
                        columns,
                        a: left(left_factor, stride),
                        b: right(right_factor, columns),
                        add: false,
                        c: product,
                        c_row: columns,
                    }
                    .compute(processor);
                }
                processor.run(SoftmaxBackward {
                    weights: &mut weights[..there * columns],
                    slopes: &mut slopes[..there * columns],
                    columns,
                    largest,
                    inverse,
                    mask: pass.mask.map(|mask| mask.from(self.place(head, first))),
                    mask_row: padded(self.steps),
                });
                for (left_factor, right_factor, product) in [
                    (&*weights, &*packed_gradients, &mut *value_gradients),
                    (&*slopes, &*packed_queries, &mut *key_gradients),
                ] {
                    Product {
                        rows: there,
                        inner: count,
                        columns: width,
                        a: left(left_factor, columns),
                        b: right(right_factor, width),
                        add: first > 0,
                        c: product,
                        c_row: width,
                    }
                    .compute(processor);
                }
                Product {
                    rows: count,
                    inner: there,
                    columns: width,
                    a: transposed(slopes, columns),
                    b: right(keys, width),
                    add: false,
                    c: query_gradients,
                    c_row: width,
                }
                .compute(processor);
                let target = &mut qkv_gradient[first * stride + at..];
                unpack(query_gradients, width, scale, target, stride, size, count);
            }
            let target = &mut qkv_gradient[self.features + at..];
            unpack(key_gradients, width, 1.0, target, stride, size, there);
            let target = &mut qkv_gradient[2 * self.features + at..];
            unpack(value_gradients, width, 1.0, target, stride, size, there);
        }
    }

    /// Where the mask of a head's block of queries begins; a key's places are `padded(steps)` apart.
    fn place(&self, head: usize, first: usize) -> usize {
        head * self.steps * padded(self.steps) + first
    }
}

/// The next `length` values of the working memory.
pub(in crate::nn::layers) fn take<'a>(scratch: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (taken, rest) = std::mem::take(scratch).split_at_mut(length);
    *scratch = rest;
    taken
}

fn left(data: &[f32], row: usize) -> Left<'_> {
    Left { data, row, step: 1 }
}

fn transposed(data: &[f32], step: usize) -> Left<'_> {
    Left { data, row: 1, step }
}

fn right(data: &[f32], row: usize) -> Right<'_> {
    Right { data, row }
}

/// `count` rows of `size` values, times `scale`, to rows of `width`, zero behind.
fn pack(
    from: &[f32],
    stride: usize,
    size: usize,
    scale: f32,
    to: &mut [f32],
    width: usize,
    count: usize,
) {
    for (row, to) in to.chunks_exact_mut(width).take(count).enumerate() {
        let (to, rest) = to.split_at_mut(size);
        for (to, from) in to.iter_mut().zip(&from[row * stride..]) {
            *to = from * scale;
        }
        rest.fill(0.0);
    }
}

/// Rows of `width` values back to where they belong, times `scale`.
fn unpack(
    from: &[f32],
    width: usize,
    scale: f32,
    to: &mut [f32],
    stride: usize,
    size: usize,
    count: usize,
) {
    for (row, from) in from.chunks_exact(width).take(count).enumerate() {
        for (to, from) in to[row * stride..][..size].iter_mut().zip(from) {
            *to = from * scale;
        }
    }
}

/// `count` rows of `size` values, times `scale`, to `size` rows of `columns`, zero behind.
fn transpose(
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

/// Sixteen neighbouring values of a row.
#[inline(always)]
fn lanes(row: &mut [f32], first: usize) -> &mut [f32; LANES] {
    (&mut row[first..first + LANES])
        .try_into()
        .expect("a panel has sixteen columns")
}

/// Multiplies sixteen neighbouring values by what the mask says from this place on.
#[inline(always)]
fn drop_some(values: &mut [f32; LANES], mask: DropoutMask, place: usize) {
    for (i, value) in values.iter_mut().enumerate() {
        *value *= mask.factor(place + i);
    }
}

/// From scores [key][query] to e^(score - largest), with dropout, and for each query the largest and
/// one over the sum before dropout.
struct Softmax<'a> {
    scores: &'a mut [f32],
    columns: usize,
    largest: &'a mut [f32],
    inverse: &'a mut [f32],
    mask: Option<DropoutMask>,
    mask_row: usize,
}

impl Task for Softmax<'_> {
    #[inline(always)]
    fn run(self) {
        for first in (0..self.columns).step_by(LANES) {
            let mut largest = [f32::NEG_INFINITY; LANES];
            for row in self.scores.chunks_exact_mut(self.columns) {
                let row = lanes(row, first);
                for i in 0..LANES {
                    largest[i] = if row[i] > largest[i] {
                        row[i]
                    } else {
                        largest[i]
                    };
                }
            }
            let mut sum = [0.0; LANES];
            for row in self.scores.chunks_exact_mut(self.columns) {
                let row = lanes(row, first);
                for i in 0..LANES {
                    row[i] = math::exp(row[i] - largest[i]);
                    sum[i] += row[i];
                }
            }
            if let Some(mask) = self.mask {
                for (key, row) in self.scores.chunks_exact_mut(self.columns).enumerate() {
                    let row = lanes(row, first);
                    drop_some(row, mask, key * self.mask_row + first);
                }
            }
            *lanes(self.largest, first) = largest;
            let inverse = lanes(self.inverse, first);
            for i in 0..LANES {
                inverse[i] = 1.0 / sum[i];
            }
        }
    }
}

/// From scores and the gradients with respect to the weights, both [key][query], to the weights
/// with dropout and the gradients with respect to the scores.
struct SoftmaxBackward<'a> {
    weights: &'a mut [f32],
    slopes: &'a mut [f32],
    columns: usize,
    largest: &'a [f32],
    inverse: &'a [f32],
    mask: Option<DropoutMask>,
    mask_row: usize,
}

impl Task for SoftmaxBackward<'_> {
    #[inline(always)]
    fn run(self) {
        let columns = self.columns;
        for first in (0..columns).step_by(LANES) {
            let at = first..first + LANES;
            let (largest, inverse) = (&self.largest[at.clone()], &self.inverse[at]);
            // The mean gradient of each query, by its weights.
            let mut mean = [0.0; LANES];
            let rows = self.weights.chunks_exact_mut(columns);
            for (key, (weights, slopes)) in
                rows.zip(self.slopes.chunks_exact_mut(columns)).enumerate()
            {
                let (weights, slopes) = (lanes(weights, first), lanes(slopes, first));
                if let Some(mask) = self.mask {
                    drop_some(slopes, mask, key * self.mask_row + first);
                }
                for i in 0..LANES {
                    weights[i] = math::exp(weights[i] - largest[i]) * inverse[i];
                    mean[i] = weights[i].mul_add(slopes[i], mean[i]);
                }
            }
            let rows = self.weights.chunks_exact_mut(columns);
            for (key, (weights, slopes)) in
                rows.zip(self.slopes.chunks_exact_mut(columns)).enumerate()
            {
                let (weights, slopes) = (lanes(weights, first), lanes(slopes, first));
                for i in 0..LANES {
                    slopes[i] = weights[i] * (slopes[i] - mean[i]);
                }
                if let Some(mask) = self.mask {
                    drop_some(weights, mask, key * self.mask_row + first);
                }
            }
        }
    }
}
