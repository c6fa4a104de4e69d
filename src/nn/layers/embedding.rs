//! A learnt vector for each level of a categorical feature, as `torch.nn.Embedding`.

use super::{Backward, Forward, Layer, Operation, ParameterSpec, level};
use crate::nn::initializer::ParameterKind;

/// Rows [rows, 1] of level indexes to rows [rows, units].
#[derive(Debug)]
pub(crate) struct Embedding {
    pub vocabulary: usize,
    pub units: usize,
}

impl Layer for Embedding {
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight",
            shape: vec![self.vocabulary, self.units],
            kind: ParameterKind::Embedding,
            fan_in: self.vocabulary,
            fan_out: self.units,
            initializer: None,
        }]
    }

    fn forward(&self, pass: Forward<'_>) {
        let input = pass.inputs.view(0);
        for (row, output) in pass.output.chunks_exact_mut(self.units).enumerate() {
            let level = level(input.row(row)[0], self.vocabulary);
            output.copy_from_slice(&pass.parameters[level * self.units..][..self.units]);
        }
    }

    fn backward(&self, pass: Backward<'_>) {
        let Some(table) = pass.parameter_gradient else {
            return;
        };
        let input = pass.inputs.view(0);
        for (row, gradient) in pass.gradient.chunks_exact(self.units).enumerate() {
            let level = level(input.row(row)[0], self.vocabulary);
            let target = &mut table[level * self.units..][..self.units];
            target
                .iter_mut()
                .zip(gradient)
                .for_each(|(target, g)| *target += g);
        }
    }

    fn operation(&self) -> Operation {
        Operation::Embedding {
            vocabulary: self.vocabulary,
            units: self.units,
        }
    }
}
