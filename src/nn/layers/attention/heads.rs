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
        block * (2 * self.size() + 2 * self.steps + 2 * width + 2) + 2 * self.steps * width
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
        let (features, stride) = (self.features, 3 * self.features);
        let scale = self.scale();
        let queries = take(&mut scratch, size * block);
        let scores = take(&mut scratch, there * block);
        let largest = take(&mut scratch, block);
        let inverse = take(&mut scratch, block);
        let packed = take(&mut scratch, there * width);
        let sums = take(&mut scratch, block * width);
        context[there * features..].fill(0.0);
        for head in 0..self.heads {
            let at = head * size;
            let query = &qkv[at..];
            let key = &qkv[features + at..];
            let value = &qkv[2 * features + at..];
            let value = in_panels(value, stride, size, packed, there);
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
                let context = &mut context[first * features + at..];
                to_panels(size, context, features, sums, count, |c, c_row| {
                    Product {
                        rows: count,
                        inner: there,
                        columns: width,
                        a: transposed(scores, columns),
                        b: value,
                        add: false,
                        c,
                        c_row,
                    }
                    .compute(processor);
                });
                for (row, inverse) in inverse[..count].iter().enumerate() {
                    let context = &mut context[row * features..][..size];
                    context.iter_mut().for_each(|sum| *sum *= inverse);
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
        let (features, stride) = (self.features, 3 * self.features);
        let scale = self.scale();
        let queries = take(&mut scratch, size * block);
        let gradients = take(&mut scratch, size * block);
        let weights = take(&mut scratch, there * block);
        let slopes = take(&mut scratch, there * block);
        let largest = take(&mut scratch, block);
        let inverse = take(&mut scratch, block);
        let packed_keys = take(&mut scratch, there * width);
        let packed_queries = take(&mut scratch, block * width);
        let packed_gradients = take(&mut scratch, block * width);
        let sums = take(&mut scratch, there * width);
        qkv_gradient[there * stride..].fill(0.0);
        for head in 0..self.heads {
            let at = head * size;
            let query = &qkv[at..];
            let key = &qkv[features + at..];
            let value = &qkv[2 * features + at..];
            let kept = &kept[2 * head * self.steps..];
            let keys = in_panels(key, stride, size, packed_keys, there);
            for first in (0..there).step_by(block) {
                let count = block.min(there - first);
                let columns = padded(count);
                let query = &query[first * stride..];
                let gradient = &gradient[first * features + at..];
                transpose(query, stride, size, scale, queries, columns, count);
                transpose(gradient, features, size, 1.0, gradients, columns, count);
                // Beyond the queries the weights become zero.
                largest[..columns].fill(0.0);
                largest[..count].copy_from_slice(&kept[first..][..count]);
                inverse[..columns].fill(0.0);
                inverse[..count].copy_from_slice(&kept[self.steps + first..][..count]);
                for (a, b, c) in [
                    (key, &*queries, &mut *weights),
                    (value, &*gradients, &mut *slopes),
                ] {
                    Product {
                        rows: there,
                        inner: size,
                        columns,
                        a: left(a, stride),
                        b: right(b, columns),
                        add: false,
                        c,
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
                    scale,
                    mask: pass.mask.map(|mask| mask.from(self.place(head, first))),
                    mask_row: padded(self.steps),
                });
                let target = &mut qkv_gradient[first * stride + at..];
                to_panels(size, target, stride, sums, count, |c, c_row| {
                    Product {
                        rows: count,
                        inner: there,
                        columns: width,
                        a: transposed(slopes, columns),
                        b: keys,
                        add: false,
                        c,
                        c_row,
                    }
                    .compute(processor);
                });
                let queries = in_panels(query, stride, size, packed_queries, count);
                let gradients = in_panels(gradient, features, size, packed_gradients, count);
                for (part, a, b) in [(1, &*slopes, queries), (2, &*weights, gradients)] {
                    let target = &mut qkv_gradient[part * features + at..];
                    if first > 0 && size < width {
                        pack(target, stride, size, sums, there);
                    }
                    to_panels(size, target, stride, sums, there, |c, c_row| {
                        Product {
                            rows: there,
                            inner: count,
                            columns: width,
                            a: left(a, columns),
                            b,
                            add: first > 0,
                            c,
                            c_row,
                        }
                        .compute(processor);
                    });
                }
            }
        }
    }

    /// What scores are multiplied by.
    fn scale(&self) -> f32 {
        1.0 / (self.size() as f32).sqrt()
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

/// `count` rows of `size` values, as columns in whole panels: where they are, or copied.
fn in_panels<'a>(
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
fn to_panels(
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
fn pack(from: &[f32], stride: usize, size: usize, to: &mut [f32], count: usize) {
    for (row, to) in to.chunks_exact_mut(padded(size)).take(count).enumerate() {
        let (to, rest) = to.split_at_mut(size);
        to.copy_from_slice(&from[row * stride..][..size]);
        rest.fill(0.0);
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
/// with dropout and the gradients with respect to the products of queries and keys.
struct SoftmaxBackward<'a> {
    weights: &'a mut [f32],
    slopes: &'a mut [f32],
    columns: usize,
    largest: &'a [f32],
    inverse: &'a [f32],
    /// What the scores were multiplied by.
    scale: f32,
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
                    slopes[i] = (weights[i] * self.scale) * (slopes[i] - mean[i]);
                }
                if let Some(mask) = self.mask {
                    drop_some(weights, mask, key * self.mask_row + first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Heads, Processor, RowPass};
    use crate::nn::Random;

    /// One row's context, with these instructions.
    fn attend(heads: Heads, qkv: &[f32], there: usize, processor: Processor) -> Vec<u32> {
        let mut context = vec![f32::NAN; heads.steps * heads.features];
        let mut kept = vec![0.0; heads.kept()];
        let mut scratch = vec![f32::NAN; heads.forward_scratch()];
        let pass = RowPass {
            there,
            mask: None,
            processor,
        };
        heads.forward(pass, qkv, &mut context, &mut kept, &mut scratch);
        context.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn every_processor_attends_with_the_same_bits_whatever_stands_behind() {
        let mut random = Random::new(1, 0);
        for (steps, size, heads) in [
            (1, 1, 1),
            (28, 16, 4),
            (131, 20, 2),
            (17, 7, 3),
            (65, 33, 1),
        ] {
            let heads = Heads {
                steps,
                features: size * heads,
                heads,
            };
            let stride = 3 * heads.features;
            let mut qkv: Vec<f32> = (0..steps * stride).map(|_| random.normal_f32()).collect();
            for there in [steps, steps.div_ceil(2)] {
                let all = Processor::available();
                let expected = attend(heads, &qkv, there, all[0]);
                for processor in &all[1..] {
                    assert_eq!(
                        expected,
                        attend(heads, &qkv, there, *processor),
                        "{heads:?}"
                    );
                }
                qkv[there * stride..].fill(f32::NAN);
                assert_eq!(expected, attend(heads, &qkv, there, all[0]), "{heads:?}");
                qkv[there * stride..].fill(0.5);
            }
        }
    }
}
