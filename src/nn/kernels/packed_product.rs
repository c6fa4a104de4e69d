//! The loops of the packed dense product; [`packed_dense`](super::packed_dense) says what they compute.
//!
//! # What bounds its speed
//!
//! GFLOP/s beside OpenBLAS's `sgemm` and `sgemv` on one thread of a Xeon with AVX-512 (L1 48 KB, L2
//! 2 MB), as wide as high; `cargo bench --bench kernel` measures anew:
//!
//! | rows | 64 | 128 | 256 | 512 | 1024 |
//! | --- | --- | --- | --- | --- | --- |
//! | 1024 | 179, 121 | 189, 137 | 181, 149 | 185, 160 | 167, 152 |
//! | 256 | 177, 114 | 187, 130 | 190, 145 | 186, 153 | 171, 144 |
//! | 1 | 108, 45 | 77, 45 | 80, 43 | 79, 43 | 15, 15 |
//!
//! With AVX2 on both sides (OpenBLAS's Haswell kernels), on the same machine:
//!
//! | rows | 64 | 128 | 256 | 512 | 1024 |
//! | --- | --- | --- | --- | --- | --- |
//! | 1024 | 100, 88 | 109, 97 | 106, 101 | 97, 101 | 88, 99 |
//! | 256 | 99, 87 | 108, 95 | 109, 100 | 107, 100 | 94, 96 |
//!
//! The same machine does 217 in a loop of multiply-adds on registers alone, and 186 to 198 once the
//! loop also loads weights and inputs, whatever the tile's shape: the clock goes down with the power
//! the loads take. Found on the way there, by sampling and by what else was tried:
//!
//! * A tile must leave registers for a panel's weights and a row's value. One too many sums, and the
//!   compiler moves sums to memory and back for every input (7 × 4 against 6 × 4: a tenth).
//! * Left to itself the compiler computes each row's address anew for every input, on the ports that
//!   multiply. A pointer a row, and four inputs a turn, are worth another tenth.
//! * Weights are read from L2 as fast as needed; a block of them need not fit L1. Rows from L2, too:
//!   neither packing them nor keeping strides off powers of two gained anything.
//! * A segmented layer's tile goes through all of its segments, the totals kept on the stack: one
//!   pass over the outputs a segment made 64 × 64 a tenth slower.
//! * Outputs at multiples of 64 bytes: 5 % where k is small.
//! * A single row is bound by reading the weights: at the L1's, the L2's (150 GB/s) or the L3's
//!   speed (30 GB/s). Prefetching changed nothing.

use std::hint::black_box;
use std::mem::MaybeUninit;

use super::activation::Activation;
use super::packing::{GROUP, Line, NARROW};
use super::processor::Processor;
use super::vector::{
    LANES, Vector, VectorTask, even, load, store, tile_rows, unrolled, with_constant,
};
use crate::nn::base::stop::Pace;

/// Inputs multiplied before the next row tile's turn, so that a group's weights stay in cache.
const BLOCK: usize = 512;
/// Accumulators of a dot product.
const CHAINS: usize = 4;

/// Packed weights in memory of somebody else.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct Panels<'a> {
    pub weight: &'a [Line],
    pub bias: &'a [Line],
    pub n: usize,
    pub k: usize,
    pub segments: usize,
    pub activation: Activation,
    pub processor: Processor,
}

/// One call. `x` and `out` are good for all rows.
pub(super) struct Product<'a> {
    pub layer: &'a Panels<'a>,
    pub x: *const f32,
    pub stride: usize,
    pub rows: usize,
    pub out: &'a mut [f32],
    pub out_stride: usize,
    pub pace: Option<&'a Pace<'a>>,
}

impl VectorTask for Product<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let mut product = self;
        let Panels {
            n,
            segments,
            activation,
            ..
        } = *product.layer;
        // SAFETY: `forward` checked that all rows lie in the slices; V is the caller's promise.
        unsafe {
            if n <= NARROW {
                product.narrow::<V>();
            } else if product.rows == 1 {
                product.single::<V>();
            } else {
                product.tiled::<V>(segments);
            }
        }
        match activation {
            // Applied to the accumulators, but for the dot products'.
            Activation::Relu if n > NARROW => {}
            Activation::Linear => {}
            _ if product.rows == 1 || product.out_stride == n => {
                activation.apply_inlined(&mut product.out[..product.rows * n], n);
            }
            _ => {
                for row in product
                    .out
                    .chunks_mut(product.out_stride)
                    .take(product.rows)
                {
                    activation.apply_inlined(&mut row[..n], n);
                }
            }
        }
    }
}

/// Inputs that the innermost loop takes at a time.
const UNROLL: usize = 4;

/// A tile's place: the first row's inputs, the first panel's weights, the outputs.
#[derive(Clone, Copy)]
struct Tile {
    x: *const f32,
    stride: usize,
    weight: *const Line,
    /// Lines from one input's weights to the next one's.
    step: usize,
    bias: *const Line,
    out: *mut f32,
    out_stride: usize,
    /// Outputs from the first panel on.
    width: usize,
    /// Inputs.
    length: usize,
    /// Inputs of a segment.
    segment: usize,
    /// Whether the sums go on from what is stored, in place of the bias.
    resume: bool,
    relu: bool,
}

impl Tile {
    /// R rows by P panels, all of their accumulators in registers.
    #[inline(always)]
    unsafe fn compute<V: Vector, const R: usize, const P: usize>(self) {
        // SAFETY: the rows and panels of the tile lie within the matrices.
        unsafe {
            // Every panel of the layer but its last is whole.
            let whole = self.width >= P * LANES;
            let mut rows = [self.x; R];
            unrolled!(r in 0..R => {
                rows[r] = black_box(self.x.add(r * self.stride));
            });
            let mut sums = [[V::splat(0.0); P]; R];
            if self.resume {
                unrolled!(r in 0..R => {
                    let out = self.out.add(r * self.out_stride);
                    unrolled!(p in 0..P => {
                        let from = out.add(p * LANES);
                        sums[r][p] = match whole {
                            true => V::load(from),
                            false => load(from, self.width - p * LANES),
                        };
                    });
                });
            } else {
                unrolled!(p in 0..P => {
                    let bias = V::load(self.bias.add(p).cast());
                    unrolled!(r in 0..R => {
                        sums[r][p] = bias;
                    });
                });
            }
            let mut totals = MaybeUninit::<[[Line; P]; R]>::uninit();
            let totals = black_box(totals.as_mut_ptr());
            let mut weight = self.weight;
            let mut i = 0;
            loop {
                let end = self.length.min(i + self.segment);
                let first = i == 0;
                while i + UNROLL <= end {
                    unrolled!(u in 0..UNROLL => {
                        Self::step::<V, R, P>(&mut sums, &rows, i + u, weight);
                        weight = weight.add(self.step);
                    });
                    i += UNROLL;
                }
                while i < end {
                    Self::step::<V, R, P>(&mut sums, &rows, i, weight);
                    weight = weight.add(self.step);
                    i += 1;
                }
                if !first {
                    unrolled!(r in 0..R => {
                        unrolled!(p in 0..P => {
                            let total = V::load((&raw const (*totals)[r][p]).cast());
                            sums[r][p] = total.add(sums[r][p]);
                        });
                    });
                }
                if end == self.length {
                    break;
                }
                unrolled!(r in 0..R => {
                    unrolled!(p in 0..P => {
                        sums[r][p].store((&raw mut (*totals)[r][p]).cast());
                        sums[r][p] = V::splat(0.0);
                    });
                });
            }
            if self.relu {
                unrolled!(r in 0..R => {
                    unrolled!(p in 0..P => {
                        sums[r][p] = sums[r][p].relu();
                    });
                });
            }
            if whole {
                unrolled!(r in 0..R => {
                    let out = self.out.add(r * self.out_stride);
                    unrolled!(p in 0..P => {
                        sums[r][p].store(out.add(p * LANES));
                    });
                });
            } else {
                unrolled!(r in 0..R => {
                    let out = self.out.add(r * self.out_stride);
                    unrolled!(p in 0..P => {
                        store(sums[r][p], out.add(p * LANES), self.width - p * LANES);
                    });
                });
            }
        }
    }

    /// So many rows, from the tile's on.
    #[inline(always)]
    unsafe fn rows<V: Vector, const P: usize>(mut self, rows: usize) {
        for tile in even(rows, const { tile_rows::<V>(P) }) {
            let height = tile.len();
            // SAFETY: the caller's.
            unsafe {
                with_constant!(height, R in 1..=tile_rows::<V>(P) => self.compute::<V, R, P>());
            }
            // After the last one they may point beyond the matrices, and are not used.
            self.x = self.x.wrapping_add(height * self.stride);
            self.out = self.out.wrapping_add(height * self.out_stride);
        }
    }

    /// The products of one input.
    #[inline(always)]
    unsafe fn step<V: Vector, const R: usize, const P: usize>(
        sums: &mut [[V; P]; R],
        rows: &[*const f32; R],
        i: usize,
        weight: *const Line,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mut w = [V::splat(0.0); P];
            unrolled!(p in 0..P => {
                w[p] = V::load(weight.add(p).cast());
            });
            unrolled!(r in 0..R => {
                let x = V::splat(*rows[r].add(i));
                unrolled!(p in 0..P => {
                    sums[r][p] = x.multiply_add(w[p], sums[r][p]);
                });
            });
        }
    }
}

impl Product<'_> {
    /// Several rows: by groups of panels, blocks of inputs, and row tiles.
    #[inline(always)]
    unsafe fn tiled<V: Vector>(&mut self, segments: usize) {
        let Panels {
            n,
            k,
            activation,
            weight,
            bias,
            ..
        } = *self.layer;
        let panels = n.div_ceil(LANES);
        // A layer of several segments is a single group, and small.
        let length = if segments > 1 { k } else { BLOCK };
        let parts = k.div_ceil(length.max(1)).max(1);
        for group in (0..panels).step_by(GROUP) {
            let group_panels = GROUP.min(panels - group);
            if self.stops(self.rows * k * group_panels * LANES) {
                return;
            }
            for part in 0..parts {
                let begin = part * length;
                for panel in (0..group_panels).step_by(V::PANELS) {
                    let first = group + panel;
                    // SAFETY: the indexes lie within the layer's n and k.
                    let tile = unsafe {
                        Tile {
                            x: self.x.add(begin),
                            stride: self.stride,
                            weight: weight
                                .as_ptr()
                                .add(group * k + begin * group_panels + panel),
                            step: group_panels,
                            bias: bias.as_ptr().add(first),
                            out: self.out.as_mut_ptr().add(first * LANES),
                            out_stride: self.out_stride,
                            width: n - first * LANES,
                            length: length.min(k - begin),
                            segment: k.div_ceil(segments),
                            resume: part > 0,
                            relu: activation == Activation::Relu && part + 1 == parts,
                        }
                    };
                    let count = V::PANELS.min(group_panels - panel);
                    // SAFETY: the rows lie within the call's, the panels within the group.
                    unsafe {
                        with_constant!(count, P in 1..=V::PANELS => tile.rows::<V, P>(self.rows));
                    }
                }
            }
        }
    }

    /// Whether to stop before so much work.
    #[inline(always)]
    fn stops(&self, work: usize) -> bool {
        self.pace.is_some_and(|pace| pace.spend(work))
    }

    /// One row: by groups of panels, all segments at the same time.
    #[inline(always)]
    unsafe fn single<V: Vector>(&mut self) {
        let panels = self.layer.n.div_ceil(LANES);
        let mut group = 0;
        // SAFETY: the groups lie within the layer.
        unsafe {
            while panels - group >= 2 * GROUP {
                if self.stops(self.layer.k * 2 * GROUP * LANES) {
                    return;
                }
                self.two_groups::<V>(group);
                group += 2 * GROUP;
            }
            while group < panels {
                let count = GROUP.min(panels - group);
                match (count, self.layer.segments) {
                    (1, 8) => self.segmented::<V, 1, 8>(group),
                    (1, 4) => self.segmented::<V, 1, 4>(group),
                    (1, 2) => self.segmented::<V, 1, 2>(group),
                    (1, _) => self.segmented::<V, 1, 1>(group),
                    (2, 4) => self.segmented::<V, 2, 4>(group),
                    (2, 2) => self.segmented::<V, 2, 2>(group),
                    (2, _) => self.segmented::<V, 2, 1>(group),
                    (3, 2) => self.segmented::<V, 3, 2>(group),
                    (3, _) => self.segmented::<V, 3, 1>(group),
                    (_, 2) => self.segmented::<V, 4, 2>(group),
                    _ => self.segmented::<V, 4, 1>(group),
                }
                group += GROUP;
            }
        }
    }

    /// One row's outputs of two whole groups of a layer of one segment.
    #[inline(always)]
    unsafe fn two_groups<V: Vector>(&mut self, group: usize) {
        let k = self.layer.k;
        // SAFETY: there are two whole groups from this one on.
        unsafe {
            let bias = self.layer.bias.as_ptr().add(group);
            let mut sums = [V::splat(0.0); 2 * GROUP];
            unrolled!(p in 0..2 * GROUP => {
                sums[p] = V::load(bias.add(p).cast());
            });
            let weight = self.layer.weight.as_ptr().add(group * k);
            for i in 0..k {
                let x = V::splat(*self.x.add(i));
                unrolled!(p in 0..2 * GROUP => {
                    let line = weight.add((p / GROUP * k + i) * GROUP + p % GROUP);
                    sums[p] = x.multiply_add(V::load(line.cast()), sums[p]);
                });
            }
            unrolled!(p in 0..2 * GROUP => {
                self.finish(group + p, sums[p]);
            });
        }
    }

    /// One row's outputs of a group of P panels in S segments.
    #[inline(always)]
    unsafe fn segmented<V: Vector, const P: usize, const S: usize>(&mut self, group: usize) {
        let k = self.layer.k;
        let length = k.div_ceil(S);
        // The last segment may be shorter.
        let last = k - (S - 1) * length;
        // SAFETY: the group has P panels, and S segments make up the k inputs.
        unsafe {
            let bias = self.layer.bias.as_ptr().add(group);
            let weight = self.layer.weight.as_ptr().add(group * k);
            let mut sums = [[V::splat(0.0); P]; S];
            unrolled!(p in 0..P => {
                sums[0][p] = V::load(bias.add(p).cast());
            });
            for i in 0..last {
                unrolled!(s in 0..S => {
                    let at = s * length + i;
                    let x = V::splat(*self.x.add(at));
                    unrolled!(p in 0..P => {
                        sums[s][p] = x.multiply_add(V::load(weight.add(at * P + p).cast()), sums[s][p]);
                    });
                });
            }
            for i in last..length {
                unrolled!(s in 0..S - 1 => {
                    let at = s * length + i;
                    let x = V::splat(*self.x.add(at));
                    unrolled!(p in 0..P => {
                        sums[s][p] = x.multiply_add(V::load(weight.add(at * P + p).cast()), sums[s][p]);
                    });
                });
            }
            unrolled!(p in 0..P => {
                let mut sum = sums[0][p];
                unrolled!(s in 0..S - 1 => {
                    sum = sum.add(sums[s + 1][p]);
                });
                self.finish(group + p, sum);
            });
        }
    }

    /// Stores a panel of a single row.
    #[inline(always)]
    unsafe fn finish<V: Vector>(&mut self, panel: usize, sum: V) {
        // SAFETY: the panel is one of the layer's.
        unsafe {
            let sum = if self.layer.activation == Activation::Relu {
                sum.relu()
            } else {
                sum
            };
            let at = panel * LANES;
            store(sum, self.out.as_mut_ptr().add(at), self.layer.n - at);
        }
    }

    /// Few outputs: a dot product each.
    #[inline(always)]
    unsafe fn narrow<V: Vector>(&mut self) {
        let Panels {
            n, k, weight, bias, ..
        } = *self.layer;
        let blocks = k.div_ceil(LANES);
        let whole = k / (LANES * CHAINS) * CHAINS;
        for r in 0..self.rows {
            for j in 0..n {
                // SAFETY: the row has k inputs and n outputs, the layer `blocks` lines an output.
                unsafe {
                    let x = self.x.add(r * self.stride);
                    let weight = weight.as_ptr().add(j * blocks);
                    let mut sums = [V::splat(0.0); CHAINS];
                    for block in (0..whole).step_by(CHAINS) {
                        for (c, sum) in sums.iter_mut().enumerate() {
                            let x = V::load(x.add((block + c) * LANES));
                            *sum = x.multiply_add(V::load(weight.add(block + c).cast()), *sum);
                        }
                    }
                    for (c, sum) in sums.iter_mut().enumerate() {
                        let block = whole + c;
                        if block < blocks {
                            let x = load::<V>(x.add(block * LANES), k - block * LANES);
                            *sum = x.multiply_add(V::load(weight.add(block).cast()), *sum);
                        }
                    }
                    let [a, b, c, d] = sums;
                    let sum = a.add(b).add(c.add(d)).sum();
                    *self.out.get_unchecked_mut(r * self.out_stride + j) = sum + bias[0].0[j];
                }
            }
        }
    }
}
