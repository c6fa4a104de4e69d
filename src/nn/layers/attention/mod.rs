//! Multi-head self-attention (Vaswani and others, 2017), as `torch.nn.MultiheadAttention` called with
//! the same sequence as query, key and value.
//!
//! Steps that are not there are no keys, as by `key_padding_mask`, and give zeros.

mod heads;
mod panels;
mod self_attention;
mod softmax;

use std::sync::Arc;

use serde_json::{Map, Value};

pub(super) use heads::{Heads, take};
pub(super) use self_attention::{PackedAttention, SelfAttention, Tokens};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::shortest;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec, Quantizable, Quantized, View};
use crate::nn::layers::packed_linear::quantizable;

/// The type `multi_head_attention`.
pub(in crate::nn) const MULTI_HEAD_ATTENTION: LayerType = LayerType {
    name: "multi_head_attention",
    aliases: &["multiheadattention"],
    settings: &["num_heads", "dropout", "use_bias"],
    rank: Rank::Sequence,
    read: |_, settings| {
        Ok(Arc::new(AttentionSpec {
            heads: settings.required_count("num_heads")?,
            dropout: settings.rate("dropout")?.unwrap_or(0.0),
            use_bias: settings.flag("use_bias")?.unwrap_or(true),
        }))
    },
};

#[derive(Debug)]
struct AttentionSpec {
    heads: usize,
    dropout: f32,
    use_bias: bool,
}

impl Spec for AttentionSpec {
    fn type_name(&self) -> &'static str {
        MULTI_HEAD_ATTENTION.name
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("num_heads".into(), self.heads.into());
        if self.dropout != 0.0 {
            settings.insert("dropout".into(), shortest(self.dropout).into());
        }
        if !self.use_bias {
            settings.insert("use_bias".into(), false.into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let heads = Heads::over(site, self.heads)?;
        Ok(Built::Layer {
            layer: Box::new(MultiHeadAttention(SelfAttention::new(
                heads,
                self.dropout,
                self.use_bias,
                0,
            ))),
            shape: site.one()?,
            lengths: LengthRule::Keep,
        })
    }
}

impl Heads {
    /// So many heads over the only input, a sequence.
    ///
    /// # Errors
    /// Another shape, or features that cannot be divided among the heads.
    pub fn over(site: &Site<'_>, heads: usize) -> Result<Heads, Error> {
        let (steps, features) = site.sequence()?;
        if features.is_multiple_of(heads) {
            return Ok(Heads {
                steps,
                features,
                heads,
            });
        }
        Err(site.error(
            format!("cannot divide {features} features among {heads} heads"),
            "Give \"num_heads\" as a divisor of the features, or put a dense layer before it that \
             gives each step a multiple of \"num_heads\".",
        ))
    }
}

/// Rows [rows, steps, features] to rows of the same shape.
#[derive(Debug)]
struct MultiHeadAttention(SelfAttention);

impl MultiHeadAttention {
    /// Values of a row.
    fn size(&self) -> usize {
        self.0.heads.steps * self.0.heads.features
    }
}

impl Layer for MultiHeadAttention {
    fn parameters(&self) -> Vec<ParameterSpec> {
        self.0.parameters("").collect()
    }

    fn saved_per_row(&self) -> usize {
        self.0.saved_per_row()
    }

    fn scratch(&self, rows: usize) -> usize {
        let working = self.0.backward_scratch(rows).max(self.0.forward_scratch());
        rows * self.size() + working
    }

    fn products(&self) -> usize {
        self.0.products()
    }

    fn forward(&self, pass: Forward<'_>) {
        let tokens = Tokens {
            rows: pass.rows,
            there: &|row| pass.inputs.steps(0, row),
            parameters: pass.parameters,
            pace: pass.pace,
        };
        let mut scratch = pass.scratch;
        let x = side_by_side(pass.inputs.view(0), pass.rows, &mut scratch);
        let context = self.0.forward(tokens, x, pass.saved, scratch, pass.random);
        let count = pass.rows * self.0.heads.steps;
        self.0
            .out_proj
            .forward(pass.parameters, context, count, pass.output, pass.pace);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let tokens = Tokens {
            rows: pass.rows,
            there: &|row| pass.inputs.steps(0, row),
            parameters: pass.parameters,
            pace: pass.pace,
        };
        let mut scratch = pass.scratch;
        let x = side_by_side(pass.inputs.view(0), pass.rows, &mut scratch);
        let qkv_gradient = self.0.backward(
            tokens,
            x,
            pass.gradient,
            pass.saved,
            scratch,
            pass.parameter_gradient,
        );
        if let Some((target, add)) = pass.input_gradients.get(0) {
            let beta = if add { 1.0 } else { 0.0 };
            self.0.input_gradient(tokens, qkv_gradient, beta, target);
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(self.0.pack(packer, None)))
    }

    fn quantizable(&self) -> Option<Quantizable> {
        quantizable(&self.parameters())
    }

    fn pack_quantized(&self, packer: &mut Packer<'_>, input: InputScale) -> Option<Quantized> {
        let packed = self.0.pack(packer, Some(input));
        Some(Quantized::Layer(Box::new(packed)))
    }
}

/// The rows of an input one behind the other: where they are, or copied to working memory.
pub(super) fn side_by_side<'a>(
    input: View<'a>,
    rows: usize,
    scratch: &mut &'a mut [f32],
) -> &'a [f32] {
    if input.stride == input.width {
        return &input.data[..rows * input.width];
    }
    let copy = take(scratch, rows * input.width);
    for (row, copy) in copy.chunks_exact_mut(input.width).enumerate() {
        copy.copy_from_slice(input.row(row));
    }
    copy
}

impl Packed for PackedAttention {
    fn size_bytes(&self) -> usize {
        PackedAttention::size_bytes(self)
    }

    fn scratch(&self, _rows: usize) -> usize {
        PackedAttention::scratch(self)
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let input = pass.inputs.view(0);
        for row in 0..pass.rows {
            let there = pass.inputs.steps(0, row);
            let output = &mut pass.output[row * pass.stride..][..input.width];
            let x = input.row(row);
            PackedAttention::forward(self, x, there, output, pass.scratch, pass.pace);
        }
    }
}
