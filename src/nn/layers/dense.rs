//! The dense layer, `activation(x · Wᵀ + b)`; parameters and layout as in `torch.nn.Linear`. Of a
//! sequence it takes each step alike.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::dot_products::DotProducts;
use crate::nn::kernels::integer::{InputScale, MOST_INPUTS};
use crate::nn::kernels::matrix::{matrix, matrix_mut, multiply_paced, strided};
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::product::{Left, Product, Right, Start, padded};
use crate::nn::kernels::row_sums::add_rows;
use crate::nn::kernels::transpose::transpose;
use crate::nn::layer::head::Head;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{
    Backward, Forward, Inputs, Layer, ParameterSpec, Quantizable, Quantized, View,
};

/// The type `dense`.
pub(in crate::nn) const DENSE: LayerType = LayerType {
    name: "dense",
    aliases: &["linear"],
    settings: SETTINGS,
    rank: Rank::Any,
    read: |_, settings| DenseSpec::read(settings, false),
};

/// The type `output`.
pub(in crate::nn) const OUTPUT: LayerType = LayerType {
    name: "output",
    aliases: &[],
    settings: SETTINGS,
    rank: Rank::Any,
    read: |_, settings| DenseSpec::read(settings, true),
};

const SETTINGS: &[&str] = &[
    "units",
    "activation",
    "use_bias",
    "kernel_initializer",
    "bias_initializer",
];

/// Settings of a dense layer.
#[derive(Debug, Clone)]
pub struct DenseSpec {
    /// Whether it is written as the one that ends the network, whose units and activation follow
    /// from the task.
    pub is_output: bool,
    /// Number of outputs; only an output layer may leave it to the task.
    pub units: Option<usize>,
    /// Activation; `None`: linear, or for an output layer what the task needs.
    pub activation: Option<Activation>,
    /// Whether a bias is added.
    pub use_bias: bool,
    /// How the weights start; `None`: the training's initializer.
    pub kernel_initializer: Option<Initializer>,
    /// How the biases start; `None`: as the training's initializer has it.
    pub bias_initializer: Option<Initializer>,
}

impl DenseSpec {
    /// The layer that ends a network, all of it left to the task.
    pub fn output() -> Self {
        DenseSpec {
            is_output: true,
            units: None,
            activation: None,
            use_bias: true,
            kernel_initializer: None,
            bias_initializer: None,
        }
    }

    fn read(settings: &Settings<'_>, is_output: bool) -> Result<Arc<dyn Spec>, Error> {
        let units = settings.count("units")?;
        if !is_output && units.is_none() {
            return Err(settings.missing("units"));
        }
        Ok(Arc::new(DenseSpec {
            is_output,
            units,
            activation: settings.activation()?,
            use_bias: settings.flag("use_bias")?.unwrap_or(true),
            kernel_initializer: settings.initializer("kernel_initializer")?,
            bias_initializer: settings.initializer("bias_initializer")?,
        }))
    }
}

impl Spec for DenseSpec {
    fn type_name(&self) -> &'static str {
        match self.is_output {
            true => OUTPUT.name,
            false => DENSE.name,
        }
    }

    /// Each step alike; an output is a row's.
    fn keeps_shape(&self) -> bool {
        !self.is_output
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if let Some(units) = self.units {
            settings.insert("units".into(), units.into());
        }
        if let Some(activation) = self.activation {
            Settings::write_activation(activation, settings);
        }
        if !self.use_bias {
            settings.insert("use_bias".into(), false.into());
        }
        if let Some(initializer) = self.kernel_initializer {
            settings.insert("kernel_initializer".into(), initializer.name().into());
        }
        if let Some(initializer) = self.bias_initializer {
            settings.insert("bias_initializer".into(), initializer.name().into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let input = site.one()?;
        let units = self.units.unwrap_or(1);
        let shape = match (input, site.head) {
            (Shape::Vector(_), _) => Shape::Vector(units),
            (Shape::Sequence { steps, .. }, None) => Shape::Sequence {
                steps,
                features: units,
            },
            (Shape::Sequence { .. }, Some(_)) => {
                return Err(site.error(
                    format!("is the output and reads {input}, but the task is a row's"),
                    "Put a layer before it that leaves the steps: flatten, global_avg_pool, \
                     select_step, or a recurrent layer without \"return_sequences\".",
                ));
            }
            (Shape::Image { .. }, _) => {
                return Err(site.error(
                    format!("reads {input}, but takes a vector"),
                    "Put {\"type\": \"flatten\"} or {\"type\": \"global_avg_pool\"} before it.",
                ));
            }
        };
        let activation = match site.head {
            None | Some(Head::Regression { .. }) => self.activation.unwrap_or_default(),
            // The loss wants logits, so the activation of classes is left to the caller.
            Some(_) => Activation::Linear,
        };
        Ok(Built::Layer {
            layer: Box::new(Dense {
                steps: input.steps(),
                width: input.step_size(),
                units,
                activation,
                use_bias: self.use_bias,
                kernel_initializer: self.kernel_initializer,
                bias_initializer: self.bias_initializer,
            }),
            shape,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, steps, width] to rows [rows, steps, units].
#[derive(Debug)]
struct Dense {
    /// Steps of a row; a vector is one.
    steps: usize,
    width: usize,
    units: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Option<Initializer>,
    bias_initializer: Option<Initializer>,
}

/// Up to this width a layer is computed by tiles: its factors stay in the caches, which wider ones
/// need BLAS's copies for.
const NARROW: usize = 256;
/// From so many inputs on 8 bits pay: with fewer, turning them into bytes takes what is gained.
const LEAST_QUANTIZED: usize = 32;
/// Up to so many outputs a row's are dot products.
const FEW: usize = 4;

/// How a layer's products are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Tiles,
    Dots,
    Blas,
}

impl Dense {
    fn weights(&self) -> usize {
        self.units * self.width
    }

    fn kernel(&self) -> Kernel {
        if self.width.max(self.units) > NARROW {
            Kernel::Blas
        } else if self.units <= FEW {
            Kernel::Dots
        } else {
            Kernel::Tiles
        }
    }
}

impl Layer for Dense {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let weight = ParameterSpec {
            name: "weight".into(),
            shape: vec![self.units, self.width],
            kind: ParameterKind::Weight,
            fan_in: self.width,
            fan_out: self.units,
            initializer: self.kernel_initializer,
            start: None,
        };
        weight.with_bias(self.units, self.use_bias, self.bias_initializer)
    }

    fn saved_per_row(&self) -> usize {
        if self.activation.backward_needs_input() {
            self.steps * self.units
        } else {
            0
        }
    }

    fn products(&self) -> usize {
        self.steps.saturating_mul(self.weights())
    }

    fn prepared(&self) -> usize {
        match self.kernel() {
            Kernel::Tiles => self.width * padded(self.units),
            _ => 0,
        }
    }

    fn prepare(&self, parameters: &[f32], prepared: &mut [f32]) {
        if self.kernel() == Kernel::Tiles {
            let weight = &parameters[..self.weights()];
            transpose(weight, self.width, prepared, padded(self.units));
        }
    }

    fn forward(&self, pass: Forward<'_>) {
        let (weight, bias) = pass.parameters.split_at(self.weights());
        let kernel = self.kernel();
        let relu = kernel == Kernel::Tiles && self.activation == Activation::Relu;
        for_blocks(&pass.inputs, pass.rows, self.steps, |begin, count, x| {
            let output = &mut pass.output[begin * self.units..][..count * self.units];
            match kernel {
                Kernel::Tiles => Product {
                    rows: count,
                    inner: self.width,
                    columns: self.units,
                    a: Left {
                        data: x.data,
                        row: x.stride,
                        step: 1,
                    },
                    b: Right {
                        data: pass.prepared,
                        row: padded(self.units),
                    },
                    start: match self.use_bias {
                        true => Start::Bias(bias),
                        false => Start::Zero,
                    },
                    relu,
                    c: output,
                    c_row: self.units,
                }
                .compute(Processor::detect(), pass.pace),
                Kernel::Dots => DotProducts {
                    rows: count,
                    inner: self.width,
                    outputs: self.units,
                    x: x.data,
                    stride: x.stride,
                    w: weight,
                    bias: if self.use_bias { bias } else { &[] },
                    c: output,
                }
                .compute(Processor::detect(), pass.pace),
                Kernel::Blas => {
                    let mut beta = 0.0;
                    if self.use_bias {
                        beta = 1.0;
                        let steps = output.chunks_exact_mut(self.units);
                        steps.for_each(|step| step.copy_from_slice(bias));
                    }
                    let x = strided(x.data, count, x.width, x.stride);
                    let w = matrix(weight, self.units, self.width);
                    let mut y = matrix_mut(output, count, self.units);
                    multiply_paced(&x, &w.t(), beta, &mut y, pass.pace);
                }
            }
        });
        if self.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        if !relu {
            self.activation
                .apply_paced(pass.output, self.units, pass.pace);
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let pace = pass.pace;
        self.activation
            .backward_paced(pass.saved, pass.output, pass.gradient, self.units, pace);
        let count = pass.rows * self.steps;
        let weight = &pass.parameters[..self.weights()];
        let is_small = self.kernel() != Kernel::Blas;
        if let Some(parameters) = pass.parameter_gradient {
            let (weight, bias) = parameters.split_at_mut(self.weights());
            for_blocks(&pass.inputs, pass.rows, self.steps, |begin, count, x| {
                let gradient = &pass.gradient[begin * self.units..][..count * self.units];
                if is_small {
                    Product {
                        rows: self.units,
                        inner: count,
                        columns: self.width,
                        a: Left {
                            data: gradient,
                            row: 1,
                            step: self.units,
                        },
                        b: Right {
                            data: x.data,
                            row: x.stride,
                        },
                        start: Start::Result,
                        relu: false,
                        c: weight,
                        c_row: self.width,
                    }
                    .compute(Processor::detect(), pass.pace);
                } else {
                    let gradient = matrix(gradient, count, self.units);
                    let x = strided(x.data, count, x.width, x.stride);
                    let mut weight = matrix_mut(weight, self.units, self.width);
                    multiply_paced(&gradient.t(), &x, 1.0, &mut weight, pace);
                }
            });
            if self.use_bias {
                add_rows(pass.gradient, bias, pace);
            }
        }
        if let Some((target, add)) = pass.input_gradients.get(0) {
            if is_small {
                Product {
                    rows: count,
                    inner: self.units,
                    columns: self.width,
                    a: Left {
                        data: pass.gradient,
                        row: self.units,
                        step: 1,
                    },
                    b: Right {
                        data: weight,
                        row: self.width,
                    },
                    start: if add { Start::Result } else { Start::Zero },
                    relu: false,
                    c: target,
                    c_row: self.width,
                }
                .compute(Processor::detect(), pass.pace);
            } else {
                let gradient = matrix(pass.gradient, count, self.units);
                let w = matrix(weight, self.units, self.width);
                let mut target = matrix_mut(target, count, self.width);
                let beta = if add { 1.0 } else { 0.0 };
                multiply_paced(&gradient, &w, beta, &mut target, pace);
            }
        }
    }

    fn pack_dense(&self, packer: &mut Packer<'_>) -> Option<(PackedDense, usize)> {
        let dense = packer.dense(self.units, self.width, self.activation, |own, packing| {
            let (weight, bias) = own.split_at(self.weights());
            packing.rows(weight, 0, self.width);
            if self.use_bias {
                packing.bias(&bias[..self.units]);
            }
        });
        Some((dense, self.steps))
    }

    fn quantizable(&self) -> Option<Quantizable> {
        let pays = self.units > FEW && (LEAST_QUANTIZED..=MOST_INPUTS).contains(&self.width);
        pays.then(Quantizable::weight)
    }

    fn pack_quantized(&self, packer: &mut Packer<'_>, input: InputScale) -> Option<Quantized> {
        let (units, width, activation) = (self.units, self.width, self.activation);
        let dense = packer.integers(units, width, input, activation, |own, packing| {
            let (weight, bias) = own.split_at(self.weights());
            packing.rows(0, weight);
            if self.use_bias {
                packing.bias(&bias[..units]);
            }
        });
        Some(Quantized::Dense(dense, self.steps))
    }
}

/// Calls `each` with the input's steps as rows: all at once where rows stand side by side or are
/// single steps, else row by row. It is given the number of the first step and how many there are.
fn for_blocks(
    inputs: &Inputs<'_>,
    rows: usize,
    steps: usize,
    mut each: impl FnMut(usize, usize, View<'_>),
) {
    let view = inputs.view(0);
    let width = view.width / steps;
    let steps_of = |data, stride| View {
        data,
        stride,
        width,
    };
    if steps == 1 {
        each(0, rows, view);
    } else if view.stride == view.width {
        each(0, rows * steps, steps_of(view.data, width));
    } else {
        for row in 0..rows {
            each(row * steps, steps, steps_of(view.row(row), width));
        }
    }
}
