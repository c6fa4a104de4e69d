//! An activation as a layer of its own; no parameters.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer};

/// The type `activation`.
pub(in crate::nn) const ACTIVATION: LayerType = LayerType {
    name: "activation",
    aliases: &[],
    settings: &["activation"],
    rank: Rank::Any,
    read: |_, settings| {
        let activation = settings.activation()?;
        Ok(Arc::new(ActivationSpec(
            activation.ok_or_else(|| settings.missing("activation"))?,
        )))
    },
};

/// The type as its users name it by an activation's class (`ReLU`, `LeakyReLU`), which has settings
/// of its own.
pub(in crate::nn) fn of_class(name: &str) -> Option<&'static LayerType> {
    const fn class(settings: &'static [&'static str]) -> LayerType {
        LayerType {
            settings,
            read: |_, settings| match Activation::parse(&settings.type_as_written()) {
                Ok(class) => Ok(Arc::new(ActivationSpec(
                    settings.activation_of_class(class)?,
                ))),
                Err(_) => Err(settings.missing("activation")),
            },
            ..ACTIVATION
        }
    }
    static PLAIN: LayerType = class(&[]);
    static LEAKY_RELU: LayerType = class(&["negative_slope"]);
    static GELU: LayerType = class(&["approximate"]);
    Some(match Activation::parse(name).ok()? {
        Activation::LeakyRelu(_) => &LEAKY_RELU,
        Activation::Gelu => &GELU,
        _ => &PLAIN,
    })
}

/// Settings of an activation by itself.
#[derive(Debug, Clone)]
pub struct ActivationSpec(pub Activation);

impl Spec for ActivationSpec {
    fn type_name(&self) -> &'static str {
        ACTIVATION.name
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        Settings::write_activation(self.0, settings);
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let shape = site.one()?;
        Ok(Built::Layer {
            layer: Box::new(ActivationLayer {
                activation: self.0,
                width: shape.size(),
                slice: shape.step_size(),
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Values of rows that are computed at once.
const BLOCK: usize = 4096;

/// Rows [rows, width] to rows of the same shape.
#[derive(Clone, Copy, Debug)]
struct ActivationLayer {
    activation: Activation,
    width: usize,
    /// Length of the slices that a softmax adds up to one: a step, or the whole row.
    slice: usize,
}

impl Layer for ActivationLayer {
    fn saved_per_row(&self) -> usize {
        if self.activation.backward_needs_input() {
            self.width
        } else {
            0
        }
    }

    fn forward(&self, pass: Forward<'_>) {
        let (input, width) = (pass.inputs.view(0), self.width);
        // Rows that the first cache still holds when the activation is applied to them.
        let some = (BLOCK / width.max(1)).max(1);
        for (block, output) in pass.output.chunks_mut(some * width).enumerate() {
            for (row, output) in output.chunks_exact_mut(width).enumerate() {
                output.copy_from_slice(input.row(block * some + row));
            }
            if self.activation.backward_needs_input() {
                pass.saved[block * some * width..][..output.len()].copy_from_slice(output);
            }
            self.activation.apply(output, self.slice);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        self.activation
            .backward(pass.saved, pass.output, pass.gradient, self.slice);
        pass.input_gradients.put_all(0, pass.gradient);
    }

    fn pack(&self, _: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(*self))
    }
}

impl Packed for ActivationLayer {
    fn size_bytes(&self) -> usize {
        0
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let (input, width) = (pass.inputs.view(0), self.width);
        let rows = pass.output.chunks_mut(pass.stride).take(pass.rows);
        for (row, output) in rows.enumerate() {
            output[..width].copy_from_slice(input.row(row));
        }
        if pass.stride == width {
            let output = &mut pass.output[..pass.rows * width];
            self.activation.apply_paced(output, self.slice, pass.pace);
        } else {
            for output in pass.output.chunks_mut(pass.stride).take(pass.rows) {
                self.activation
                    .apply_paced(&mut output[..width], self.slice, pass.pace);
            }
        }
    }
}
