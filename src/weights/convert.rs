//! Tensors of any float type as f32.

use half::{bf16, f16};
use safetensors::Dtype;

use crate::artifact::Tensor;

/// Whether a tensor's elements can be converted.
pub(super) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16)
}

/// Writes the elements, rounded to the nearest f32, behind what `into` holds; those of another type
/// than [`is_float`] are none.
pub(super) fn append(tensor: &Tensor<'_>, into: &mut Vec<f32>) {
    let data = tensor.data;
    match tensor.dtype {
        Dtype::F32 => into.extend(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Dtype::F64 => into.extend(
            data.as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b) as f32),
        ),
        Dtype::F16 => {
            let values = data.as_chunks().0.iter();
            into.extend(values.map(|b| f16::from_le_bytes(*b).to_f32()));
        }
        Dtype::BF16 => {
            let values = data.as_chunks().0.iter();
            into.extend(values.map(|b| bf16::from_le_bytes(*b).to_f32()));
        }
        _ => {}
    }
}
