//! The weights of quantised layers in a file: whole numbers as a tensor of type I8 under the
//! parameter's own name, and a tensor of their scales, one for each of the first dimension.

use safetensors::Dtype;

use super::container::{IntegerSource, Tensor, TensorSource};
use super::error::{Error, clip};
use super::tensor_values::read_values;
use crate::nn::{Network, Pace, Parameter, integer};

/// What stands before a parameter's name in that of its scales.
const PREFIX: &str = "pg_neural.scale.";

/// The largest whole number of each row.
const LARGEST: i8 = 127;

/// Tensors of whole numbers and their scales.
pub(super) struct Integers {
    pub tensors: Vec<IntegerSource>,
    scales: Vec<(String, Vec<f32>)>,
}

impl Integers {
    /// The scales' tensors.
    pub fn scales(&self) -> impl Iterator<Item = TensorSource<'_>> {
        self.scales.iter().map(|(name, scales)| TensorSource {
            name: name.as_str().into(),
            shape: vec![scales.len()],
            values: scales,
        })
    }
}

/// The name of a parameter's scales.
pub(super) fn scale_name(parameter: &Parameter) -> String {
    format!("{PREFIX}{}", parameter.name)
}

/// The weights of a network's quantised layers.
///
/// # Errors
/// [`Error::Damaged`] for weights that were not rounded.
pub(super) fn of(network: &Network, parameters: &[f32]) -> Result<Integers, Error> {
    let (mut tensors, mut all_scales) = (Vec::new(), Vec::new());
    for parameter in network.parameters().iter().filter(|p| p.is_integer) {
        let weights = parameters.get(parameter.range.clone()).unwrap_or_default();
        let mut values = Vec::with_capacity(weights.len());
        let mut scales = Vec::new();
        for row in weights.chunks(parameter.columns()) {
            let scale = integer::row_scale(row);
            scales.push(scale);
            for weight in row {
                let whole = integer::integer(*weight, scale);
                if f32::from(whole) * scale != *weight {
                    return Err(damaged(&parameter.name, "it is not rounded to 8 bits"));
                }
                values.push(whole.cast_unsigned());
            }
        }
        all_scales.push((scale_name(parameter), scales));
        tensors.push(IntegerSource {
            name: parameter.name.clone(),
            shape: parameter.shape.clone(),
            values,
        });
    }
    Ok(Integers {
        tensors,
        scales: all_scales,
    })
}

/// Whole numbers lie behind all other values of a file: who sees a file pass by can so tell where
/// values end that must be finite.
///
/// # Errors
/// [`Error::Damaged`] where they do not.
pub(super) fn check_order(tensors: &[Tensor<'_>]) -> Result<(), Error> {
    let is_integer = |tensor: &&Tensor<'_>| tensor.dtype == Dtype::I8;
    let first = tensors.iter().take_while(|tensor| !is_integer(tensor));
    match { tensors.iter().skip(first.count()) }.find(|tensor| !is_integer(tensor)) {
        Some(late) => Err(damaged(&late.name, "it stands behind tensors of type I8")),
        None => Ok(()),
    }
}

/// Checks a parameter's whole numbers and their scales, and appends its values where they are wanted.
pub(super) fn read(
    tensor: &Tensor<'_>,
    scales: &Tensor<'_>,
    parameter: &Parameter,
    mut into: Option<&mut Vec<f32>>,
    pace: &Pace<'_>,
) -> Result<(), Error> {
    let fault = |why: String| Err(damaged(&tensor.name, &why));
    if tensor.dtype != Dtype::I8 {
        return fault(format!("its type is {} and not I8", tensor.dtype));
    }
    if tensor.shape != parameter.shape {
        let (found, expected) = (&tensor.shape, &parameter.shape);
        return fault(format!("its shape is {found:?} and not {expected:?}"));
    }
    let rows = parameter.shape.first().copied().unwrap_or_default();
    let mut row_scales = Vec::with_capacity(scales.data.len() / size_of::<f32>());
    read_values(scales, &[rows], Some(&mut row_scales), pace)?;
    let integers = tensor.data.chunks(parameter.columns());
    for (row, scale) in integers.zip(row_scales) {
        if pace.spend_values(row.len()) {
            return Err(Error::Interrupted);
        }
        let row = row.iter().map(|byte| byte.cast_signed());
        let largest = row.clone().map(i8::unsigned_abs).max().unwrap_or_default();
        // Rounding gives no others, and one set of weights so has one form.
        let is_ours = match largest {
            0 => scale == 1.0,
            _ => largest == LARGEST.unsigned_abs() && integer::is_row_scale(scale),
        };
        if !is_ours {
            return Err(damaged(
                &scales.name,
                "a scale is not that of its whole numbers",
            ));
        }
        if let Some(into) = &mut into {
            into.extend(row.map(|whole| f32::from(whole) * scale));
        }
    }
    Ok(())
}

fn damaged(tensor: &str, why: &str) -> Error {
    Error::damaged(format!("tensor \"{}\"", clip(tensor)), why)
}
