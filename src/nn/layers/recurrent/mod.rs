//! Recurrent layers: `rnn`, `lstm` and `gru`, stacked and in both directions, with parameters and
//! results as in `torch.nn.RNN`, `torch.nn.LSTM` and `torch.nn.GRU` (`batch_first`).
//!
//! A row takes as many steps as it has, as in PyTorch's packed sequences: the direction that goes
//! backwards begins at the row's own last step. The states begin at zero.
//!
//! * [`cell`] says what the kinds have in common; each has a file of its own, [`kind`] tells them apart.
//! * [`order`] has the rows with the most steps first.
//! * [`weights`] packs a direction's weights, `forward` and `backward` go through its steps.
//! * [`layer`] stacks them in training, [`packed`] in prediction.

mod backward;
mod cell;
mod forward;
mod gru;
mod kept;
mod kind;
mod layer;
mod lstm;
mod order;
mod packed;
mod rnn;
mod stack;
mod weights;

use std::sync::Arc;

use serde_json::{Map, Value};

use kind::Kind;
use stack::Recurrent;

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::initializer::Initializer;
use crate::nn::layer::settings::{Settings, shortest};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};

/// Most layers of a stack.
const MAX_LAYERS: usize = 100;

/// The settings of `rnn`; the last is PyTorch's name for the activation of that layer alone.
const SETTINGS: &[&str] = &[
    "units",
    "num_layers",
    "bidirectional",
    "return_sequences",
    "activation",
    "dropout",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "nonlinearity",
];
const GATED_SETTINGS: &[&str] = SETTINGS.split_at(SETTINGS.len() - 1).0;

/// The type `rnn`.
pub(in crate::nn) const RNN: LayerType = LayerType {
    name: "rnn",
    aliases: &["simplernn", "simple_rnn"],
    settings: SETTINGS,
    rank: Rank::Sequence,
    read: |_, settings| RecurrentSpec::read(Kind::Rnn, settings),
};

/// The type `lstm`.
pub(in crate::nn) const LSTM: LayerType = LayerType {
    name: "lstm",
    aliases: &[],
    settings: GATED_SETTINGS,
    rank: Rank::Sequence,
    read: |_, settings| RecurrentSpec::read(Kind::Lstm, settings),
};

/// The type `gru`.
pub(in crate::nn) const GRU: LayerType = LayerType {
    name: "gru",
    aliases: &[],
    settings: GATED_SETTINGS,
    rank: Rank::Sequence,
    read: |_, settings| RecurrentSpec::read(Kind::Gru, settings),
};

/// The settings of a recurrent layer.
#[derive(Debug)]
struct RecurrentSpec {
    kind: Kind,
    units: usize,
    num_layers: usize,
    bidirectional: bool,
    return_sequences: bool,
    activation: Option<Activation>,
    dropout: f32,
    use_bias: bool,
    kernel_initializer: Option<Initializer>,
    recurrent_initializer: Option<Initializer>,
    bias_initializer: Option<Initializer>,
}

impl RecurrentSpec {
    fn read(kind: Kind, settings: &Settings<'_>) -> Result<Arc<dyn Spec>, Error> {
        let hint = "It is how many layers of this kind stand one upon the other.";
        let num_layers = settings.count_within("num_layers", 1..=MAX_LAYERS, hint)?;
        let num_layers = num_layers.unwrap_or(1);
        let activation = match settings.get("nonlinearity") {
            // PyTorch's name for it.
            Some(_) if settings.get("activation").is_none() => {
                settings.activation_named("nonlinearity")?
            }
            _ => settings.activation()?,
        };
        // Keras's default, and no distribution of single values.
        let orthogonal = settings
            .get("recurrent_initializer")
            .and_then(Value::as_str)
            .is_some_and(|name| name.eq_ignore_ascii_case("orthogonal"));
        Ok(Arc::new(RecurrentSpec {
            kind,
            units: settings.required_count("units")?,
            num_layers,
            bidirectional: settings.flag("bidirectional")?.unwrap_or(false),
            return_sequences: settings.flag("return_sequences")?.unwrap_or(false),
            activation,
            dropout: settings.rate("dropout")?.unwrap_or(0.0),
            use_bias: settings.flag("use_bias")?.unwrap_or(true),
            kernel_initializer: settings.initializer("kernel_initializer")?,
            recurrent_initializer: match orthogonal {
                true => None,
                false => settings.initializer("recurrent_initializer")?,
            },
            bias_initializer: settings.initializer("bias_initializer")?,
        }))
    }
}

impl Spec for RecurrentSpec {
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Rnn => RNN.name,
            Kind::Lstm => LSTM.name,
            Kind::Gru => GRU.name,
        }
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| drop(settings.insert(name.into(), value));
        set("units", self.units.into());
        if self.num_layers > 1 {
            set("num_layers", self.num_layers.into());
        }
        if self.bidirectional {
            set("bidirectional", true.into());
        }
        if self.return_sequences {
            set("return_sequences", true.into());
        }
        if self.dropout > 0.0 {
            set("dropout", shortest(self.dropout).into());
        }
        if !self.use_bias {
            set("use_bias", false.into());
        }
        for (name, initializer) in [
            ("kernel_initializer", self.kernel_initializer),
            ("recurrent_initializer", self.recurrent_initializer),
            ("bias_initializer", self.bias_initializer),
        ] {
            if let Some(initializer) = initializer {
                set(name, initializer.name().into());
            }
        }
        if let Some(activation) = self.activation {
            Settings::write_activation(activation, settings);
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let (steps, features) = site.sequence()?;
        let layer = Recurrent {
            kind: self.kind,
            steps,
            features,
            units: self.units,
            layers: self.num_layers,
            bidirectional: self.bidirectional,
            sequences: self.return_sequences,
            activation: self.activation.unwrap_or(Activation::Tanh),
            dropout: self.dropout,
            use_bias: self.use_bias,
            kernel_initializer: self.kernel_initializer,
            recurrent_initializer: self.recurrent_initializer,
            bias_initializer: self.bias_initializer,
        };
        let width = layer.width();
        let (shape, lengths) = match self.return_sequences {
            true => {
                let features = width;
                (Shape::Sequence { steps, features }, LengthRule::Keep)
            }
            false => (Shape::Vector(width), LengthRule::Drop),
        };
        Ok(Built::Layer {
            layer: Box::new(layer),
            shape,
            lengths,
        })
    }
}
