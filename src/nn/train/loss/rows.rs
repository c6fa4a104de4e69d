//! The sum of a loss over rows, and its slopes.

use super::slopes::{each, log_mean, sigmoid, sign, worth_learning};
use super::{Form, Loss};
use crate::nn::kernels::math;
use crate::nn::kernels::processor::{Processor, Task};

/// Rows of one logit that are computed together.
const LANES: usize = 16;

impl Loss {
    pub(super) fn sum(
        &self,
        logits: &[f32],
        y: &[f32],
        weight: Option<&[f32]>,
        rows: usize,
        dlogits: Option<&mut [f32]>,
    ) -> f64 {
        let mut total = 0.0;
        Processor::detect().run(SumRows {
            loss: self,
            logits,
            y,
            weight,
            rows,
            dlogits,
            total: &mut total,
        });
        total
    }

    /// [`Loss::sum`] within a task.
    #[inline(always)]
    fn sum_inlined(
        &self,
        logits: &[f32],
        y: &[f32],
        weight: Option<&[f32]>,
        rows: usize,
        mut dlogits: Option<&mut [f32]>,
    ) -> f64 {
        let single = (logits, y, weight);
        match self.form {
            Form::Sigmoid => return self.sum_of_sigmoids(rows, single, dlogits),
            Form::Log { power } => {
                let each = |z: f32, y: f32| log_mean(z, y, power);
                return sum_of_singles(rows, single, dlogits, each);
            }
            _ => {}
        }
        let targets = self.targets();
        let mut total = 0.0;
        for row in 0..rows {
            let here = row * self.units..(row + 1) * self.units;
            let weight = weight.map_or(1.0, |weight| weight[row]);
            let gradient = match &mut dlogits {
                Some(dlogits) => &mut dlogits[here.clone()],
                None => &mut [],
            };
            let y = &y[row * targets..][..targets];
            total += f64::from(weight) * self.row(&logits[here], y, weight, gradient);
            gradient
                .iter_mut()
                .for_each(|slope| *slope = worth_learning(*slope, weight));
        }
        total
    }

    /// The sum over rows of the positive class's logit.
    #[inline(always)]
    fn sum_of_sigmoids(
        &self,
        rows: usize,
        single: (&[f32], &[f32], Option<&[f32]>),
        dlogits: Option<&mut [f32]>,
    ) -> f64 {
        // What falls to each class of a label of the first and of the second class. A share between
        // the two gives a mean of them, which at 0 and 1 has the bits of the one or the other.
        let [first, second] = [0, 1].map(|class| [0, 1].map(|k| self.share(k, class, 2)));
        sum_of_singles(rows, single, dlogits, |z, y| {
            let rest = 1.0 - y;
            let negative = rest * first[0] + y * second[0];
            let positive = rest * first[1] + y * second[1];
            sigmoid(z, negative, positive)
        })
    }

    /// The unweighted loss of a row; its weighted gradient if there is room for it.
    #[inline(always)]
    fn row(&self, p: &[f32], y: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
        match &self.form {
            Form::Mse => each(p, |i| y[i], weight, gradient, |d| (d * d, 2.0 * d)),
            Form::Mae => each(p, |i| y[i], weight, gradient, |d| (d.abs(), sign(d))),
            Form::Huber { delta } => each(
                p,
                |i| y[i],
                weight,
                gradient,
                |d| {
                    if d.abs() <= *delta {
                        (0.5 * d * d, d)
                    } else {
                        (delta * (d.abs() - 0.5 * delta), delta * sign(d))
                    }
                },
            ),
            Form::Quantile { quantiles } => {
                let scale = 1.0 / p.len() as f32;
                let mut total = 0.0;
                for (i, (p, q)) in p.iter().zip(quantiles).enumerate() {
                    let d = y[0] - p;
                    total += f64::from((q * d).max((q - 1.0) * d));
                    if let Some(gradient) = gradient.get_mut(i) {
                        // At zero PyTorch's max gives the mean of both slopes.
                        let slope = if d > 0.0 {
                            -q
                        } else if d < 0.0 {
                            1.0 - q
                        } else {
                            0.5 - q
                        };
                        *gradient = weight * scale * slope;
                    }
                }
                total * f64::from(scale)
            }
            Form::Sigmoid | Form::Sigmoids => {
                let scale = 1.0 / p.len() as f32;
                let mut total = 0.0;
                for (k, (z, y)) in p.iter().zip(y).enumerate() {
                    let even = 0.5 * self.smoothing;
                    let positive = y * (1.0 - self.smoothing) + even;
                    let negative = (1.0 - y) * (1.0 - self.smoothing) + even;
                    let (loss, slope) = sigmoid(*z, negative, positive * self.class_weight(k));
                    total += f64::from(loss);
                    if let Some(gradient) = gradient.get_mut(k) {
                        *gradient = weight * scale * slope;
                    }
                }
                total * f64::from(scale)
            }
            Form::Softmax { shares: false } => self.softmax(p, self.class(y[0]), weight, gradient),
            Form::Softmax { shares: true } => self.softmax_of_shares(p, y, weight, gradient),
            // Of single logits, summed elsewhere.
            Form::Log { power } => {
                let (loss, slope) = log_mean(p[0], y[0], *power);
                if let Some(gradient) = gradient.first_mut() {
                    *gradient = weight * slope;
                }
                f64::from(loss)
            }
        }
    }

    /// The cross-entropy of one logit a class.
    #[inline(always)]
    fn softmax(&self, z: &[f32], class: usize, weight: f32, gradient: &mut [f32]) -> f64 {
        let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        if gradient.is_empty() {
            for z in z {
                sum += f64::from(math::exp(z - max));
            }
        } else {
            for (gradient, z) in gradient.iter_mut().zip(z) {
                *gradient = math::exp(z - max);
                sum += f64::from(*gradient);
            }
        }
        let ln_sum = sum.ln();
        let nll = |k: usize| ln_sum - (f64::from(z[k]) - f64::from(max));
        let (mut loss, mut shares) = (0.0, 0.0_f32);
        if self.smoothing == 0.0 {
            shares = self.share(class, class, z.len());
            loss = f64::from(shares) * nll(class);
        } else {
            for k in 0..z.len() {
                let share = self.share(k, class, z.len());
                loss += f64::from(share) * nll(k);
                shares += share;
            }
        }
        // Each class's share s_k pulls: the gradient is p_k Σs - s_k.
        let scale = (f64::from(shares) / sum) as f32;
        for (k, gradient) in gradient.iter_mut().enumerate() {
            *gradient = weight * (*gradient * scale - self.share(k, class, z.len()));
        }
        loss
    }

    /// The cross-entropy of one logit a class against a share for each.
    #[inline(always)]
    fn softmax_of_shares(&self, z: &[f32], y: &[f32], weight: f32, gradient: &mut [f32]) -> f64 {
        let even = self.smoothing / z.len() as f32;
        let share = |k: usize| (y[k] * (1.0 - self.smoothing) + even) * self.class_weight(k);
        let max = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = z.iter().map(|z| f64::from(math::exp(z - max))).sum();
        let ln_sum = sum.ln();
        let (mut loss, mut shares) = (0.0, 0.0_f32);
        for (k, z) in z.iter().enumerate() {
            // What has no share may be as unlikely as it likes.
            if share(k) > 0.0 {
                loss += f64::from(share(k)) * (ln_sum - (f64::from(*z) - f64::from(max)));
                shares += share(k);
            }
        }
        let scale = (f64::from(shares) / sum) as f32;
        for (k, gradient) in gradient.iter_mut().enumerate() {
            *gradient = weight * (math::exp(z[k] - max) * scale - share(k));
        }
        loss
    }

    /// The part of a label of `class` that falls to class `k`, times that class's weight.
    #[inline(always)]
    fn share(&self, k: usize, class: usize, classes: usize) -> f32 {
        let own = if k == class {
            1.0 - self.smoothing
        } else {
            0.0
        };
        (own + self.smoothing / classes as f32) * self.class_weight(k)
    }
}

/// The sum over rows of one logit and one target each, given with the rows' weights: sixteen rows as one
/// vector. `each` gives a row's loss and its slope.
#[inline(always)]
fn sum_of_singles(
    rows: usize,
    (z, y, weight): (&[f32], &[f32], Option<&[f32]>),
    mut dlogits: Option<&mut [f32]>,
    each: impl Fn(f32, f32) -> (f32, f32),
) -> f64 {
    let mut total = 0.0;
    for start in (0..rows).step_by(LANES) {
        let count = LANES.min(rows - start);
        let (mut logits, mut labels, mut weights) = ([0.0; LANES], [0.0; LANES], [1.0; LANES]);
        logits[..count].copy_from_slice(&z[start..start + count]);
        labels[..count].copy_from_slice(&y[start..start + count]);
        if let Some(weight) = weight {
            weights[..count].copy_from_slice(&weight[start..start + count]);
        }
        let (mut losses, mut slopes) = ([0.0; LANES], [0.0; LANES]);
        for i in 0..LANES {
            let (loss, slope) = each(logits[i], labels[i]);
            losses[i] = weights[i] * loss;
            slopes[i] = weights[i] * worth_learning(slope, 1.0);
        }
        if let Some(dlogits) = &mut dlogits {
            dlogits[start..start + count].copy_from_slice(&slopes[..count]);
        }
        for &loss in &losses[..count] {
            total += f64::from(loss);
        }
    }
    total
}

/// [`Loss::sum`], compiled for the processor's vectors.
struct SumRows<'a> {
    loss: &'a Loss,
    logits: &'a [f32],
    y: &'a [f32],
    weight: Option<&'a [f32]>,
    rows: usize,
    dlogits: Option<&'a mut [f32]>,
    total: &'a mut f64,
}

impl Task for SumRows<'_> {
    #[inline(always)]
    fn run(self) {
        *self.total =
            self.loss
                .sum_inlined(self.logits, self.y, self.weight, self.rows, self.dlogits);
    }
}
