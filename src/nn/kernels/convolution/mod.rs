//! Convolutions of images, computed directly from an image that is unfolded once a column of the
//! kernel.
//!
//! `unfold` copies an image of shape [channels, height, width] so that each tap of the kernel finds
//! the values for all windows side by side: for every channel and kernel column a plane of as many
//! columns as the output has, and of as many rows as the padded image. The windows' values of a tap
//! are then [`Axis::output`] whole rows of the plane, from a row that depends on the kernel's row:
//!
//! `output[filter][position] = bias + Σ_tap weight[filter][tap] · unfolded[place(tap) + position]`.
//!
//! That is a matrix product whose rows overlap. Against im2col it copies as many times fewer values
//! as the kernel has rows, and leaves no lane of a vector idle where the output is narrow. With a
//! vertical stride the rows of a plane are sorted by their remainder, so that those which a tap
//! reads still are neighbours.
//!
//! Every output is one accumulator: the bias, then fused multiply-adds in the order of the weights
//! (channel, row, column), so that its bits depend on nothing but the image and the weights.
//!
//! Gradients have a second way each, for the shapes that it pays for: the weights' sixteen filters at a
//! time (`turned_gradient`), the image's as a forward pass by the kernel turned round (`mirrored`). On one
//! thread of a Zen 4 the image's of 16 to 16 channels over 28 × 28 so takes 1.2 ms of 32 images where the
//! way below takes 1.6, and of 64 to 64 over 8 × 8 1.4 where it takes 1.7.
//!
//! The forward pass is used for every shape. Without the second ways, against sgemm over the same
//! unfolded images, one product a row of the kernel, on one thread of an AVX-512 machine, in GFLOP/s
//! (`benches/convolution.rs` measures anew):
//!
//! | channels to filters, kernel, image | forward | sgemm | weights | sgemm | image | sgemm |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | 1 to 6, 5 × 5, 28 × 28 | 99 | 65 | 74 | 71 | | |
//! | 6 to 16, 5 × 5, 14 × 14 | 101 | 82 | 65 | 63 | 62 | 64 |
//! | 1 to 32, 3 × 3, 28 × 28 | 80 | 46 | 65 | 48 | | |
//! | 16 to 16, 3 × 3, 28 × 28 | 119 | 102 | 91 | 73 | 74 | 79 |
//! | 64 to 64, 3 × 3, 8 × 8 | 138 | 97 | 92 | 86 | 110 | 113 |
//! | 64 to 64, 3 × 3, 28 × 28 | 127 | 126 | 107 | 96 | 113 | 127 |
//! | 256 to 256, 3 × 3, 4 × 4 | 100 | 71 | 71 | 96 | 95 | 75 |

mod axis;
mod bias_gradient;
mod input_gradient;
mod mirrored;
mod product;
mod turned_gradient;
mod unfold;
mod weight_gradient;

use super::vector::LANES;

pub use axis::Axis;
pub use bias_gradient::bias_gradient;
pub use mirrored::Mirrored;

/// Values after the end of an unfolded image that a vector may read, and nothing uses.
const SLACK: usize = LANES;

/// One group's convolution: its geometry, and where each tap's values lie in the unfolded image.
#[derive(Debug, Clone)]
pub struct Convolution {
    channels: usize,
    filters: usize,
    rows: Axis,
    columns: Axis,
    /// The image's row in each row of a plane; `None` is padding.
    plane_rows: Vec<Option<usize>>,
    /// The place of each tap, in the order of the weights.
    taps: Vec<usize>,
}

impl Convolution {
    /// A convolution of `channels` channels by `filters` filters.
    pub fn new(channels: usize, filters: usize, rows: Axis, columns: Axis) -> Self {
        let mut plane_rows = Vec::new();
        // The first row in the plane of each tap row.
        let mut tap_rows = vec![0; rows.kernel];
        for remainder in 0..rows.stride {
            let of_remainder = |tap: &usize| (tap * rows.dilation) % rows.stride == remainder;
            let start = plane_rows.len();
            let mut count = 0;
            for tap in (0..rows.kernel).filter(of_remainder) {
                let shift = tap * rows.dilation / rows.stride;
                tap_rows[tap] = start + shift;
                count = shift + rows.output;
            }
            plane_rows.extend((0..count).map(|row| {
                let padded = row * rows.stride + remainder;
                padded
                    .checked_sub(rows.before)
                    .filter(|row| *row < rows.input)
            }));
        }
        let plane = plane_rows.len() * columns.output;
        let mut taps = Vec::with_capacity(channels * rows.kernel * columns.kernel);
        for channel in 0..channels {
            for row in &tap_rows {
                for column in 0..columns.kernel {
                    let start = (channel * columns.kernel + column) * plane;
                    taps.push(start + row * columns.output);
                }
            }
        }
        Self {
            channels,
            filters,
            rows,
            columns,
            plane_rows,
            taps,
        }
    }

    /// At most as many values as [`Convolution::unfolded`] would be for such a geometry, and as
    /// [`Convolution::taps`]; to be asked before one is made of settings that may be absurd.
    pub fn size_bound(channels: usize, rows: Axis, columns: Axis) -> usize {
        let remainders = rows.kernel.min(rows.stride);
        let reach = (rows.kernel - 1).saturating_mul(rows.dilation) / rows.stride + 1;
        let plane = remainders
            .saturating_mul(reach.saturating_add(rows.output))
            .saturating_mul(columns.output);
        let most = plane.max(rows.kernel);
        most.saturating_mul(columns.kernel).saturating_mul(channels)
    }

    /// Where its windows stand.
    pub(in crate::nn) fn axes(&self) -> (Axis, Axis) {
        (self.rows, self.columns)
    }

    /// Values of an image.
    pub fn inputs(&self) -> usize {
        self.channels * self.rows.input * self.columns.input
    }

    /// Windows, and values that a filter gives.
    pub fn positions(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Weights of a filter.
    pub fn taps(&self) -> usize {
        self.taps.len()
    }

    /// Values that an unfolded image takes.
    pub fn unfolded(&self) -> usize {
        let planes = self.channels * self.columns.kernel;
        // To a multiple, so that one image after another begins where a cache line does.
        let values = planes * self.plane_rows.len() * self.columns.output;
        values.next_multiple_of(LANES) + SLACK
    }
}
