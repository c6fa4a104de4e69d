//! Normalisation of values that share a mean and a variance: a step's features, a group of
//! channels.
//!
//! y = (x - mean) / √(variance + ε) · weight + bias, with the biased variance, as in
//! `torch.nn.LayerNorm` and `torch.nn.GroupNorm`. With g = ∂L/∂y · weight and
//! z = (x - mean) / √(variance + ε), ∂L/∂x = (g - mean(g) - z · mean(g · z)) / √(variance + ε).

use crate::nn::kernels::reduction::{sum, sum_of_pairs};

/// Where the values that are normalised together lie: `runs` runs of `length` values, `stride`
/// apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::layers) struct Group {
    pub runs: usize,
    pub length: usize,
    pub stride: usize,
    /// Neighbouring values of a run that share a weight and a bias.
    pub plane: usize,
}

/// What normalised values are multiplied by and what is added, one for each plane of a run.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::layers) struct Affine<'a> {
    pub weight: Option<&'a [f32]>,
    pub bias: Option<&'a [f32]>,
}

/// The gradient with respect to both, to be added to.
#[derive(Debug, Default)]
pub(in crate::nn::layers) struct AffineGradient<'a> {
    pub weight: Option<&'a mut [f32]>,
    pub bias: Option<&'a mut [f32]>,
}

impl<'a> Affine<'a> {
    /// The part from a place on.
    #[inline(always)]
    pub fn from(self, first: usize) -> Self {
        Affine {
            weight: self.weight.map(|weight| &weight[first..]),
            bias: self.bias.map(|bias| &bias[first..]),
        }
    }
}

impl AffineGradient<'_> {
    /// The part from a place on.
    #[inline(always)]
    pub fn from(&mut self, first: usize) -> AffineGradient<'_> {
        AffineGradient {
            weight: self
                .weight
                .as_deref_mut()
                .map(|weight| &mut weight[first..]),
            bias: self.bias.as_deref_mut().map(|bias| &mut bias[first..]),
        }
    }
}

/// Mean and 1 / √(variance + ε).
pub(in crate::nn::layers) type Moments = [f32; 2];

impl Group {
    /// A single run, each value with a weight of its own.
    #[inline(always)]
    pub fn run(length: usize) -> Self {
        Group {
            runs: 1,
            length,
            stride: length,
            plane: 1,
        }
    }

    fn count(self) -> f64 {
        (self.runs * self.length).max(1) as f64
    }

    #[inline(always)]
    fn runs<'x>(self, x: &'x [f32]) -> impl Iterator<Item = &'x [f32]> + 'x {
        x.chunks(self.stride)
            .take(self.runs)
            .map(move |x| &x[..self.length])
    }

    /// Normalises `x` to `y`, both laid out as the group says. To be inlined into a task.
    #[inline(always)]
    pub fn forward(self, x: &[f32], affine: Affine<'_>, epsilon: f32, y: &mut [f32]) -> Moments {
        let mut total = 0.0;
        for x in self.runs(x) {
            total += sum(x, |x| x);
        }
        let mean = (total / self.count()) as f32;
        let mut total = 0.0;
        for x in self.runs(x) {
            total += sum(x, |x| (x - mean) * (x - mean));
        }
        let inverse = (1.0 / (total / self.count() + f64::from(epsilon)).sqrt()) as f32;
        self.write(x, [mean, inverse], affine, y);
        [mean, inverse]
    }

    /// [`Group::forward`] without taking off the mean: y = x / √(mean(x²) + ε) · weight + bias, as in
    /// `torch.nn.RMSNorm`. To be inlined into a task.
    #[inline(always)]
    pub fn forward_uncentred(
        self,
        x: &[f32],
        affine: Affine<'_>,
        epsilon: f32,
        y: &mut [f32],
    ) -> Moments {
        let mut total = 0.0;
        for x in self.runs(x) {
            total += sum(x, |x| x * x);
        }
        let inverse = (1.0 / (total / self.count() + f64::from(epsilon)).sqrt()) as f32;
        self.write(x, [0.0, inverse], affine, y);
        [0.0, inverse]
    }

    /// (x - mean) · inverse · weight + bias. To be inlined into a task.
    #[inline(always)]
    fn write(self, x: &[f32], [mean, inverse]: Moments, affine: Affine<'_>, y: &mut [f32]) {
        for (x, y) in self.runs(x).zip(y.chunks_mut(self.stride)) {
            let y = &mut y[..self.length];
            match (self.plane, affine) {
                (
                    1,
                    Affine {
                        weight: Some(weight),
                        bias: Some(bias),
                    },
                ) => {
                    let affine = weight.iter().zip(bias);
                    for ((y, x), (weight, bias)) in y.iter_mut().zip(x).zip(affine) {
                        *y = ((x - mean) * inverse).mul_add(*weight, *bias);
                    }
                }
                _ => {
                    let planes = y.chunks_exact_mut(self.plane);
                    let planes = planes.zip(x.chunks_exact(self.plane));
                    for (i, (y, x)) in planes.enumerate() {
                        let weight = affine.weight.map_or(1.0, |weight| weight[i]);
                        let bias = affine.bias.map_or(0.0, |bias| bias[i]);
                        for (y, x) in y.iter_mut().zip(x) {
                            *y = ((x - mean) * inverse).mul_add(weight, bias);
                        }
                    }
                }
            }
        }
    }

    /// From the gradient with respect to `y`, which it changes, adds up those with respect to
    /// weight and bias; returns what [`Group::input_gradient`] needs. To be inlined into a task.
    #[inline(always)]
    pub fn backward(
        self,
        x: &[f32],
        [mean, inverse]: Moments,
        weight: Option<&[f32]>,
        gradient: &mut [f32],
        affine: &mut AffineGradient<'_>,
    ) -> Slope {
        let (mut total, mut along) = (0.0, 0.0);
        for (x, gradient) in self.runs(x).zip(gradient.chunks_mut(self.stride)) {
            let gradient = &mut gradient[..self.length];
            if self.plane == 1 {
                if let Some(target) = &mut affine.weight {
                    for ((target, g), x) in target.iter_mut().zip(&*gradient).zip(x) {
                        *target = ((x - mean) * inverse).mul_add(*g, *target);
                    }
                }
                if let Some(target) = &mut affine.bias {
                    for (target, g) in target.iter_mut().zip(&*gradient) {
                        *target += g;
                    }
                }
                if let Some(weight) = weight {
                    for (g, weight) in gradient.iter_mut().zip(weight) {
                        *g *= weight;
                    }
                }
            } else {
                let planes = gradient.chunks_exact_mut(self.plane);
                for (i, (g, x)) in planes.zip(x.chunks_exact(self.plane)).enumerate() {
                    if let Some(target) = &mut affine.weight {
                        target[i] += sum_of_pairs(g, x, |g, x| g * ((x - mean) * inverse)) as f32;
                    }
                    if let Some(target) = &mut affine.bias {
                        target[i] += sum(g, |g| g) as f32;
                    }
                    if let Some(weight) = weight {
                        let weight = weight[i];
                        g.iter_mut().for_each(|g| *g *= weight);
                    }
                }
            }
            total += sum(gradient, |g| g);
            along += sum_of_pairs(gradient, x, |g, x| g * ((x - mean) * inverse));
        }
        Slope {
            mean,
            inverse,
            gradient: (total / self.count()) as f32,
            along: (along / self.count()) as f32,
        }
    }

    /// The gradient with respect to `x`, to replace `target` or, if `add`, to be added to it, after
    /// [`Group::backward`] with the gradient as that left it. To be inlined into a task.
    #[inline(always)]
    pub fn input_gradient(
        self,
        x: &[f32],
        slope: Slope,
        gradient: &[f32],
        add: bool,
        target: &mut [f32],
    ) {
        let runs = self.runs(x).zip(self.runs(gradient));
        for ((x, gradient), target) in runs.zip(target.chunks_mut(self.stride)) {
            let values = target.iter_mut().zip(x.iter().zip(gradient));
            if add {
                values.for_each(|(target, (x, g))| *target += slope.at(*x, *g));
            } else {
                values.for_each(|(target, (x, g))| *target = slope.at(*x, *g));
            }
        }
    }
}

/// How a group's gradient follows from that with respect to its normalised values.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::layers) struct Slope {
    mean: f32,
    inverse: f32,
    /// The mean gradient.
    gradient: f32,
    /// The mean product of gradient and normalised value.
    along: f32,
}

impl Slope {
    /// That of values whose mean was not taken off.
    #[inline(always)]
    pub fn uncentred(self) -> Self {
        Slope {
            gradient: 0.0,
            ..self
        }
    }

    /// The gradient with respect to `x` in place of the one that [`Group::backward`] left, of a single
    /// run. To be inlined into a task.
    #[inline(always)]
    pub fn in_place(self, x: &[f32], gradient: &mut [f32]) {
        for (g, x) in gradient.iter_mut().zip(x) {
            *g = self.at(*x, *g);
        }
    }

    #[inline(always)]
    fn at(self, x: f32, gradient: f32) -> f32 {
        let z = (x - self.mean) * self.inverse;
        self.inverse * (-z).mul_add(self.along, gradient - self.gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::{Affine, Group};
    use crate::nn::base::random::Random;
    use crate::nn::kernels::processor::{Processor, Task};

    struct Forward<'a>(Group, &'a [f32], &'a mut [f32], bool);

    impl Task for Forward<'_> {
        #[inline(always)]
        fn run(self) {
            let affine = Affine {
                weight: Some(self.1),
                bias: Some(&self.1[1..]),
            };
            match self.3 {
                true => self.0.forward(&self.1[3..], affine, 1e-5, self.2),
                false => self.0.forward_uncentred(&self.1[3..], affine, 1e-5, self.2),
            };
        }
    }

    #[test]
    fn every_processor_normalises_with_the_same_bits() {
        let mut random = Random::new(1, 0);
        let x: Vec<f32> = (0..5000).map(|_| random.normal_f32()).collect();
        let group = |runs, length, stride, plane| Group {
            runs,
            length,
            stride,
            plane,
        };
        for group in [
            group(1, 64, 64, 1),
            group(1, 2501, 2501, 1),
            group(7, 5, 13, 1),
            group(1, 60, 60, 20),
        ] {
            let normalise = |processor: Processor, centred: bool| {
                let mut y = vec![0.0; group.runs * group.stride];
                processor.run(Forward(group, &x, &mut y, centred));
                y.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
            };
            let all = Processor::available();
            for centred in [true, false] {
                let expected = normalise(all[0], centred);
                for processor in &all[1..] {
                    assert_eq!(expected, normalise(*processor, centred), "{group:?}");
                }
            }
        }
    }
}
