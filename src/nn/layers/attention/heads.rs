//! Scaled dot-product attention, softmax(q · kᵀ / √size) · v, of each head of a row.
//!
//! Scores stand transposed, `[key][query]`, so that softmax runs down sixteen queries at a time and
//! needs no sums across lanes. Queries are taken in blocks and the backward pass computes the
//! weights anew from what softmax was scaled by, so that memory grows with the steps and not with
//! their square (Dao and others, "FlashAttention", 2022). Sums have a fixed order: the
//! same code serves training and prediction.

use super::panels::{in_panels, left, pack, right, to_panels, transpose, transposed};
use super::softmax::{Softmax, SoftmaxBackward};
use crate::nn::base::stop::Pace;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::product::{Product, Start, padded};
use crate::nn::layers::dropout_mask::DropoutMask;

/// Queries whose scores are computed at once, at most.
const BLOCK: usize = 64;

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
pub(in crate::nn::layers) struct RowPass<'a> {
    /// Steps that are there.
    pub there: usize,
    /// Dropout of the row's weights.
    pub mask: Option<DropoutMask>,
    pub processor: Processor,
    /// Asked at each block of queries: once it says stop, the pass ends with whatever result.
    pub pace: &'a Pace<'a>,
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
        self.forward_pieces().iter().sum()
    }

    /// Its pieces: queries, scores, the largest of them and the inverse of their sum, packed values,
    /// sums of these.
    fn forward_pieces(&self) -> [usize; 6] {
        let (size, width, block) = (self.size(), padded(self.size()), self.block());
        let (keys, steps) = (self.steps * block, self.steps * width);
        [size * block, keys, block, block, steps, block * width]
    }

    /// Working memory of [`Heads::backward`].
    pub fn backward_scratch(&self) -> usize {
        self.backward_pieces().iter().sum()
    }

    /// Its pieces: queries and their gradients, weights and their slopes, the largest score and the
    /// inverse of the sum, packed keys, queries and gradients, sums of these.
    fn backward_pieces(&self) -> [usize; 10] {
        let (width, block) = (padded(self.size()), self.block());
        let (queries, packed) = (self.size() * block, block * width);
        let (keys, steps) = (self.steps * block, self.steps * width);
        [
            queries, queries, keys, keys, block, block, steps, packed, packed, steps,
        ]
    }

    /// Attention of one row: from `qkv`, `[steps][3 · features]`, to `context`, `[steps][features]`;
    /// it is zero for the steps that are not there.
    pub fn forward(
        &self,
        pass: RowPass<'_>,
        qkv: &[f32],
        context: &mut [f32],
        kept: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (size, width, block) = (self.size(), padded(self.size()), self.block());
        let (there, processor, pace) = (pass.there, pass.processor, pass.pace);
        let (features, stride) = (self.features, 3 * self.features);
        let scale = self.scale();
        let pieces = cut(scratch, self.forward_pieces());
        let [queries, scores, largest, inverse, packed, sums] = pieces;
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
                if pace.spend_values(there * size / 4) {
                    return;
                }
                let query = &query[first * stride..];
                transpose(query, stride, size, scale, queries, columns, count);
                Product {
                    rows: there,
                    inner: size,
                    columns,
                    a: left(key, stride),
                    b: right(queries, columns),
                    start: Start::Zero,
                    relu: false,
                    c: scores,
                    c_row: columns,
                }
                .compute(processor, pace);
                processor.run(Softmax {
                    scores: &mut scores[..there * columns],
                    columns,
                    largest,
                    inverse,
                    mask: pass.mask.map(|mask| mask.from(self.place(head, first))),
                    mask_row: padded(self.steps),
                    pace,
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
                        start: Start::Zero,
                        relu: false,
                        c,
                        c_row,
                    }
                    .compute(processor, pace);
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
        pass: RowPass<'_>,
        qkv: &[f32],
        kept: &[f32],
        gradient: &[f32],
        qkv_gradient: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (size, width, block) = (self.size(), padded(self.size()), self.block());
        let (there, processor, pace) = (pass.there, pass.processor, pass.pace);
        let (features, stride) = (self.features, 3 * self.features);
        let scale = self.scale();
        let [
            queries,
            gradients,
            weights,
            slopes,
            largest,
            inverse,
            packed_keys,
            packed_queries,
            packed_gradients,
            sums,
        ] = cut(scratch, self.backward_pieces());
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
                if pace.spend_values(there * size / 4) {
                    return;
                }
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
                        start: Start::Zero,
                        relu: false,
                        c,
                        c_row: columns,
                    }
                    .compute(processor, pace);
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
                    pace,
                });
                let target = &mut qkv_gradient[first * stride + at..];
                to_panels(size, target, stride, sums, count, |c, c_row| {
                    Product {
                        rows: count,
                        inner: there,
                        columns: width,
                        a: transposed(slopes, columns),
                        b: keys,
                        start: Start::Zero,
                        relu: false,
                        c,
                        c_row,
                    }
                    .compute(processor, pace);
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
                            start: if first > 0 {
                                Start::Result
                            } else {
                                Start::Zero
                            },
                            relu: false,
                            c,
                            c_row,
                        }
                        .compute(processor, pace);
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

/// Pieces of these lengths, one behind the other.
fn cut<const N: usize>(mut scratch: &mut [f32], lengths: [usize; N]) -> [&mut [f32]; N] {
    lengths.map(|length| take(&mut scratch, length))
}

#[cfg(test)]
mod tests {
    use super::{Heads, Processor, RowPass};
    use crate::nn::base::random::Random;
    use crate::nn::base::stop::Pace;

    /// One row's context, with these instructions.
    fn attend(heads: Heads, qkv: &[f32], there: usize, processor: Processor) -> Vec<u32> {
        let mut context = vec![f32::NAN; heads.steps * heads.features];
        let mut kept = vec![0.0; heads.kept()];
        let mut scratch = vec![f32::NAN; heads.forward_scratch()];
        let pass = RowPass {
            there,
            mask: None,
            processor,
            pace: &Pace::endless(),
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
