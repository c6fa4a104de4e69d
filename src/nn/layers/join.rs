//! Layers of several inputs: sum, product and concatenation; no parameters.

use crate::nn::layer::{Backward, Forward, Layer, Operation};

/// The sum of inputs [rows, width].
#[derive(Debug)]
pub(crate) struct Add {
    pub width: usize,
}

impl Layer for Add {
    fn forward(&self, pass: Forward<'_>) {
        for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
            output.copy_from_slice(pass.inputs.view(0).row(row));
            for input in 1..pass.inputs.len() {
                let x = pass.inputs.view(input).row(row);
                output
                    .iter_mut()
                    .zip(x)
                    .for_each(|(output, x)| *output += x);
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        for input in 0..pass.inputs.len() {
            pass.input_gradients.put(input, |i| pass.gradient[i]);
        }
    }

    fn operation(&self) -> Operation {
        Operation::Add
    }
}

/// The product, element by element, of inputs [rows, width].
#[derive(Debug)]
pub(crate) struct Multiply {
    pub width: usize,
}

impl Layer for Multiply {
    fn forward(&self, pass: Forward<'_>) {
        for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
            output.copy_from_slice(pass.inputs.view(0).row(row));
            for input in 1..pass.inputs.len() {
                let x = pass.inputs.view(input).row(row);
                output
                    .iter_mut()
                    .zip(x)
                    .for_each(|(output, x)| *output *= x);
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let width = self.width;
        for input in 0..pass.inputs.len() {
            let inputs = pass.inputs;
            // The others are multiplied anew: dividing the product would fail at zero.
            pass.input_gradients.put(input, |i| {
                let (row, column) = (i / width, i % width);
                (0..inputs.len())
                    .filter(|other| *other != input)
                    .fold(pass.gradient[i], |g, other| {
                        g * inputs.view(other).row(row)[column]
                    })
            });
        }
    }

    fn operation(&self) -> Operation {
        Operation::Multiply
    }
}

/// Inputs [rows, width₁], [rows, width₂] … side by side.
#[derive(Debug)]
pub(crate) struct Concat {
    pub width: usize,
}

impl Layer for Concat {
    fn forward(&self, pass: Forward<'_>) {
        let mut start = 0;
        for input in 0..pass.inputs.len() {
            let view = pass.inputs.view(input);
            for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
                output[start..start + view.width].copy_from_slice(view.row(row));
            }
            start += view.width;
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let mut start = 0;
        for input in 0..pass.inputs.len() {
            let width = pass.inputs.view(input).width;
            if let Some((target, add)) = pass.input_gradients.get(input) {
                let rows = pass.gradient.chunks_exact(self.width);
                for (target, gradient) in target.chunks_exact_mut(width).zip(rows) {
                    let gradient = &gradient[start..start + width];
                    if add {
                        target
                            .iter_mut()
                            .zip(gradient)
                            .for_each(|(target, g)| *target += g);
                    } else {
                        target.copy_from_slice(gradient);
                    }
                }
            }
            start += width;
        }
    }

    fn operation(&self) -> Operation {
        Operation::Concat
    }
}

/// Inputs [rows, steps, width₁], [rows, steps, width₂] … side by side, step by step.
#[derive(Debug)]
pub(crate) struct JoinSteps {
    pub steps: usize,
    /// Length of an output step.
    pub width: usize,
}

impl Layer for JoinSteps {
    fn forward(&self, pass: Forward<'_>) {
        let mut start = 0;
        for input in 0..pass.inputs.len() {
            let view = pass.inputs.view(input);
            let width = view.width / self.steps;
            for (row, output) in pass
                .output
                .chunks_exact_mut(self.steps * self.width)
                .enumerate()
            {
                let steps = output.chunks_exact_mut(self.width);
                for (output, x) in steps.zip(view.row(row).chunks_exact(width)) {
                    output[start..start + width].copy_from_slice(x);
                }
            }
            start += width;
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let mut start = 0;
        for input in 0..pass.inputs.len() {
            let width = pass.inputs.view(input).width / self.steps;
            let (gradient, whole) = (&*pass.gradient, self.width);
            // Steps of all rows stand side by side on both sides.
            pass.input_gradients
                .put(input, |i| gradient[i / width * whole + start + i % width]);
            start += width;
        }
    }

    fn operation(&self) -> Operation {
        Operation::JoinSteps { steps: self.steps }
    }
}
