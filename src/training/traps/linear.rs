//! What a linear model leaves of the target.

use crate::features::Error;

/// Steps of the solution, at most: so few that they hold the weights down as the penalty does.
const STEPS: usize = 20;
/// The penalty of a weight, for each row.
const PENALTY: f64 = 1e-3;
/// Where the slope is this part of what it was, the solution is near enough.
const NEAR: f64 = 1e-4;

/// A deviation that is this part of the mean is that of a constant, as it was added up.
const CONSTANT: f64 = 1e-9;

/// Brings every column of the rows to mean 0 and deviation 1; one that is constant to 0.
pub(super) fn standardise(x: &mut [f32], width: usize) {
    let width = width.max(1);
    let rows = (x.len() / width).max(1) as f64;
    let (mut means, mut squares) = (vec![0.0; width], vec![0.0; width]);
    for row in x.chunks_exact(width) {
        for (mean, &value) in means.iter_mut().zip(row) {
            *mean += f64::from(value) / rows;
        }
    }
    for row in x.chunks_exact(width) {
        for ((square, mean), &value) in squares.iter_mut().zip(&means).zip(row) {
            *square += (f64::from(value) - mean).powi(2) / rows;
        }
    }
    for row in x.chunks_exact_mut(width) {
        for ((value, mean), square) in row.iter_mut().zip(&means).zip(&squares) {
            let deviation = square.sqrt();
            *value = match deviation > CONSTANT * mean.abs() {
                true => ((f64::from(*value) - mean) / deviation) as f32,
                false => 0.0,
            };
        }
    }
}

/// Takes from a centred target what a linear function of the standardised columns says of it: ridge
/// regression by conjugate gradients (Hestenes and Stiefel 1952) on the normal equations.
///
/// # Errors
/// An interruption.
pub(super) fn leave_residuals(
    x: &[f32],
    width: usize,
    y: &mut [f64],
    stop: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let width = width.max(1);
    let penalty = PENALTY * y.len() as f64;
    let mut weights = vec![0.0; width];
    let mut slope = vec![0.0; width];
    add_back(x, width, y, &mut slope);
    let mut direction = slope.clone();
    let mut size = dot(&slope, &slope);
    let enough = NEAR * NEAR * size;
    let (mut ahead, mut curved) = (vec![0.0; y.len()], vec![0.0; width]);
    for _ in 0..STEPS {
        if size <= enough || size == 0.0 {
            break;
        }
        if stop() {
            return Err(Error::Interrupted);
        }
        forward(x, width, &direction, &mut ahead);
        curved
            .iter_mut()
            .zip(&direction)
            .for_each(|(c, d)| *c = penalty * d);
        add_back(x, width, &ahead, &mut curved);
        let step = size / dot(&direction, &curved);
        if !step.is_finite() {
            break;
        }
        for ((weight, slope), (direction, curved)) in weights
            .iter_mut()
            .zip(&mut slope)
            .zip(direction.iter().zip(&curved))
        {
            *weight += step * direction;
            *slope -= step * curved;
        }
        let next = dot(&slope, &slope);
        let keep = next / size;
        direction
            .iter_mut()
            .zip(&slope)
            .for_each(|(d, s)| *d = s + keep * *d);
        size = next;
    }
    forward(x, width, &weights, &mut ahead);
    y.iter_mut().zip(&ahead).for_each(|(y, said)| *y -= said);
    Ok(())
}

/// What the weights say of each row.
fn forward(x: &[f32], width: usize, weights: &[f64], out: &mut [f64]) {
    for (out, row) in out.iter_mut().zip(x.chunks_exact(width)) {
        *out = row
            .iter()
            .zip(weights)
            .map(|(&x, w)| f64::from(x) * w)
            .sum();
    }
}

/// Adds to each column's sum its values times those of the rows.
fn add_back(x: &[f32], width: usize, of_rows: &[f64], sums: &mut [f64]) {
    for (row, &of_row) in x.chunks_exact(width).zip(of_rows) {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, &x)| *sum += f64::from(x) * of_row);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::{leave_residuals, standardise};

    #[test]
    fn a_linear_target_is_told_and_a_wave_is_left() {
        let rows = 300;
        let column = |row: usize, factor: f64| (row as f64 * factor).sin();
        let mut x: Vec<f32> = (0..rows)
            .flat_map(|row| {
                [
                    5.0,
                    100.0 + 7.0 * column(row, 0.7) as f32,
                    column(row, 1.3) as f32,
                ]
            })
            .collect();
        standardise(&mut x, 3);
        let mean: f32 = x.iter().sum::<f32>() / 300.0;
        assert!(mean.abs() < 1e-4 && x.iter().step_by(3).all(|value| *value == 0.0));
        let wave = |row: usize| column(row, 2.9);
        let mut y: Vec<f64> = (0..rows)
            .map(|row| 3.0 * column(row, 0.7) - 2.0 * column(row, 1.3) + wave(row))
            .collect();
        leave_residuals(&x, 3, &mut y, &mut || false).unwrap();
        let left = y.iter().enumerate().map(|(row, y)| (y - wave(row)).powi(2));
        assert!(left.sum::<f64>() / 300.0 < 0.01);
    }
}
