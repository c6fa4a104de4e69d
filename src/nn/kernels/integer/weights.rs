//! Weights as whole numbers and a scale.

/// An output whose weights are all below it has zeros: their scale's products could vanish.
const SMALLEST: f32 = 1e-18;
/// Weights beyond it are not rounded: their scale's products could overflow.
const MOST: f32 = 1e18;
/// The whole number of an output's largest weight.
const LARGEST: f32 = 127.0;
/// The bits of a scale that are zero.
const LOW_BITS: u32 = 0x7f;

/// The scale of an output's weights: about 127th of the largest. It has 17 bits, so that its
/// products with whole numbers of 8 bits are exact in an `f32`: weights that were rounded to such
/// products have the same scale again.
pub(crate) fn row_scale(weights: &[f32]) -> f32 {
    let largest = weights.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    if largest < SMALLEST {
        return 1.0;
    }
    let bits = (largest / LARGEST).to_bits();
    f32::from_bits((bits + LOW_BITS) & !LOW_BITS)
}

/// The whole number that stands for a weight, from −127 to 127.
#[inline]
pub(crate) fn integer(weight: f32, scale: f32) -> i8 {
    (weight / scale).round_ties_even() as i8
}

/// Whether weights have a scale whose products are numbers.
pub(in crate::nn) fn can_round(weights: &[f32]) -> bool {
    weights.iter().all(|weight| weight.abs() <= MOST)
}

/// Whether it is a scale that [`row_scale`] can give.
pub(crate) fn is_row_scale(scale: f32) -> bool {
    let most = MOST / LARGEST * 1.001;
    scale > 0.0 && scale <= most && scale.to_bits() & LOW_BITS == 0
}

/// Rounds an output's weights to what 8 bits can say of them.
pub(in crate::nn) fn round(weights: &mut [f32]) {
    let scale = row_scale(weights);
    for weight in weights {
        *weight = f32::from(integer(*weight, scale)) * scale;
    }
}
