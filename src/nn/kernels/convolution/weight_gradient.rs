//! The gradient with respect to the weights.

use super::Convolution;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::vector::{LANES, Vector, VectorTask, even, unrolled, with_constant};

/// Most filters of a tile.
const FILTERS: usize = 6;

impl Convolution {
    /// Adds to `weight_gradient`, [filters, taps], what several images give: `unfolded` holds them
    /// one after another, image number i's gradient [filters, positions] is at i · `stride` of
    /// `gradient`. `turned` is working memory of `images` times [`Convolution::turned`] values.
    ///
    /// # Panics
    /// If a slice is shorter than its geometry asks for.
    #[expect(clippy::too_many_arguments, reason = "a product's parts, and its pace")]
    pub fn weight_gradient(
        &self,
        processor: Processor,
        images: usize,
        unfolded: &[f32],
        gradient: &[f32],
        stride: usize,
        turned: &mut [f32],
        weight_gradient: &mut [f32],
        pace: &Pace<'_>,
    ) {
        if images == 0 {
            return;
        }
        assert!(unfolded.len() >= images * self.unfolded());
        assert!(gradient.len() >= (images - 1) * stride + self.filters * self.positions());
        assert!(weight_gradient.len() >= self.filters * self.taps());
        if self.turned() > 0 {
            let size = self.turned();
            for (image, turned) in turned[..images * size].chunks_exact_mut(size).enumerate() {
                self.turn(&gradient[image * stride..], turned);
            }
            let target = weight_gradient;
            return self.weight_gradient_turned(processor, images, unfolded, turned, target, pace);
        }
        processor.run_vectors(WeightGradient {
            convolution: self,
            images,
            unfolded,
            gradient,
            stride,
            target: weight_gradient,
            pace,
        });
    }
}

struct WeightGradient<'a> {
    convolution: &'a Convolution,
    images: usize,
    unfolded: &'a [f32],
    gradient: &'a [f32],
    stride: usize,
    target: &'a mut [f32],
    pace: &'a Pace<'a>,
}

impl VectorTask for WeightGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Convolution {
            filters, ref taps, ..
        } = *self.convolution;
        let positions = self.convolution.positions();
        let mut lanes = [0.0; LANES * FILTERS * 4];
        for tile_filters in even(filters, FILTERS) {
            let filter = tile_filters.start;
            for tile_taps in even(taps.len(), V::PANELS) {
                let work = tile_filters.len() * tile_taps.len() * positions * self.images;
                if self.pace.spend(work) {
                    return;
                }
                let tap = tile_taps.start;
                // SAFETY: the slices were checked.
                unsafe {
                    let tile = Tile {
                        images: self.images,
                        unfolded: self.unfolded.as_ptr(),
                        unfolded_stride: self.convolution.unfolded(),
                        taps: taps.as_ptr().add(tap),
                        gradient: self.gradient.as_ptr().add(filter * positions),
                        gradient_stride: self.stride,
                        positions,
                        target: self.target.as_mut_ptr().add(filter * taps.len() + tap),
                        target_stride: taps.len(),
                        lanes: lanes.as_mut_ptr(),
                    };
                    with_constant!(tile_taps.len(), T in 1..=V::PANELS => {
                        tile.taps::<V, T>(tile_filters.len());
                    });
                }
            }
        }
    }
}

/// Some filters' weights at some taps.
struct Tile {
    images: usize,
    unfolded: *const f32,
    unfolded_stride: usize,
    taps: *const usize,
    gradient: *const f32,
    gradient_stride: usize,
    positions: usize,
    target: *mut f32,
    target_stride: usize,
    /// Where the sums go before their lanes are added up, by way of memory: done in place, it
    /// would cost the loop its registers.
    lanes: *mut f32,
}

impl Tile {
    #[inline(always)]
    unsafe fn taps<V: Vector, const T: usize>(&self, filters: usize) {
        // SAFETY: the caller's.
        unsafe {
            with_constant!(filters, F in 1..=FILTERS => self.compute::<V, F, T>());
        }
    }

    #[inline(always)]
    unsafe fn compute<V: Vector, const F: usize, const T: usize>(&self) {
        let whole = self.positions - self.positions % LANES;
        let rest = self.positions - whole;
        // SAFETY: the tile lies within the slices.
        unsafe {
            let mut sums = [[V::splat(0.0); T]; F];
            for image in 0..self.images {
                let unfolded = self.unfolded.add(image * self.unfolded_stride);
                let gradient = self.gradient.add(image * self.gradient_stride);
                let mut x = [unfolded; T];
                unrolled!(t in 0..T => {
                    x[t] = unfolded.add(*self.taps.add(t));
                });
                let mut at = 0;
                while at < whole {
                    let mut g = [V::splat(0.0); F];
                    unrolled!(f in 0..F => {
                        g[f] = V::load(gradient.add(f * self.positions + at));
                    });
                    unrolled!(t in 0..T => {
                        let x = V::load(x[t].add(at));
                        unrolled!(f in 0..F => {
                            sums[f][t] = g[f].multiply_add(x, sums[f][t]);
                        });
                    });
                    at += LANES;
                }
                if rest > 0 {
                    let mut g = [V::splat(0.0); F];
                    unrolled!(f in 0..F => {
                        g[f] = V::load_first(gradient.add(f * self.positions + at), rest);
                    });
                    unrolled!(t in 0..T => {
                        let x = V::load_first(x[t].add(at), rest);
                        unrolled!(f in 0..F => {
                            sums[f][t] = g[f].multiply_add(x, sums[f][t]);
                        });
                    });
                }
            }
            unrolled!(f in 0..F => {
                unrolled!(t in 0..T => {
                    sums[f][t].store(self.lanes.add((f * T + t) * LANES));
                });
            });
            for f in 0..F {
                for t in 0..T {
                    let sum = V::load(self.lanes.add((f * T + t) * LANES)).sum();
                    *self.target.add(f * self.target_stride + t) += sum;
                }
            }
        }
    }
}
