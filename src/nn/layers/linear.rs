//! A linear map of tokens, `x · Wᵀ + b`, as a part of a larger layer.

use super::packed_linear::PackedLinear;
use crate::nn::base::stop::Pace;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::matrix::{matrix, matrix_mut, multiply_paced};
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::row_sums::add_rows;
use crate::nn::layer::ParameterSpec;
use crate::nn::layer::initializer::{Initializer, ParameterKind};

/// Where the weight, [outputs, inputs], and behind it the bias lie in a layer's parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    pub start: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub use_bias: bool,
}

impl Linear {
    fn weights(&self) -> usize {
        self.inputs * self.outputs
    }

    /// Where its parameters end.
    pub fn end(&self) -> usize {
        self.start + self.weights() + if self.use_bias { self.outputs } else { 0 }
    }

    /// Its parameters; the bias starts at `bias_start` if that is given.
    pub fn parameters(
        &self,
        [weight, bias]: [String; 2],
        initializer: Option<Initializer>,
        bias_start: Option<f32>,
    ) -> impl Iterator<Item = ParameterSpec> + use<> {
        let weight = ParameterSpec {
            name: weight.into(),
            shape: vec![self.outputs, self.inputs],
            kind: ParameterKind::Weight,
            fan_in: self.inputs,
            fan_out: self.outputs,
            initializer,
            start: None,
        };
        let bias = self.use_bias.then(|| ParameterSpec {
            name: bias.into(),
            shape: vec![self.outputs],
            kind: ParameterKind::Bias,
            start: bias_start,
            ..weight.clone()
        });
        std::iter::once(weight).chain(bias)
    }

    /// The weight in the layer's parameters.
    fn weight<'p>(&self, parameters: &'p [f32]) -> &'p [f32] {
        &parameters[self.start..][..self.weights()]
    }

    /// The bias in the layer's parameters.
    fn bias<'p>(&self, parameters: &'p [f32]) -> Option<&'p [f32]> {
        let bias = self.start + self.weights();
        self.use_bias.then(|| &parameters[bias..][..self.outputs])
    }

    /// `y = x · Wᵀ + b`, for so many tokens.
    pub fn forward(
        &self,
        parameters: &[f32],
        x: &[f32],
        tokens: usize,
        y: &mut [f32],
        pace: &Pace<'_>,
    ) {
        let bias = self.bias(parameters);
        if let Some(bias) = bias {
            for y in y.chunks_exact_mut(self.outputs) {
                y.copy_from_slice(bias);
            }
        }
        let weight = matrix(self.weight(parameters), self.outputs, self.inputs);
        multiply_paced(
            &matrix(x, tokens, self.inputs),
            &weight.t(),
            if bias.is_some() { 1.0 } else { 0.0 },
            &mut matrix_mut(y, tokens, self.outputs),
            pace,
        );
    }

    /// Adds the gradient with respect to weight and bias, from the one with respect to `y`, to that
    /// of the layer's parameters.
    pub fn parameter_gradient(
        &self,
        x: &[f32],
        gradient: &[f32],
        tokens: usize,
        parameters: &mut [f32],
        pace: &Pace<'_>,
    ) {
        let weight = &mut parameters[self.start..][..self.weights()];
        multiply_paced(
            &matrix(gradient, tokens, self.outputs).t(),
            &matrix(x, tokens, self.inputs),
            1.0,
            &mut matrix_mut(weight, self.outputs, self.inputs),
            pace,
        );
        if self.use_bias {
            let bias = self.start + self.weights();
            add_rows(gradient, &mut parameters[bias..][..self.outputs], pace);
        }
    }

    /// `x = gradient · W + beta · x`: the gradient with respect to the input.
    pub fn input_gradient(
        &self,
        parameters: &[f32],
        gradient: &[f32],
        tokens: usize,
        beta: f32,
        x: &mut [f32],
        pace: &Pace<'_>,
    ) {
        multiply_paced(
            &matrix(gradient, tokens, self.outputs),
            &matrix(self.weight(parameters), self.outputs, self.inputs),
            beta,
            &mut matrix_mut(x, tokens, self.inputs),
            pace,
        );
    }

    /// The map in the form in which it predicts, with the scale of its input where it is in 8 bits.
    pub fn pack(
        &self,
        packer: &mut Packer<'_>,
        activation: Activation,
        input: Option<InputScale>,
    ) -> PackedLinear {
        let (outputs, inputs) = (self.outputs, self.inputs);
        match input {
            None => {
                PackedLinear::Floats(packer.dense(outputs, inputs, activation, |own, packing| {
                    packing.rows(self.weight(own), 0, inputs);
                    if let Some(bias) = self.bias(own) {
                        packing.bias(bias);
                    }
                }))
            }
            Some(input) => PackedLinear::Integers(packer.integers(
                outputs,
                inputs,
                input,
                activation,
                |own, packing| {
                    packing.rows(0, self.weight(own));
                    if let Some(bias) = self.bias(own) {
                        packing.bias(bias);
                    }
                },
            )),
        }
    }
}
