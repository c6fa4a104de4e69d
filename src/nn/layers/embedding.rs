//! A learnt vector for each level of a categorical feature, as `torch.nn.Embedding`.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// The type `embedding`.
pub(in crate::nn) const EMBEDDING: LayerType = LayerType {
    name: "embedding",
    aliases: &[],
    settings: &["vocabulary", "units"],
    // It is asked for columns of many numbers only: these are levels, step by step.
    rank: Rank::Sequence,
    read: |_, settings| {
        Ok(Arc::new(EmbeddingSpec {
            vocabulary: settings.count("vocabulary")?,
            units: settings.required_count("units")?,
        }))
    },
};

/// Settings of an embedding.
#[derive(Debug, Clone)]
pub struct EmbeddingSpec {
    /// Number of levels; `None`: as many as the feature has.
    pub vocabulary: Option<usize>,
    /// Length of the vector.
    pub units: usize,
}

impl Spec for EmbeddingSpec {
    fn type_name(&self) -> &'static str {
        EMBEDDING.name
    }

    fn reads_levels(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        if let Some(vocabulary) = self.vocabulary {
            settings.insert("vocabulary".into(), vocabulary.into());
        }
        settings.insert("units".into(), self.units.into());
    }

    fn settled(&self, site: &Site<'_>) -> Option<Arc<dyn Spec>> {
        let levels = site.levels.first().copied().flatten();
        Some(Arc::new(EmbeddingSpec {
            vocabulary: self.vocabulary.or(levels),
            units: self.units,
        }))
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let input = site.one()?;
        let [Some(levels)] = *site.levels else {
            return Err(site.error(
                format!("must read one categorical feature, not {input}"),
                "Put {\"type\": \"input\", \"features\": [\"a categorical column\"]} before it, or \
                 treat the column as a sequence of whole numbers.",
            ));
        };
        let vocabulary = self.vocabulary.unwrap_or(levels);
        if vocabulary < levels {
            return Err(site.error(
                format!("has a vocabulary of {vocabulary}, but the feature has {levels} levels"),
                "Leave \"vocabulary\" out: it follows from the feature.",
            ));
        }
        let units = self.units;
        Ok(Built::Layer {
            layer: Box::new(Embedding {
                steps: input.steps(),
                vocabulary,
                units,
            }),
            shape: match input {
                Shape::Sequence { steps, .. } => Shape::Sequence {
                    steps,
                    features: units,
                },
                _ => Shape::Vector(units),
            },
            lengths: LengthRule::Keep,
        })
    }
}

/// Rows [rows, steps] of level indexes to rows [rows, steps, units].
#[derive(Debug)]
struct Embedding {
    /// Steps of a row; a single level is one.
    steps: usize,
    vocabulary: usize,
    units: usize,
}

impl Layer for Embedding {
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight".into(),
            shape: vec![self.vocabulary, self.units],
            kind: ParameterKind::Embedding,
            fan_in: self.vocabulary,
            fan_out: self.units,
            initializer: None,
            start: None,
        }]
    }

    /// A row of the table is copied, nothing multiplied.
    fn products(&self) -> usize {
        self.steps * self.units
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        let rows = pass.output.chunks_exact_mut(self.steps * self.units);
        for (row, output) in rows.enumerate() {
            let steps = output.chunks_exact_mut(self.units);
            for (output, &x) in steps.zip(input.row(row)) {
                let level = level(x, self.vocabulary);
                output.copy_from_slice(&pass.parameters[level * self.units..][..self.units]);
            }
        }
    }

    fn backward(&self, pass: Backward<'_>) {
        let Some(table) = pass.parameter_gradient else {
            return;
        };
        let input = pass.inputs.view(0);
        let rows = pass.gradient.chunks_exact(self.steps * self.units);
        for (row, gradient) in rows.enumerate() {
            let present = pass.inputs.steps(0, row);
            let steps = gradient.chunks_exact(self.units).take(present);
            for (gradient, &x) in steps.zip(input.row(row)) {
                let level = level(x, self.vocabulary);
                let target = &mut table[level * self.units..][..self.units];
                target
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(target, g)| *target += g);
            }
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(PackedEmbedding {
            vocabulary: self.vocabulary,
            units: self.units,
            table: packer.copy_all(),
        }))
    }
}

/// The row of the table that an encoded value stands for. Whatever the value is, the row exists: NaN
/// and values below 0 give the first, those beyond the table the last.
#[inline]
fn level(value: f32, vocabulary: usize) -> usize {
    // A float's conversion saturates and takes NaN to 0.
    (value as usize).min(vocabulary.saturating_sub(1))
}

#[derive(Debug)]
struct PackedEmbedding {
    vocabulary: usize,
    units: usize,
    table: Values,
}

impl Packed for PackedEmbedding {
    fn size_bytes(&self) -> usize {
        self.table.own_bytes()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let input = pass.inputs.view(0);
        let (table, units) = (&*self.table, self.units);
        for (row, output) in pass
            .output
            .chunks_mut(pass.stride)
            .take(pass.rows)
            .enumerate()
        {
            for (output, &x) in output.chunks_exact_mut(units).zip(input.row(row)) {
                let level = level(x, self.vocabulary);
                output.copy_from_slice(&table[level * units..][..units]);
            }
        }
    }
}
