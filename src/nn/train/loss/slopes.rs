//! Losses and slopes of single values.

use crate::nn::kernels::math;

/// The slope of a row of that weight, or 0 where nothing can be learnt from it.
///
/// A row that the network is sure of, and right about, has a slope like e⁻⁸⁰. Times a weight or two
/// of the network that is a number too small for single precision to hold in full, and processors
/// take some hundred cycles for each multiplication of those: measured with a network 20-64-64-1 on
/// classes that can be told apart, the fifth epoch took three times as long as the first. A step
/// that divides by the root of the squared slopes, as Adam's does, adds 1e-8 to it.
#[inline(always)]
pub(super) fn worth_learning(slope: f32, weight: f32) -> f32 {
    const LEAST: f32 = 1e-20;
    if slope.abs() < LEAST * weight {
        0.0
    } else {
        slope
    }
}

/// The cross-entropy of two classes from the logit `z` of the positive one, and its slope, where
/// these shares of the label fall to each.
#[inline(always)]
pub(super) fn sigmoid(z: f32, negative: f32, positive: f32) -> (f32, f32) {
    let magnitude = z.abs();
    let tail = math::exp(-magnitude);
    // softplus(-|z|); -ln σ(z) = softplus(-z), and -ln(1 - σ(z)) = softplus(z).
    let softplus = math::ln_1p_exp(-magnitude);
    let loss = positive * (0.5 * (magnitude - z) + softplus)
        + negative * (0.5 * (magnitude + z) + softplus);
    let above = 1.0 / (1.0 + tail);
    let below = tail * above;
    let (p, rest) = if z >= 0.0 {
        (above, below)
    } else {
        (below, above)
    };
    (loss, negative * p - positive * rest)
}

/// From here on e^x goes on as a straight line: what is so far off is on its way back with the slope
/// that it has here, and no sum of slopes, nor of their squares, is infinite.
const STRAIGHT: f32 = 30.0;

/// e^x and its slope; a line from [`STRAIGHT`] on.
#[inline(always)]
fn bounded_exp(x: f32) -> (f32, f32) {
    let over = x - STRAIGHT;
    let beyond = if over > 0.0 { over } else { 0.0 };
    let slope = math::exp(x - beyond);
    (slope * (1.0 + beyond), slope)
}

/// Half the deviance of `y` from a mean of logarithm `z`, without what does not depend on `z`, and its
/// slope; the variance grows with the mean by `power`, from 1 to 2.
#[inline(always)]
pub(super) fn log_mean(z: f32, y: f32, power: f32) -> (f32, f32) {
    if power == 1.0 {
        let (mean, slope) = bounded_exp(z);
        return (mean - y * z, slope - y);
    }
    if power == 2.0 {
        let (inverse, slope) = bounded_exp(-z);
        return (y * inverse + z, 1.0 - y * slope);
    }
    let (above, below) = (2.0 - power, power - 1.0);
    let (mean, mean_slope) = bounded_exp(above * z);
    let (inverse, inverse_slope) = bounded_exp(-below * z);
    (
        y * inverse / below + mean / above,
        mean_slope - y * inverse_slope,
    )
}

/// Mean over a row's outputs of a function of the error, and its gradient.
#[inline(always)]
pub(super) fn each(
    p: &[f32],
    y: impl Fn(usize) -> f32,
    weight: f32,
    gradient: &mut [f32],
    f: impl Fn(f32) -> (f32, f32),
) -> f64 {
    let scale = 1.0 / p.len() as f32;
    let mut total = 0.0;
    for (i, p) in p.iter().enumerate() {
        let (value, slope) = f(p - y(i));
        total += f64::from(value);
        if let Some(gradient) = gradient.get_mut(i) {
            *gradient = weight * scale * slope;
        }
    }
    total * f64::from(scale)
}

pub(super) fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_nothing_only_where_it_is_small_for_the_rows_weight() {
        assert_eq!(worth_learning(-1e-21, 1.0), 0.0);
        assert_eq!(worth_learning(-1e-19, 1.0), -1e-19);
        assert_eq!(worth_learning(1e-21, 1e-10), 1e-21);
        assert_eq!(worth_learning(0.0, 0.0), 0.0);
        assert!(worth_learning(f32::NAN, 1.0).is_nan());
    }

    #[test]
    fn means_that_are_far_off_have_finite_slopes_that_lead_back() {
        for power in [1.0, 1.5, 2.0] {
            for (z, sign) in [(1e4, 1.0), (-1e4, -1.0)] {
                let (loss, slope) = log_mean(z, 1.0, power);
                assert!(loss.is_finite() && slope.is_finite(), "{power} at {z}");
                assert!(slope * slope < f32::MAX && slope * sign >= 0.0, "{slope}");
            }
        }
        assert!(log_mean(f32::NAN, 1.0, 1.0).0.is_nan());
    }
}
