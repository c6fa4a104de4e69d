//! How parameters start.

use serde::{Deserialize, Serialize};

use crate::nn::base::random::Random;
use crate::nn::base::stop::{Pace, VALUE};

/// A distribution of starting values, by a parameter's fan-in and fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// Uniform within √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010); Keras's default.
    #[default]
    GlorotUniform,
    /// Normal with variance 2 / (fan_in + fan_out).
    GlorotNormal,
    /// Uniform within √(6 / fan_in) (He et al., 2015).
    HeUniform,
    /// Normal with variance 2 / fan_in.
    HeNormal,
    /// Uniform within √(3 / fan_in) (LeCun et al., 1998), for selu.
    LecunUniform,
    /// Normal with variance 1 / fan_in.
    LecunNormal,
    /// PyTorch's default: weights and biases uniform within 1 / √fan_in, embeddings standard
    /// normal.
    Pytorch,
    /// All zero.
    Zeros,
    /// All one.
    Ones,
}

/// What a parameter is for; it decides how it starts and which penalties apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A weight matrix.
    Weight,
    /// A bias.
    Bias,
    /// An embedding's table.
    Embedding,
    /// What a normalised value is multiplied by; starts at one.
    Gain,
    /// The weight of a state that comes back, [gates · units, units].
    Recurrent,
    /// The weight of what enters a recurrent layer, [gates · units, features].
    RecurrentInput {
        /// Values of the state.
        units: usize,
    },
    /// A bias of the gates of an LSTM, [4 · units], the forget gate's second.
    LstmBias,
    /// What a layer has seen of its inputs, such as a running mean. Neither optimizer nor penalties
    /// touch it: where its gradient would stand, the layer writes its new value.
    Statistic,
    /// A frequency or phase of a wave: standard normal at first, so that as a phase, in turns, it is as
    /// good as uniform. Decay would draw waves to constants, not the network to zero.
    Wave,
    /// What a layer takes from the training rows before training begins, such as the edges of bins.
    /// Nothing changes it then.
    Fitted,
}

impl ParameterKind {
    /// Whether the optimizer changes it, in a layer that is trainable.
    pub fn is_learnt(self) -> bool {
        !matches!(self, ParameterKind::Statistic | ParameterKind::Fitted)
    }
}

impl Initializer {
    /// All initializers.
    pub const ALL: [Initializer; 9] = [
        Initializer::GlorotUniform,
        Initializer::GlorotNormal,
        Initializer::HeUniform,
        Initializer::HeNormal,
        Initializer::LecunUniform,
        Initializer::LecunNormal,
        Initializer::Pytorch,
        Initializer::Zeros,
        Initializer::Ones,
    ];

    /// The name in options and architectures.
    pub fn name(self) -> &'static str {
        match self {
            Initializer::GlorotUniform => "glorot_uniform",
            Initializer::GlorotNormal => "glorot_normal",
            Initializer::HeUniform => "he_uniform",
            Initializer::HeNormal => "he_normal",
            Initializer::LecunUniform => "lecun_uniform",
            Initializer::LecunNormal => "lecun_normal",
            Initializer::Pytorch => "pytorch",
            Initializer::Zeros => "zeros",
            Initializer::Ones => "ones",
        }
    }

    /// The initializer of this name, without regard to case, under Keras's and PyTorch's names.
    pub fn parse(name: &str) -> Option<Initializer> {
        let lower = name.to_lowercase();
        let canonical = match lower.as_str() {
            "xavier_uniform" | "glorotuniform" => "glorot_uniform",
            "xavier_normal" | "glorotnormal" => "glorot_normal",
            "kaiming_uniform" | "heuniform" => "he_uniform",
            "kaiming_normal" | "henormal" => "he_normal",
            "lecununiform" => "lecun_uniform",
            "lecunnormal" => "lecun_normal",
            other => other,
        };
        Initializer::ALL
            .into_iter()
            .find(|initializer| initializer.name() == canonical)
    }

    /// Whether weights of this kind start otherwise by it than by another one. Biases do not count.
    pub(in crate::nn) fn starts(self, kind: ParameterKind) -> bool {
        match kind {
            ParameterKind::Weight | ParameterKind::RecurrentInput { .. } => true,
            ParameterKind::Embedding | ParameterKind::Recurrent => matches!(
                self,
                Initializer::Pytorch | Initializer::Zeros | Initializer::Ones
            ),
            ParameterKind::Bias
            | ParameterKind::LstmBias
            | ParameterKind::Gain
            | ParameterKind::Wave
            | ParameterKind::Statistic
            | ParameterKind::Fitted => false,
        }
    }

    /// Fills a parameter's values; once `pace` says stop, with whatever.
    ///
    /// Unless the initializer is `Pytorch` or a constant, other parameters than weights start as in
    /// Keras: biases at zero, but an LSTM's forget gate at one (Gers et al., 2000), embeddings
    /// uniform within 0.05, weights of a state with columns that are orthogonal and of length one
    /// (Saxe et al., 2014). PyTorch starts all that belongs to a state within 1 / √units.
    pub(in crate::nn) fn fill(
        self,
        kind: ParameterKind,
        fan_in: usize,
        fan_out: usize,
        random: &mut Random,
        values: &mut [f32],
        pace: &Pace<'_>,
    ) {
        let (fan_in, fan_out) = (fan_in.max(1) as f64, fan_out.max(1) as f64);
        match (self, kind) {
            (_, ParameterKind::Gain) => values.fill(1.0),
            (_, ParameterKind::Wave) => normal(1.0, random, values, pace),
            (_, ParameterKind::Statistic | ParameterKind::Fitted) => values.fill(0.0),
            (Initializer::Zeros, _) => values.fill(0.0),
            (Initializer::Ones, _) => values.fill(1.0),
            (Initializer::Pytorch, ParameterKind::Embedding) => normal(1.0, random, values, pace),
            (Initializer::Pytorch, ParameterKind::RecurrentInput { units }) => {
                uniform(1.0 / (units.max(1) as f64).sqrt(), random, values, pace)
            }
            (Initializer::Pytorch, _) => uniform(1.0 / fan_in.sqrt(), random, values, pace),
            (_, ParameterKind::LstmBias) => {
                let units = values.len() / 4;
                values.fill(0.0);
                values[units..2 * units].fill(1.0);
            }
            (_, ParameterKind::Recurrent) => orthogonal(fan_in as usize, random, values, pace),
            (_, ParameterKind::Bias) => values.fill(0.0),
            (_, ParameterKind::Embedding) => uniform(0.05, random, values, pace),
            (Initializer::GlorotUniform, _) => {
                uniform((6.0 / (fan_in + fan_out)).sqrt(), random, values, pace)
            }
            (Initializer::GlorotNormal, _) => {
                normal((2.0 / (fan_in + fan_out)).sqrt(), random, values, pace)
            }
            (Initializer::HeUniform, _) => uniform((6.0 / fan_in).sqrt(), random, values, pace),
            (Initializer::HeNormal, _) => normal((2.0 / fan_in).sqrt(), random, values, pace),
            (Initializer::LecunUniform, _) => uniform((3.0 / fan_in).sqrt(), random, values, pace),
            (Initializer::LecunNormal, _) => normal((1.0 / fan_in).sqrt(), random, values, pace),
        }
    }
}

fn uniform(limit: f64, random: &mut Random, values: &mut [f32], pace: &Pace<'_>) {
    let limit = limit as f32;
    for part in pace.parts(values.len(), VALUE, 1) {
        for value in &mut values[part] {
            *value = (2.0 * random.uniform_f32() - 1.0) * limit;
        }
    }
}

fn normal(deviation: f64, random: &mut Random, values: &mut [f32], pace: &Pace<'_>) {
    let deviation = deviation as f32;
    for part in pace.parts(values.len(), 4 * VALUE, 1) {
        for value in &mut values[part] {
            *value = random.normal_f32() * deviation;
        }
    }
}

/// A matrix of so many columns, at least as high as wide, whose columns are orthogonal and of length
/// one: those of a normal one, by Gram and Schmidt's method. That makes all such matrices equally
/// likely, as a QR decomposition with a positive diagonal does.
fn orthogonal(columns: usize, random: &mut Random, values: &mut [f32], pace: &Pace<'_>) {
    let rows = values.len() / columns;
    // Column after column.
    let mut basis: Vec<f64> = Vec::with_capacity(values.len());
    for part in pace.parts(values.len(), 4 * VALUE, 1) {
        basis.extend(part.map(|_| f64::from(random.normal_f32())));
    }
    if basis.len() < values.len() {
        return;
    }
    for column in 0..columns {
        let (before, rest) = basis.split_at_mut(column * rows);
        let own = &mut rest[..rows];
        // Twice, as once leaves what rounding made of nearly parallel ones.
        for _ in 0..2 {
            for other in before.chunks_exact(rows) {
                // Two passes of what a vector has half as many of.
                if pace.spend(4 * rows) {
                    return;
                }
                let share = dot(own, other);
                own.iter_mut()
                    .zip(other)
                    .for_each(|(own, other)| *own -= share * other);
            }
        }
        let length = dot(own, own).sqrt();
        own.iter_mut().for_each(|value| *value /= length);
    }
    for (row, values) in values.chunks_exact_mut(columns).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value = basis[column * rows + row] as f32;
        }
    }
}

/// A sum in an order of its own, so that every processor starts from the same values.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}
