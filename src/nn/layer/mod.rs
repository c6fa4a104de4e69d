//! What a layer is: what it declares, what its passes work on, how it is written and packed.
//!
//! A layer reads the values of earlier nodes (or columns of the network's input) and writes its
//! own, for a block of rows at once. Rows may stand apart by more than their width, so that a
//! range of the input's columns is read where it is.

mod coupled;
pub(in crate::nn) mod head;
pub mod initializer;
pub(in crate::nn) mod packed;
mod pass;
pub(in crate::nn) mod settings;
pub(in crate::nn) mod spec;

use std::borrow::Cow;
use std::ops::Range;

use self::initializer::{Initializer, ParameterKind};
use self::packed::Packed;
use crate::nn::kernels::integer::{InputScale, PackedIntegers};
use crate::nn::kernels::packed_dense::PackedDense;
use crate::nn::kernels::packed_memory::Packer;

pub use coupled::{Coupled, CoupledGradients};
pub(in crate::nn) use pass::Wanted;
pub use pass::{Backward, Forward, InputGradients, Inputs, Source, View};

/// A parameter as its layer declares it.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Name within the layer, PyTorch's (`weight`, `bias`).
    pub name: Cow<'static, str>,
    /// Shape in PyTorch's layout.
    pub shape: Vec<usize>,
    /// What it is for.
    pub kind: ParameterKind,
    /// Values each output is computed from.
    pub fan_in: usize,
    /// Outputs each input contributes to.
    pub fan_out: usize,
    /// The layer's own initializer.
    pub initializer: Option<Initializer>,
    /// What all its values are at first, whatever the initializers.
    pub start: Option<f32>,
}

impl ParameterSpec {
    /// This weight, and a bias for each of so many units if there is one.
    pub(super) fn with_bias(
        self,
        units: usize,
        bias: bool,
        initializer: Option<Initializer>,
    ) -> Vec<ParameterSpec> {
        let bias = bias.then(|| ParameterSpec {
            name: "bias".into(),
            shape: vec![units],
            kind: ParameterKind::Bias,
            initializer,
            ..self.clone()
        });
        [self].into_iter().chain(bias).collect()
    }
}

/// What a layer does outside training.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// What the layer itself computes: [`Layer::pack`] or [`Layer::pack_dense`].
    Packed,
    /// The input as it is.
    Identity,
    /// The inputs side by side.
    Concat,
    /// Ranges of the network's columns side by side; the node has no sources.
    Select {
        /// The ranges, in order.
        ranges: Vec<Range<usize>>,
    },
}

/// What of a layer can be kept in 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantizable {
    /// The places of such weights among its parameters; each has an output a row.
    pub weights: Vec<usize>,
    /// Whether each row of its input has a scale of its own.
    pub is_dynamic: bool,
}

impl Quantizable {
    /// The layer's first parameter, and a scale for all of its input.
    pub fn weight() -> Quantizable {
        Quantizable {
            weights: vec![0],
            is_dynamic: false,
        }
    }
}

/// A layer in the form in which it predicts in 8 bits.
#[derive(Debug)]
pub enum Quantized {
    /// A dense product for each of so many steps of a row.
    Dense(PackedIntegers, usize),
    /// Any other.
    Layer(Box<dyn Packed>),
}

/// A layer of a network that is built: sizes are known and agree.
///
/// `forward` and `backward` must not allocate: what a layer keeps from one for the other it
/// declares in `saved_per_row`.
pub trait Layer: Send + Sync + std::fmt::Debug {
    /// The parameters, in the order they lie in the layer's part of the buffer.
    fn parameters(&self) -> Vec<ParameterSpec> {
        Vec::new()
    }

    /// Number of values a row that `forward` keeps for `backward`.
    fn saved_per_row(&self) -> usize {
        0
    }

    /// Number of values of working memory for passes of at most so many rows. All nodes share it;
    /// what stands in it does not outlast a pass.
    fn scratch(&self, _rows: usize) -> usize {
        0
    }

    /// Number of values of its parameters in the form in which `forward` takes them, beside the
    /// parameters themselves.
    fn prepared(&self) -> usize {
        0
    }

    /// Brings the parameters into that form, once for all rows that meet them.
    fn prepare(&self, _parameters: &[f32], _prepared: &mut [f32]) {}

    /// Multiplications that a row takes, about; it tells how long a pass takes.
    fn products(&self) -> usize {
        let sizes = self.parameters().into_iter();
        let size =
            |spec: ParameterSpec| spec.shape.iter().fold(1_usize, |n, m| n.saturating_mul(*m));
        sizes.map(size).fold(0, usize::saturating_add)
    }

    /// How its rows depend, in training, on the others of their batch; most do not.
    fn coupled(&self) -> Option<&dyn Coupled> {
        None
    }

    /// How many bins it wants the values of each of its inputs to be cut into before it is trained;
    /// its first parameter is then their edges, of kind [`ParameterKind::Fitted`] and shape
    /// [inputs, bins + 1].
    fn bins(&self) -> Option<usize> {
        None
    }

    /// Computes the output of every row.
    fn forward(&self, pass: Forward<'_>);

    /// From the gradient with respect to the output, adds up those with respect to the
    /// parameters and the inputs.
    fn backward(&self, pass: Backward<'_>);

    /// What the layer does outside training.
    fn operation(&self) -> Operation {
        Operation::Packed
    }

    /// The layer with its parameters in the form in which it predicts. What it asks the packer for
    /// must follow from the layer alone.
    fn pack(&self, _packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        None
    }

    /// The same of a layer that is one dense product for each of so many steps of a row: most are,
    /// and their product is called directly.
    fn pack_dense(&self, _packer: &mut Packer<'_>) -> Option<(PackedDense, usize)> {
        None
    }

    /// What of the layer can be kept and computed in 8 bits; nothing where it would not pay.
    fn quantizable(&self) -> Option<Quantizable> {
        None
    }

    /// As [`Layer::pack`], of a layer that is [`Layer::quantizable`] and whose parameters were
    /// rounded, with the scale of its input.
    fn pack_quantized(&self, _packer: &mut Packer<'_>, _input: InputScale) -> Option<Quantized> {
        None
    }
}
