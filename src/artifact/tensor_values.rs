//! The tensors of a file that was read, looked for and checked.

use super::container::Tensor;
use super::error::{Error, clip};
use crate::nn::Pace;

/// Values that are decoded between two looks.
const PIECE: usize = 1 << 18;

/// Takes the tensor of this name out of those not used yet.
pub(super) fn take<'a>(tensors: &mut Vec<Tensor<'a>>, name: &str) -> Result<Tensor<'a>, Error> {
    match tensors.iter().position(|tensor| tensor.name == name) {
        Some(place) => Ok(tensors.swap_remove(place)),
        None => Err(Error::damaged(
            format!("tensor \"{}\"", clip(name)),
            "it is missing",
        )),
    }
}

/// Checks a tensor's type, shape and values, and appends the values where they are wanted.
pub(super) fn read_values(
    tensor: &Tensor<'_>,
    shape: &[usize],
    mut into: Option<&mut Vec<f32>>,
    pace: &Pace<'_>,
) -> Result<(), Error> {
    let part = || format!("tensor \"{}\"", clip(&tensor.name));
    let Some(values) = tensor.f32_bytes() else {
        return Err(Error::damaged(
            part(),
            format!("its type is {} and not F32", tensor.dtype),
        ));
    };
    if tensor.shape != shape {
        let why = format!("its shape is {:?} and not {shape:?}", tensor.shape);
        return Err(Error::damaged(part(), why));
    }
    for values in values.chunks(PIECE) {
        if pace.spend_values(values.len()) {
            return Err(Error::Interrupted);
        }
        let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes));
        finite(values.clone()).map_err(|why| Error::damaged(part(), why))?;
        if let Some(into) = &mut into {
            into.extend(values);
        }
    }
    Ok(())
}

pub(super) fn finite(mut values: impl Iterator<Item = f32>) -> Result<(), &'static str> {
    match values.all(f32::is_finite) {
        true => Ok(()),
        false => Err("it has a value that is not finite"),
    }
}
