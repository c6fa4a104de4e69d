//! The gradient with respect to the image, as a convolution of the one with respect to the output.
//!
//! A value of the image gets a gradient from every window that it lies in. With stride 1 that is a
//! convolution by the kernel turned round, whose channels are the filters. It multiplies the padding
//! around the outputs, too, so it is for images that windows reach beyond, or nearly; for others there is
//! [`Convolution::input_gradient`].

use super::{Axis, Convolution};

/// Channels that fill a tile of the forward pass.
const FEWEST_CHANNELS: usize = 6;

/// The convolution that gives an image's gradient.
#[derive(Debug, Clone)]
pub struct Mirrored {
    /// From the gradient with respect to the output, [filters, positions], to the image's.
    pub convolution: Convolution,
}

impl Convolution {
    /// The convolution that gives the gradient with respect to the image; `None` where there is none,
    /// or where it would take longer than [`Convolution::input_gradient`].
    pub fn mirrored(&self) -> Option<Mirrored> {
        let along = |axis: Axis| {
            let reach = (axis.kernel - 1) * axis.dilation;
            let is_one = axis.stride == 1 && axis.before <= reach;
            is_one.then(|| Axis {
                input: axis.output,
                before: reach - axis.before,
                output: axis.input,
                ..axis
            })
        };
        if self.channels < FEWEST_CHANNELS {
            return None;
        }
        let (rows, columns) = (along(self.rows)?, along(self.columns)?);
        let convolution = Self::new(self.filters, self.channels, rows, columns);
        // What it multiplies beside what the other does.
        let more = convolution.positions().saturating_sub(self.positions());
        (more <= self.positions() / 4).then_some(Mirrored { convolution })
    }
}

impl Mirrored {
    /// The weights of the convolution whose gradient it gives, in its own order; both are as many
    /// values.
    pub fn pack(&self, weight: &[f32], packed: &mut [f32]) {
        let Convolution {
            channels: filters,
            filters: channels,
            ref taps,
            ..
        } = self.convolution;
        let kernel = taps.len() / filters;
        for (channel, packed) in packed.chunks_exact_mut(taps.len()).enumerate() {
            for (filter, packed) in packed.chunks_exact_mut(kernel).enumerate() {
                let weight = &weight[(filter * channels + channel) * kernel..][..kernel];
                let places = packed.iter_mut().zip(weight.iter().rev());
                places.for_each(|(place, weight)| *place = *weight);
            }
        }
    }
}
