//! Activation functions: their names, and their values on whole slices.

mod backward;

use std::fmt;

use super::math;
use super::processor::{Processor, Task};
use crate::nearest;
use crate::nn::base::stop::{Pace, VALUE};

/// The function applied to a layer's outputs. The definitions are PyTorch's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// x
    #[default]
    Linear,
    /// max(x, 0)
    Relu,
    /// x where positive, else this slope times x; the slope is finite and not below 0
    /// ([`LEAKY_RELU_SLOPE`] is PyTorch's default)
    LeakyRelu(f32),
    /// x where positive, else e^x - 1
    Elu,
    /// The self-normalising ELU of Klambauer and others, 2017
    Selu,
    /// x Φ(x) with the exact normal distribution, by erf (PyTorch's default, not the tanh form)
    Gelu,
    /// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, PyTorch's `approximate="tanh"`, the default of JAX
    /// and tinygrad
    GeluTanh,
    /// x sigmoid(x), also called swish
    Silu,
    /// x tanh(ln(1 + e^x))
    Mish,
    /// ln(1 + e^x)
    Softplus,
    /// The hyperbolic tangent
    Tanh,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// x / 6 + 1/2 between 0 and 1, as PyTorch and Keras 3 have it (Keras 2 and ONNX: 0.2 x + 1/2)
    HardSigmoid,
    /// e^x over its sum across the row
    Softmax,
    /// e^x, of x between plus and minus [`LARGEST_EXPONENT`], so that it is neither infinite nor 0
    Exponential,
}

/// The largest exponent of `exponential`: e⁸⁰ is 5.5e34, and f32 ends at 3.4e38.
pub const LARGEST_EXPONENT: f32 = 80.0;

/// The slope of `leaky_relu` for negative inputs.
pub const LEAKY_RELU_SLOPE: f32 = 0.01;
/// The λ of `selu`.
pub const SELU_SCALE: f32 = 1.050_701;
/// The α of `selu`.
pub const SELU_ALPHA: f32 = 1.673_263_2;

/// A name that is no activation's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("unknown activation \"{name}\"")]
pub struct UnknownActivation {
    /// The name as it was given.
    pub name: String,
}

impl UnknownActivation {
    /// What to do about it.
    pub fn hint(&self) -> String {
        nearest::hint(&self.name, Activation::ALL.map(Activation::name))
    }
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 15] = [
        Self::Linear,
        Self::Relu,
        Self::LeakyRelu(LEAKY_RELU_SLOPE),
        Self::Elu,
        Self::Selu,
        Self::Gelu,
        Self::GeluTanh,
        Self::Silu,
        Self::Mish,
        Self::Softplus,
        Self::Tanh,
        Self::Sigmoid,
        Self::HardSigmoid,
        Self::Softmax,
        Self::Exponential,
    ];

    /// The name as it is written in an architecture.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::LeakyRelu(_) => "leaky_relu",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::Mish => "mish",
            Self::Softplus => "softplus",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid => "hard_sigmoid",
            Self::Softmax => "softmax",
            Self::Exponential => "exponential",
        }
    }

    /// The activation of that name. Case, `_`, `-` and spaces do not matter, so that PyTorch's
    /// class names (`LeakyReLU`) fit too; `swish`, `identity`, `none`, `logistic` and `exp` are
    /// understood, and the names that transformers gives the tanh form of gelu.
    pub fn parse(name: &str) -> Result<Self, UnknownActivation> {
        let plain: String = name
            .chars()
            .filter(|c| !matches!(c, '_' | '-' | ' '))
            .flat_map(char::to_lowercase)
            .collect();
        match plain.as_str() {
            "exp" => return Ok(Self::Exponential),
            "swish" => return Ok(Self::Silu),
            "identity" | "none" => return Ok(Self::Linear),
            "logistic" => return Ok(Self::Sigmoid),
            "gelupytorchtanh" | "gelunew" => return Ok(Self::GeluTanh),
            _ => {}
        }
        let spelled = |a: &Self| a.name().replace('_', "");
        if let Some(found) = Self::ALL.iter().find(|a| spelled(a) == plain) {
            return Ok(*found);
        }
        Err(UnknownActivation {
            name: name.to_owned(),
        })
    }

    /// Replaces `x`, rows of `width` values each, by the function's values. Only softmax looks at
    /// the width; an incomplete last row is left alone by it.
    ///
    /// The result for a row depends on that row alone, and its bits neither on the processor nor on
    /// the number of rows.
    #[inline]
    pub fn apply(self, x: &mut [f32], width: usize) {
        self.apply_on(Processor::detect(), x, width);
    }

    /// [`Activation::apply`] with the vector instructions given.
    pub fn apply_on(self, processor: Processor, x: &mut [f32], width: usize) {
        if self != Self::Linear {
            processor.run(Apply {
                activation: self,
                x,
                width,
            });
        }
    }

    /// [`Activation::apply`] in parts if it is large, with a look before each.
    pub(in crate::nn) fn apply_paced(self, x: &mut [f32], width: usize, pace: &Pace<'_>) {
        let width = width.max(1);
        for part in pace.parts(x.len(), VALUE, width) {
            self.apply(&mut x[part], width);
        }
    }

    /// [`Activation::apply`] within a task.
    #[inline(always)]
    pub(in crate::nn) fn apply_inlined(self, x: &mut [f32], width: usize) {
        match self {
            Self::Linear => {}
            Self::Relu => map(x, relu),
            Self::LeakyRelu(slope) => map(x, |x| leaky_relu(x, slope)),
            Self::Elu => map(x, elu),
            Self::Selu => map(x, selu),
            Self::Gelu => map(x, gelu),
            Self::GeluTanh => map(x, gelu_tanh),
            Self::Silu => map(x, silu),
            Self::Mish => map(x, mish),
            Self::Softplus => map(x, math::ln_1p_exp),
            Self::Tanh => map(x, math::tanh),
            Self::Sigmoid => map(x, math::sigmoid),
            Self::HardSigmoid => map(x, hard_sigmoid),
            Self::Softmax => x.chunks_exact_mut(width.max(1)).for_each(softmax),
            Self::Exponential => map(x, exponential),
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct Apply<'a> {
    activation: Activation,
    x: &'a mut [f32],
    width: usize,
}

impl Task for Apply<'_> {
    #[inline(always)]
    fn run(self) {
        self.activation.apply_inlined(self.x, self.width);
    }
}

#[inline(always)]
fn map(x: &mut [f32], function: impl Fn(f32) -> f32) {
    for value in x {
        *value = function(*value);
    }
}

/// Where x Φ(x), x sigmoid(x) and their like have long reached zero; keeps minus infinity from
/// becoming NaN in the product.
const FAR_BELOW: f32 = -150.0;

#[inline(always)]
fn not_below(x: f32, low: f32) -> f32 {
    if x < low { low } else { x }
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    not_below(x, 0.0)
}

#[inline(always)]
fn leaky_relu(x: f32, slope: f32) -> f32 {
    if x > 0.0 { x } else { x * slope }
}

#[inline(always)]
fn elu(x: f32) -> f32 {
    let below = math::exp_m1_bounded(x);
    if x > 0.0 { x } else { below }
}

#[inline(always)]
fn selu(x: f32) -> f32 {
    let below = math::exp_m1_bounded(x) * SELU_ALPHA;
    SELU_SCALE * if x > 0.0 { x } else { below }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    let x = not_below(x, FAR_BELOW);
    0.5 * x * (1.0 + math::erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// √(2/π), and that times 0.044715: the tanh form of gelu is x sigmoid(2 u) with
/// u = √(2/π) (x + 0.044715 x³), which loses nothing where 1 + tanh(u) nearly vanishes.
pub(in crate::nn) const GELU_LINEAR: f32 = 0.797_884_6;
pub(in crate::nn) const GELU_CUBIC: f32 = 0.035_677_408;

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    let x = not_below(x, FAR_BELOW);
    let u = x * (GELU_CUBIC * x).mul_add(x, GELU_LINEAR);
    x * math::sigmoid(2.0 * u)
}

#[inline(always)]
fn hard_sigmoid(x: f32) -> f32 {
    let above = not_below(x + 3.0, 0.0);
    (if above > 6.0 { 6.0 } else { above }) / 6.0
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    let x = not_below(x, FAR_BELOW);
    x * math::sigmoid(x)
}

/// With w = e^x (e^x + 2), tanh(ln(1 + e^x)) is w / (w + 2). Above 20 that is 1 in `f32`.
#[inline(always)]
fn mish(x: f32) -> f32 {
    let x = not_below(x, FAR_BELOW);
    let e = math::exp(if x > 20.0 { 20.0 } else { x });
    let w = e * (e + 2.0);
    x * (w / (w + 2.0))
}

#[inline(always)]
fn exponential(x: f32) -> f32 {
    let x = not_below(x, -LARGEST_EXPONENT);
    math::exp(if x > LARGEST_EXPONENT {
        LARGEST_EXPONENT
    } else {
        x
    })
}

/// Lanes of the reductions over a row. Fixed, so that sums have one order on every processor.
const LANES: usize = 16;

/// Softmax of one row, its largest value subtracted first so that nothing overflows.
#[inline(always)]
fn softmax(row: &mut [f32]) {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let largest = reduce(row, f32::NEG_INFINITY, larger);
    map(row, |v| math::exp(v - largest));
    let sum = reduce(row, 0.0, |a, b| a + b);
    map(row, |v| v / sum);
}

/// Value i goes to lane i mod 16, then the lanes are halved.
#[inline(always)]
fn reduce(row: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = combine(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = combine(*lane, value);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}
