//! Which numbers a network can say at all.

use super::Architecture;
use crate::nn::kernels::activation::{Activation, SELU_ALPHA, SELU_SCALE};
use crate::nn::layers::DenseSpec;

/// From this slope on a network learns well to give what is below 0 by a leaky relu.
const STEEP: f32 = 0.2;

/// The numbers between these, which may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputRange {
    /// The activation that keeps them there.
    pub activation: Activation,
    /// The least.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Whether the outputs of a row always sum to 1.
    pub sums_to_one: bool,
    /// Whether there are numbers below `low` after all, but only where what comes in is far below.
    pub is_soft: bool,
}

impl Activation {
    /// The least and the largest of its values; the minima of gelu, silu and mish to five digits,
    /// rounded up.
    pub fn range(self) -> (f64, f64) {
        let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
        let from = |low: f64| (low, f64::INFINITY);
        match self {
            Activation::LeakyRelu(0.0) => from(0.0),
            Activation::Linear | Activation::LeakyRelu(_) => unbounded,
            Activation::Relu | Activation::Softplus | Activation::Exponential => from(0.0),
            Activation::Elu => from(-1.0),
            Activation::Selu => from(-f64::from(SELU_SCALE * SELU_ALPHA)),
            Activation::Gelu => from(-0.16997),
            Activation::GeluTanh => from(-0.17004),
            Activation::Silu => from(-0.27846),
            Activation::Mish => from(-0.30884),
            Activation::Tanh => (-1.0, 1.0),
            Activation::Sigmoid | Activation::HardSigmoid | Activation::Softmax => (0.0, 1.0),
        }
    }
}

impl Architecture {
    /// What a regression's outputs are kept within by the last layer of a resolved architecture;
    /// `None` where they may be any numbers.
    pub fn output_range(&self) -> Option<OutputRange> {
        let output = self.layers.last()?.get::<DenseSpec>()?;
        let activation = output.activation?;
        let is_soft =
            matches!(activation, Activation::LeakyRelu(slope) if slope > 0.0 && slope < STEEP);
        let (low, high) = match is_soft {
            true => (0.0, f64::INFINITY),
            false => activation.range(),
        };
        let sums_to_one = activation == Activation::Softmax;
        let alone = sums_to_one && output.units == Some(1);
        (low.is_finite() || high.is_finite()).then_some(OutputRange {
            activation,
            // The only one of a softmax is 1 whatever comes in.
            low: if alone { 1.0 } else { low },
            high,
            sums_to_one,
            is_soft,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_within_the_range_and_come_near_its_ends() {
        for activation in Activation::ALL {
            if activation == Activation::Softmax {
                continue;
            }
            let (low, high) = activation.range();
            let mut values: Vec<f32> = (-40_000..=40_000).map(|i| i as f32 / 1000.0).collect();
            activation.apply(&mut values, 1);
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (least, largest) = (f64::from(least), f64::from(largest));
            assert!(
                least >= low - 1e-5 && largest <= high + 1e-6,
                "{activation}"
            );
            assert!(
                !low.is_finite() || least < low + 1e-4,
                "{activation}: {least}"
            );
            assert!(
                !high.is_finite() || largest > high - 1e-4,
                "{activation}: {largest}"
            );
            assert!(high.is_finite() || largest > 10.0, "{activation}");
        }
    }
}
