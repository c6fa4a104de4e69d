//! The smooth clip of scaled numbers: z becomes z / sqrt(1 + (z / clip)²).

use std::ops::RangeInclusive;

use super::rule::Scale;

/// Where the smooth clip of robust scaling levels off, as in RealMLP (Holzmüller et al. 2024).
pub const DEFAULT_CLIP: f64 = 3.0;

/// Where a clip can level off.
pub(in crate::features) const CLIPS: RangeInclusive<f64> = 0.01..=1e6;

/// Encoded numbers stay within this, so that nothing downstream overflows to infinity.
pub(in crate::features) const LIMIT: f32 = 1e15;

/// The clip that goes with a scale unless told otherwise.
pub(in crate::features) fn default_clip(scale: Scale) -> Option<f64> {
    (scale == Scale::Robust).then_some(DEFAULT_CLIP)
}

/// Checks a clip that comes from outside.
///
/// # Errors
/// What is wrong, as a predicate.
pub(in crate::features) fn check(clip: Option<f64>) -> Result<(), &'static str> {
    match clip.is_none_or(|clip| CLIPS.contains(&clip)) {
        true => Ok(()),
        false => Err("has a clip out of range"),
    }
}

/// 1 / clip², 0 without a clip.
pub(in crate::features) fn bend(clip: Option<f64>) -> f32 {
    clip.map_or(0.0, |clip| (1.0 / (clip * clip)) as f32)
}

/// A scaled number clipped. Without a bend the division is by one, and exact. Only operations that
/// IEEE 754 rounds exactly, so that what comes out has the same bits on every processor.
#[inline(always)]
pub(in crate::features) fn bent(z: f32, bend: f32) -> f32 {
    z / (1.0 + z * z * bend).sqrt()
}
