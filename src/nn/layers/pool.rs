//! The largest or the mean value of windows over steps or over an image; no parameters.
//!
//! As in PyTorch, a mean counts padding that is given as a number as zeros (`count_include_pad`);
//! as in Keras, padding `same` is not counted. A sequence shorter than the longest is pooled as if it
//! had just its own steps.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::pooling::{Plane, Take};
use super::windows::POOL;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::{LengthRule, Padding, Window};
use crate::nn::base::shape::Shape;
use crate::nn::kernels::convolution::Axis;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer};

const SETTINGS: &[&str] = &["pool_size", "strides", "padding"];

/// The type `max_pool1d`.
pub(in crate::nn) const MAX_POOL1D: LayerType = LayerType {
    name: "max_pool1d",
    aliases: &["maxpooling1d", "maxpool1d"],
    settings: SETTINGS,
    rank: Rank::Sequence,
    read: read::<1>,
};

/// The type `avg_pool1d`.
pub(in crate::nn) const AVG_POOL1D: LayerType = LayerType {
    name: "avg_pool1d",
    aliases: &["averagepooling1d", "avgpool1d"],
    settings: SETTINGS,
    rank: Rank::Sequence,
    read: read::<1>,
};

/// The type `max_pool2d`.
pub(in crate::nn) const MAX_POOL2D: LayerType = LayerType {
    name: "max_pool2d",
    aliases: &["maxpooling2d", "maxpool2d"],
    settings: SETTINGS,
    rank: Rank::Image,
    read: read::<2>,
};

/// The type `avg_pool2d`.
pub(in crate::nn) const AVG_POOL2D: LayerType = LayerType {
    name: "avg_pool2d",
    aliases: &["averagepooling2d", "avgpool2d"],
    settings: SETTINGS,
    rank: Rank::Image,
    read: read::<2>,
};

#[derive(Debug)]
struct PoolSpec<const N: usize> {
    type_name: &'static str,
    windows: [Window; N],
}

fn read<const N: usize>(
    type_name: &'static str,
    settings: &Settings<'_>,
) -> Result<Arc<dyn Spec>, Error>
where
    PoolSpec<N>: Spec + 'static,
{
    let windows: [Window; N] = POOL.read(settings)?;
    let too_wide = |window: &Window| match window.padding {
        Padding::Fixed(before, after) => before.max(after) > window.size / 2,
        Padding::Same => false,
    };
    if windows.iter().any(too_wide) {
        return Err(settings.error(
            "\"padding\" is more than half of \"pool_size\"",
            "Windows that see nothing but padding have no value; give less padding.",
        ));
    }
    Ok(Arc::new(PoolSpec { type_name, windows }))
}

impl<const N: usize> PoolSpec<N> {
    fn take(&self) -> Take {
        let largest = [MAX_POOL1D.name, MAX_POOL2D.name].contains(&self.type_name);
        match self.windows[0].padding {
            _ if largest => Take::Largest,
            Padding::Same => Take::Mean,
            Padding::Fixed(..) => Take::PaddedMean,
        }
    }
}

impl Spec for PoolSpec<1> {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        POOL.write(&self.windows, settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (steps, features) = site.sequence()?;
        POOL.check(site, site.one()?, &self.windows, [steps])?;
        let [window] = self.windows;
        // A window of one feature, which stands at each.
        let columns = Axis::new(
            Window {
                size: 1,
                stride: 1,
                dilation: 1,
                padding: Padding::Fixed(0, 0),
            },
            features,
        );
        let pool = Pool {
            plane: Plane {
                rows: Axis::new(window, steps),
                columns,
                take: self.take(),
            },
            planes: 1,
            steps: Some(window),
        };
        Ok(Built::Layer {
            shape: Shape::Sequence {
                steps: pool.plane.rows.output,
                features,
            },
            layer: Box::new(pool),
            lengths: LengthRule::Window(window),
        })
    }
}

impl Spec for PoolSpec<2> {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        POOL.write(&self.windows, settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (channels, height, width) = site.image()?;
        POOL.check(site, site.one()?, &self.windows, [height, width])?;
        let pool = Pool {
            plane: Plane {
                rows: Axis::new(self.windows[0], height),
                columns: Axis::new(self.windows[1], width),
                take: self.take(),
            },
            planes: channels,
            steps: None,
        };
        Ok(Built::Layer {
            shape: Shape::Image {
                channels,
                height: pool.plane.rows.output,
                width: pool.plane.columns.output,
            },
            layer: Box::new(pool),
            lengths: LengthRule::Drop,
        })
    }
}

/// Rows [rows, channels, height, width] to rows [rows, channels, height', width'], or rows
/// [rows, steps, features] to rows [rows, steps', features].
#[derive(Debug, Clone)]
struct Pool {
    plane: Plane,
    /// Planes of a row.
    planes: usize,
    /// The window over the steps of a sequence.
    steps: Option<Window>,
}

impl Pool {
    /// Length of an output row.
    fn outputs(&self) -> usize {
        self.planes * self.plane.outputs()
    }

    /// The windows over a row of so many steps.
    fn plane(&self, steps: usize) -> Plane {
        let mut plane = self.plane;
        if let Some(window) = self.steps
            && steps < plane.rows.input
        {
            plane.rows = Axis::new(window, steps);
            if plane.rows.output == 0 {
                // Too short for a window: one that sees all its steps.
                plane.rows.output = window.row_outputs(steps);
                if plane.take == Take::PaddedMean {
                    plane.take = Take::Mean;
                }
            }
        }
        plane
    }

    fn row(&self, x: &[f32], steps: usize, y: &mut [f32]) {
        let plane = self.plane(steps);
        plane.forward(
            &x[..self.planes * plane.inputs()],
            &mut y[..self.planes * plane.outputs()],
        );
    }
}

impl Layer for Pool {
    /// A line of the output.
    fn scratch(&self, _: usize) -> usize {
        self.plane.columns.output
    }

    fn products(&self) -> usize {
        let window = self.plane.rows.kernel * self.plane.columns.kernel;
        self.outputs().saturating_mul(window)
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_exact_mut(self.outputs());
        for (row, output) in rows.enumerate() {
            self.row(input.row(row), pass.inputs.steps(0, row), output);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let input = pass.inputs.view(0);
        let Some((target, add)) = pass.input_gradients.get(0) else {
            return;
        };
        for (row, target) in target.chunks_exact_mut(input.width).enumerate() {
            let plane = self.plane(pass.inputs.steps(0, row));
            let (inputs, outputs) = (self.planes * plane.inputs(), self.planes * plane.outputs());
            let start = row * self.outputs();
            let (there, beyond) = target.split_at_mut(inputs);
            if !add {
                beyond.fill(0.0);
            }
            plane.backward(
                (
                    &input.row(row)[..inputs],
                    &pass.output[start..start + outputs],
                ),
                &pass.gradient[start..start + outputs],
                there,
                add,
                pass.scratch,
            );
        }
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(self.clone()))
    }
}

impl Packed for Pool {
    fn size_bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        pass.for_each_row(|x, steps, y| self.row(x, steps, y));
    }
}
