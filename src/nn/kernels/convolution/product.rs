//! The forward pass over an unfolded image.

use super::Convolution;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::vector::{
    LANES, Vector, VectorTask, even, load, store, unrolled, with_constant,
};

/// Taps multiplied before the next tile's turn, so that their values stay in the first cache.
const BLOCK: usize = 256;
/// Most filters of a tile.
const FILTERS: usize = 6;

impl Convolution {
    /// Writes `weight · unfolded + bias`, or its positive part: `output` is [filters, positions],
    /// `weight` [filters, taps].
    ///
    /// # Panics
    /// If a slice is shorter than its geometry asks for.
    #[expect(clippy::too_many_arguments, reason = "a product's parts, and its pace")]
    pub fn forward(
        &self,
        processor: Processor,
        unfolded: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
        output: &mut [f32],
        pace: &Pace<'_>,
    ) {
        assert!(unfolded.len() >= self.unfolded());
        assert!(weight.len() >= self.filters * self.taps());
        assert!(bias.is_none_or(|bias| bias.len() >= self.filters));
        assert!(output.len() >= self.filters * self.positions());
        processor.run_vectors(Product {
            convolution: self,
            unfolded,
            weight,
            bias,
            add: false,
            relu,
            output,
            pace,
        });
    }

    /// Writes `weight · unfolded`, or adds it to what `output` holds.
    ///
    /// # Panics
    /// If a slice is shorter than its geometry asks for.
    pub fn product(
        &self,
        processor: Processor,
        unfolded: &[f32],
        weight: &[f32],
        output: &mut [f32],
        add: bool,
        pace: &Pace<'_>,
    ) {
        assert!(unfolded.len() >= self.unfolded());
        assert!(weight.len() >= self.filters * self.taps());
        assert!(output.len() >= self.filters * self.positions());
        processor.run_vectors(Product {
            convolution: self,
            unfolded,
            weight,
            bias: None,
            add,
            relu: false,
            output,
            pace,
        });
    }
}

struct Product<'a> {
    convolution: &'a Convolution,
    unfolded: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    add: bool,
    relu: bool,
    output: &'a mut [f32],
    pace: &'a Pace<'a>,
}

impl VectorTask for Product<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Convolution {
            filters, ref taps, ..
        } = *self.convolution;
        let positions = self.convolution.positions();
        for (part, block) in taps.chunks(BLOCK).enumerate() {
            for panels in even(positions.div_ceil(LANES), V::PANELS) {
                if self
                    .pace
                    .spend(panels.len() * LANES * block.len() * filters)
                {
                    return;
                }
                let panel = panels.start;
                for tile_filters in even(filters, FILTERS) {
                    let filter = tile_filters.start;
                    // SAFETY: the slices were checked; vectors may read SLACK values beyond.
                    unsafe {
                        let tile = Tile {
                            unfolded: self.unfolded.as_ptr().add(panel * LANES),
                            taps: block,
                            weight: self.weight.as_ptr().add(filter * taps.len() + part * BLOCK),
                            weight_stride: taps.len(),
                            bias: match self.bias {
                                Some(bias) => bias.as_ptr().add(filter),
                                None => std::ptr::null(),
                            },
                            output: self
                                .output
                                .as_mut_ptr()
                                .add(filter * positions + panel * LANES),
                            positions,
                            width: positions - panel * LANES,
                            resume: part > 0 || self.add,
                            relu: self.relu && (part + 1) * BLOCK >= taps.len(),
                        };
                        with_constant!(panels.len(), P in 1..=V::PANELS => {
                            tile.panels::<V, P>(tile_filters.len());
                        });
                    }
                }
            }
        }
    }
}

/// Some filters at some panels of positions.
struct Tile<'a> {
    unfolded: *const f32,
    taps: &'a [usize],
    weight: *const f32,
    weight_stride: usize,
    bias: *const f32,
    output: *mut f32,
    /// From a filter's outputs to the next one's.
    positions: usize,
    /// Positions from the first panel on.
    width: usize,
    /// Whether to go on from what the output holds.
    resume: bool,
    relu: bool,
}

impl Tile<'_> {
    #[inline(always)]
    unsafe fn panels<V: Vector, const P: usize>(&self, filters: usize) {
        // SAFETY: the caller's.
        unsafe {
            with_constant!(filters, F in 1..=FILTERS => self.compute::<V, F, P>());
        }
    }

    #[inline(always)]
    unsafe fn compute<V: Vector, const F: usize, const P: usize>(&self) {
        // SAFETY: the tile lies within the slices.
        unsafe {
            let mut sums = [[V::splat(0.0); P]; F];
            unrolled!(f in 0..F => {
                let output = self.output.add(f * self.positions);
                unrolled!(p in 0..P => {
                    sums[f][p] = if self.resume {
                        load(output.add(p * LANES), self.width - p * LANES)
                    } else if self.bias.is_null() {
                        V::splat(0.0)
                    } else {
                        V::splat(*self.bias.add(f))
                    };
                });
            });
            for (t, place) in self.taps.iter().enumerate() {
                let from = self.unfolded.add(*place);
                let mut x = [V::splat(0.0); P];
                unrolled!(p in 0..P => {
                    x[p] = V::load(from.add(p * LANES));
                });
                unrolled!(f in 0..F => {
                    let w = V::splat(*self.weight.add(f * self.weight_stride + t));
                    unrolled!(p in 0..P => {
                        sums[f][p] = w.multiply_add(x[p], sums[f][p]);
                    });
                });
            }
            unrolled!(f in 0..F => {
                let output = self.output.add(f * self.positions);
                unrolled!(p in 0..P => {
                    let sum = sums[f][p];
                    let sum = if self.relu { sum.relu() } else { sum };
                    store(sum, output.add(p * LANES), self.width - p * LANES);
                });
            });
        }
    }
}
