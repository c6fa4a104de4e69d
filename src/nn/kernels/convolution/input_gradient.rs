//! The gradient with respect to the image, unfolded.
//!
//! The taps of one kernel row write to different planes. All of a row's tiles come before the next
//! row's, so that what a tile wrote is read by another, at another alignment, only much later.

use super::Convolution;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::vector::{
    LANES, Vector, VectorTask, even, load, store, unrolled, with_constant,
};

/// Most planes of a tile.
const PLANES: usize = 6;

impl Convolution {
    /// Weights in the order in which [`Convolution::input_gradient`] reads them; both are
    /// filters · taps values.
    pub fn pack_for_input_gradient(&self, weight: &[f32], packed: &mut [f32]) {
        let (rows, columns) = (self.rows.kernel, self.columns.kernel);
        let planes = self.channels * columns;
        let mut places = packed.iter_mut();
        for row in 0..rows {
            for tile in even(planes, PLANES) {
                for weight in weight.chunks_exact(self.taps()).take(self.filters) {
                    for (plane, place) in tile.clone().zip(places.by_ref()) {
                        let (channel, column) = (plane / columns, plane % columns);
                        *place = weight[(channel * rows + row) * columns + column];
                    }
                }
            }
        }
    }

    /// Writes the gradient with respect to the unfolded image, from the one with respect to the
    /// output, [filters, positions], and the weights as packed for it.
    ///
    /// # Panics
    /// If a slice is shorter than its geometry asks for.
    pub fn input_gradient(
        &self,
        processor: Processor,
        gradient: &[f32],
        packed: &[f32],
        unfolded: &mut [f32],
        pace: &Pace<'_>,
    ) {
        assert!(gradient.len() >= self.filters * self.positions());
        assert!(packed.len() >= self.filters * self.taps());
        assert!(unfolded.len() >= self.unfolded());
        unfolded[..self.unfolded()].fill(0.0);
        processor.run_vectors(InputGradient {
            convolution: self,
            gradient,
            packed,
            unfolded,
            pace,
        });
    }
}

struct InputGradient<'a> {
    convolution: &'a Convolution,
    gradient: &'a [f32],
    packed: &'a [f32],
    unfolded: &'a mut [f32],
    pace: &'a Pace<'a>,
}

impl VectorTask for InputGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Convolution {
            filters, ref taps, ..
        } = *self.convolution;
        let positions = self.convolution.positions();
        let columns = self.convolution.columns.kernel;
        let plane_size = self.convolution.plane_rows.len() * self.convolution.columns.output;
        let planes = self.convolution.channels * columns;
        let mut weight = self.packed.as_ptr();
        let unfolded = self.unfolded.as_mut_ptr();
        for row in 0..self.convolution.rows.kernel {
            for tile_planes in even(planes, PLANES) {
                if self.pace.spend(tile_planes.len() * positions * filters) {
                    return;
                }
                // Of the first channel and column.
                let place = tile_planes.start * plane_size + taps[row * columns];
                for panels in even(positions.div_ceil(LANES), V::PANELS) {
                    let panel = panels.start;
                    // SAFETY: the slices were checked.
                    unsafe {
                        let tile = Tile {
                            gradient: self.gradient.as_ptr().add(panel * LANES),
                            positions,
                            filters,
                            weight,
                            target: unfolded.add(place + panel * LANES),
                            plane_size,
                            width: positions - panel * LANES,
                        };
                        with_constant!(panels.len(), P in 1..=V::PANELS => {
                            tile.panels::<V, P>(tile_planes.len());
                        });
                    }
                }
                // SAFETY: all tiles together read filters · taps weights.
                weight = unsafe { weight.add(filters * tile_planes.len()) };
            }
        }
    }
}

/// Some planes at some panels of positions.
struct Tile {
    gradient: *const f32,
    positions: usize,
    filters: usize,
    weight: *const f32,
    target: *mut f32,
    plane_size: usize,
    /// Positions from the first panel on.
    width: usize,
}

impl Tile {
    #[inline(always)]
    unsafe fn panels<V: Vector, const P: usize>(&self, planes: usize) {
        // SAFETY: the caller's.
        unsafe {
            with_constant!(planes, L in 1..=PLANES => self.compute::<V, L, P>());
        }
    }

    #[inline(always)]
    unsafe fn compute<V: Vector, const L: usize, const P: usize>(&self) {
        // SAFETY: the tile lies within the slices.
        unsafe {
            let mut sums = [[V::splat(0.0); P]; L];
            for f in 0..self.filters {
                let gradient = self.gradient.add(f * self.positions);
                let mut g = [V::splat(0.0); P];
                unrolled!(p in 0..P => {
                    g[p] = if p + 1 < P {
                        V::load(gradient.add(p * LANES))
                    } else {
                        load(gradient.add(p * LANES), self.width - p * LANES)
                    };
                });
                let weight = self.weight.add(f * L);
                unrolled!(l in 0..L => {
                    let w = V::splat(*weight.add(l));
                    unrolled!(p in 0..P => {
                        sums[l][p] = w.multiply_add(g[p], sums[l][p]);
                    });
                });
            }
            unrolled!(l in 0..L => {
                let target = self.target.add(l * self.plane_size);
                unrolled!(p in 0..P => {
                    let (to, count) = (target.add(p * LANES), self.width - p * LANES);
                    store(load::<V>(to, count).add(sums[l][p]), to, count);
                });
            });
        }
    }
}
