//! The encoder of the transformer (Vaswani and others, 2017): self-attention, then a network of two
//! dense layers on each step, each with a residual connection and a layer norm.
//!
//! One block is `torch.nn.TransformerEncoderLayer`; with `num_layers` the blocks and the names of
//! their parameters are those of `torch.nn.TransformerEncoder` (`layers.0.self_attn.in_proj_weight`).
//! `norm_first` puts each norm before what it serves (Xiong and others, 2020) instead of behind the
//! sum.
//!
//! Defaults are PyTorch's, but for two. `feed_forward` is four times the features: PyTorch's 2048 is
//! that for its 512, and far too wide for the narrow steps of tables. `dropout` is 0 as in all
//! layers here; PyTorch's is 0.1.

mod block;
mod packed;
mod residual;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::block::{Block, BlockPass, EncoderSpec};
use self::packed::PackedEncoder;
use super::attention::{Heads, Tokens, side_by_side, take};
use super::norm::EPSILON;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::Packed;
use crate::nn::layer::settings::{Settings, shortest};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec, Quantizable, Quantized};
use crate::nn::layers::packed_linear::quantizable;

/// Most blocks of a layer.
const MAX_BLOCKS: usize = 100;

/// The type `transformer_encoder`.
pub(in crate::nn) const TRANSFORMER_ENCODER: LayerType = LayerType {
    name: "transformer_encoder",
    aliases: &["transformerencoder", "transformerencoderlayer"],
    settings: &[
        "num_heads",
        "feed_forward",
        "num_layers",
        "activation",
        "norm_first",
        "dropout",
        "use_bias",
        "epsilon",
    ],
    rank: Rank::Sequence,
    read: |_, settings| Ok(Arc::new(EncoderSpec::read(settings)?)),
};

impl EncoderSpec {
    fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        let activation = settings.activation()?.unwrap_or(Activation::Relu);
        if !matches!(
            activation,
            Activation::Relu | Activation::Gelu | Activation::GeluTanh
        ) {
            return Err(settings.error(
                format!("\"activation\" must be relu, gelu or gelu_tanh, not {activation}"),
                "Leave it out for relu, PyTorch's default.",
            ));
        }
        let layers = settings.count_within("num_layers", 1..=MAX_BLOCKS, "Give fewer layers.")?;
        Ok(Self {
            heads: settings.required_count("num_heads")?,
            feed_forward: settings.count("feed_forward")?,
            layers,
            activation,
            norm_first: settings.flag("norm_first")?.unwrap_or(false),
            dropout: settings.rate("dropout")?.unwrap_or(0.0),
            use_bias: settings.flag("use_bias")?.unwrap_or(true),
            epsilon: settings.positive("epsilon")?.unwrap_or(EPSILON),
        })
    }
}

impl Spec for EncoderSpec {
    fn type_name(&self) -> &'static str {
        TRANSFORMER_ENCODER.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| settings.insert(name.into(), value);
        put("num_heads", self.heads.into());
        if let Some(feed_forward) = self.feed_forward {
            put("feed_forward", feed_forward.into());
        }
        if let Some(layers) = self.layers {
            put("num_layers", layers.into());
        }
        if self.activation != Activation::Relu {
            put("activation", self.activation.name().into());
        }
        if self.norm_first {
            put("norm_first", true.into());
        }
        if self.dropout != 0.0 {
            put("dropout", shortest(self.dropout).into());
        }
        if !self.use_bias {
            put("use_bias", false.into());
        }
        if self.epsilon != EPSILON {
            put("epsilon", shortest(self.epsilon).into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let heads = Heads::over(site, self.heads)?;
        let mut blocks = Vec::new();
        let mut start = 0;
        for _ in 0..self.layers.unwrap_or(1) {
            let block = Block::new(self, heads, start);
            start = block.end();
            blocks.push(block);
        }
        Ok(Built::Layer {
            layer: Box::new(TransformerEncoder {
                heads,
                blocks,
                named: self.layers.is_some(),
            }),
            shape: site.one()?,
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, steps, features] to rows of the same shape.
#[derive(Debug)]
struct TransformerEncoder {
    heads: Heads,
    blocks: Vec<Block>,
    /// Whether parameters are named after their block.
    named: bool,
}

impl TransformerEncoder {
    /// Values of a row.
    fn size(&self) -> usize {
        self.heads.steps * self.heads.features
    }
}

impl Layer for TransformerEncoder {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let blocks = self.blocks.iter().enumerate();
        blocks
            .flat_map(|(i, block)| match self.named {
                true => block.parameters(&format!("layers.{i}.")),
                false => block.parameters(""),
            })
            .collect()
    }

    /// What each block keeps, and the output of all but the last.
    fn saved_per_row(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::saved_per_row).sum();
        blocks + (self.blocks.len() - 1) * self.size()
    }

    fn scratch(&self, rows: usize) -> usize {
        let working = self.blocks.iter().map(|block| block.scratch(rows));
        rows * self.size() + working.max().unwrap_or(0)
    }

    fn products(&self) -> usize {
        let blocks = self.blocks.iter().map(Block::products);
        blocks.fold(0, usize::saturating_add)
    }

    fn forward(&self, mut pass: Forward<'_>) {
        let tokens = Tokens {
            rows: pass.rows,
            there: &|row| pass.inputs.steps(0, row),
            parameters: pass.parameters,
            pace: pass.pace,
        };
        let (mut saved, mut scratch) = (pass.saved, pass.scratch);
        let mut x = side_by_side(pass.inputs.view(0), pass.rows, &mut scratch);
        for (i, block) in self.blocks.iter().enumerate() {
            let own = take(&mut saved, pass.rows * block.saved_per_row());
            let random = pass.random.as_deref_mut();
            if i + 1 == self.blocks.len() {
                block.forward(BlockPass { tokens, x }, pass.output, own, scratch, random);
            } else {
                let output = take(&mut saved, pass.rows * self.size());
                block.forward(BlockPass { tokens, x }, output, own, scratch, random);
                x = output;
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let tokens = Tokens {
            rows: pass.rows,
            there: &|row| pass.inputs.steps(0, row),
            parameters: pass.parameters,
            pace: pass.pace,
        };
        let mut scratch = pass.scratch;
        let first = side_by_side(pass.inputs.view(0), pass.rows, &mut scratch);
        let mut target = pass.input_gradients.get(0);
        let gradient = pass.gradient;
        // From the last block on; what it kept stands behind what those before it kept.
        let mut saved = pass.saved;
        for (i, block) in self.blocks.iter().enumerate().rev() {
            let kept = pass.rows * block.saved_per_row();
            let (before, own) = saved.split_at_mut(saved.len() - kept);
            let output = pass.rows * if i > 0 { self.size() } else { 0 };
            let (before, x) = before.split_at_mut(before.len() - output);
            block.backward(
                BlockPass {
                    tokens,
                    x: if i > 0 { x } else { first },
                },
                gradient,
                own,
                scratch,
                pass.parameter_gradient.as_deref_mut(),
                i > 0 || target.is_some(),
            );
            saved = before;
        }
        match &mut target {
            None => {}
            Some((target, false)) => target.copy_from_slice(gradient),
            Some((target, true)) => {
                target
                    .iter_mut()
                    .zip(&*gradient)
                    .for_each(|(target, g)| *target += g);
            }
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let blocks = self.blocks.iter().map(|block| block.pack(packer, None));
        Some(Box::new(PackedEncoder::new(self.heads, blocks.collect())))
    }

    fn quantizable(&self) -> Option<Quantizable> {
        quantizable(&self.parameters())
    }

    fn pack_quantized(&self, packer: &mut Packer<'_>, input: InputScale) -> Option<Quantized> {
        let blocks = self
            .blocks
            .iter()
            .map(|block| block.pack(packer, Some(input)));
        let packed = PackedEncoder::new(self.heads, blocks.collect());
        Some(Quantized::Layer(Box::new(packed)))
    }
}
