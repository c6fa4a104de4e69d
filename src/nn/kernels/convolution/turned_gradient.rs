//! The gradient with respect to the weights, sixteen filters at a time.
//!
//! The gradients with respect to the outputs are turned first, so that those of all filters at a
//! position lie side by side. A tile then multiplies them by single values of the unfolded images:
//! against tiles over positions it reads a fraction of the values for each product, has no lanes to add
//! up, and none idle where an image has few positions.

use super::Convolution;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::transpose::transpose;
use crate::nn::kernels::vector::{
    LANES, Vector, VectorTask, even, load, tile_rows, unrolled, with_constant,
};

/// Taps that a gradient is turned for.
const FEWEST_TAPS: usize = 32;
/// Most taps of a tile.
const TAPS: usize = 8;
/// Most panels of sixteen filters of a tile.
const PANELS: usize = 4;

impl Convolution {
    /// Values that an image's turned gradient takes; none where filters or taps are too few for it, and
    /// [`Convolution::weight_gradient`] takes the gradient as it is.
    pub fn turned(&self) -> usize {
        let lanes = self.filters.next_multiple_of(LANES);
        match lanes - self.filters <= lanes / 8 && self.taps() >= FEWEST_TAPS {
            true => self.positions() * lanes,
            false => 0,
        }
    }

    /// Writes an image's gradient with respect to the output, [filters, positions], as [positions,
    /// filters up to a multiple of sixteen], zeros among them.
    pub(super) fn turn(&self, gradient: &[f32], turned: &mut [f32]) {
        let (positions, lanes) = (self.positions(), self.filters.next_multiple_of(LANES));
        for turned in turned.chunks_exact_mut(lanes) {
            turned[self.filters..].fill(0.0);
        }
        let gradient = &gradient[..self.filters * positions];
        transpose(gradient, positions, turned, lanes);
    }

    /// As [`Convolution::weight_gradient`], of turned gradients.
    pub(super) fn weight_gradient_turned(
        &self,
        processor: Processor,
        images: usize,
        unfolded: &[f32],
        turned: &[f32],
        weight_gradient: &mut [f32],
        pace: &Pace<'_>,
    ) {
        assert!(unfolded.len() >= images * self.unfolded());
        assert!(turned.len() >= images * self.turned());
        assert!(weight_gradient.len() >= self.filters * self.taps());
        processor.run_vectors(TurnedGradient {
            convolution: self,
            images,
            unfolded,
            turned,
            target: weight_gradient,
            pace,
        });
    }
}

struct TurnedGradient<'a> {
    convolution: &'a Convolution,
    images: usize,
    unfolded: &'a [f32],
    turned: &'a [f32],
    target: &'a mut [f32],
    pace: &'a Pace<'a>,
}

impl VectorTask for TurnedGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Convolution {
            filters, ref taps, ..
        } = *self.convolution;
        let positions = self.convolution.positions();
        let lanes = filters.next_multiple_of(LANES);
        let mut sums = [0.0; LANES * TAPS * PANELS];
        for panels in even(lanes / LANES, V::PANELS.min(PANELS)) {
            let filter = panels.start * LANES;
            for tile_taps in even(taps.len(), tile_rows::<V>(panels.len())) {
                let work = panels.len() * LANES * tile_taps.len() * positions * self.images;
                if self.pace.spend(work) {
                    return;
                }
                // SAFETY: the slices were checked.
                unsafe {
                    let tile = Tile {
                        images: self.images,
                        unfolded: self.unfolded.as_ptr(),
                        unfolded_stride: self.convolution.unfolded(),
                        taps: taps.as_ptr().add(tile_taps.start),
                        turned: self.turned.as_ptr().add(filter),
                        lanes,
                        positions,
                        sums: sums.as_mut_ptr(),
                    };
                    with_constant!(panels.len(), P in 1..=PANELS => {
                        tile.panels::<V, P>(tile_taps.len());
                    });
                }
                let filters = filter..filters.min(panels.end * LANES);
                for (t, tap) in tile_taps.enumerate() {
                    let sums = &sums[t * panels.len() * LANES..];
                    for (f, sum) in filters.clone().zip(sums) {
                        self.target[f * taps.len() + tap] += sum;
                    }
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
    turned: *const f32,
    /// From a position of the turned gradient to the next.
    lanes: usize,
    positions: usize,
    /// [taps, panels], where the sums are put.
    sums: *mut f32,
}

impl Tile {
    #[inline(always)]
    unsafe fn panels<V: Vector, const P: usize>(&self, taps: usize) {
        // SAFETY: the caller's.
        unsafe {
            with_constant!(taps, T in 1..=TAPS => self.compute::<V, T, P>());
        }
    }

    #[inline(always)]
    unsafe fn compute<V: Vector, const T: usize, const P: usize>(&self) {
        // SAFETY: the tile lies within the slices.
        unsafe {
            let mut sums = [[V::splat(0.0); P]; T];
            for image in 0..self.images {
                let unfolded = self.unfolded.add(image * self.unfolded_stride);
                let mut turned = self.turned.add(image * self.positions * self.lanes);
                let mut x = [unfolded; T];
                unrolled!(t in 0..T => {
                    x[t] = unfolded.add(*self.taps.add(t));
                });
                for position in 0..self.positions {
                    let mut g = [V::splat(0.0); P];
                    unrolled!(p in 0..P => {
                        g[p] = load(turned.add(p * LANES), LANES);
                    });
                    unrolled!(t in 0..T => {
                        let x = V::splat(*x[t].add(position));
                        unrolled!(p in 0..P => {
                            sums[t][p] = x.multiply_add(g[p], sums[t][p]);
                        });
                    });
                    turned = turned.add(self.lanes);
                }
            }
            unrolled!(t in 0..T => {
                unrolled!(p in 0..P => {
                    sums[t][p].store(self.sums.add((t * P + p) * LANES));
                });
            });
        }
    }
}
