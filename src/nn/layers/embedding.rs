//! A learnt vector for each level of a categorical feature, as `torch.nn.Embedding`.

use crate::nn::layer::initializer::ParameterKind;
use crate::nn::layer::{Backward, Forward, Layer, Operation, ParameterSpec, level};

/// Rows [rows, steps] of level indexes to rows [rows, steps, units].
#[derive(Debug)]
pub(crate) struct Embedding {
    /// Steps of a row; a single level is one.
    pub steps: usize,
    pub vocabulary: usize,
    pub units: usize,
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

    fn operation(&self) -> Operation {
        Operation::Embedding {
            steps: self.steps,
            vocabulary: self.vocabulary,
            units: self.units,
        }
    }
}
