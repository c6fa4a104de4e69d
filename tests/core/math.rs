use pg_neural::nn::processor::{Processor, Task};
use pg_neural::nn::{Activation, activation, math};

/// Runs a scalar function over a slice with the vector instructions given.
struct Over<'a, F>(&'a mut [f32], F);

impl<F: Fn(f32) -> f32> Task for Over<'_, F> {
    #[inline(always)]
    fn run(self) {
        for value in self.0 {
            *value = (self.1)(*value);
        }
    }
}

/// A dense grid over what is interesting in f32, from subnormal numbers to infinity.
fn grid() -> Vec<f32> {
    let mut all: Vec<f32> = (0..=0x7f80_0000u32)
        .step_by(9973)
        .map(f32::from_bits)
        .collect();
    all.extend((0..200_000).map(|i| i as f32 * 1e-3));
    all.push(f32::INFINITY);
    let negative: Vec<f32> = all.iter().map(|v| -v).collect();
    all.extend(negative);
    all
}

/// The error function in f64: its series, or the continued fraction of erfc farther out.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 2.5 {
        let (mut term, mut sum) = (a, a);
        for n in 1..80 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return (sum * 2.0 / std::f64::consts::PI.sqrt()).copysign(x);
    }
    let mut fraction = 0.0;
    for n in (1..60).rev() {
        fraction = f64::from(n) * 0.5 / (a + fraction);
    }
    (1.0 - (-a * a).exp() / ((a + fraction) * std::f64::consts::PI.sqrt())).copysign(x)
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Relative to the exact value, except below the normal numbers.
fn largest_error(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> (f64, f32) {
    let mut values = grid();
    Processor::detect().run(Over(&mut values, f));
    let mut worst = (0.0, 0.0);
    for (x, got) in grid().into_iter().zip(values) {
        let want = exact(f64::from(x));
        if want as f32 == got {
            continue;
        }
        let error = (f64::from(got) - want).abs() / want.abs().max(f64::from(f32::MIN_POSITIVE));
        assert!(!error.is_nan(), "{x} gives {got}, not {want}");
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[test]
fn functions_agree_with_f64_to_4e_7() {
    let all: [(&str, (f64, f32)); 5] = [
        ("exp", largest_error(math::exp, f64::exp)),
        ("tanh", largest_error(math::tanh, f64::tanh)),
        ("sigmoid", largest_error(math::sigmoid, sigmoid)),
        ("ln_1p_exp", largest_error(math::ln_1p_exp, softplus)),
        ("erf", largest_error(math::erf, erf)),
    ];
    for (name, (error, at)) in all {
        println!("{name}: {error:.2e} at {at}");
        assert!(error < 4e-7, "{name}({at}) is off by {error}");
    }
}

/// Turns count by their fraction alone, which f64 takes off without an error.
#[test]
fn cosines_of_turns_agree_with_f64_to_3e_7() {
    let mut values: Vec<f32> = grid().into_iter().filter(|t| t.abs() < 2e6).collect();
    let turns = values.clone();
    Processor::detect().run(Over(&mut values, math::cos_turns));
    for (t, got) in turns.into_iter().zip(&values) {
        let part = f64::from(t) - f64::from(t).round();
        let want = (std::f64::consts::TAU * part).cos();
        assert!(
            (f64::from(*got) - want).abs() < 3e-7,
            "{t}: {got}, not {want}"
        );
        assert!(got.abs() <= 1.000_000_2);
    }
    assert_eq!([0.0, 0.25, 0.5, 7.0].map(math::cos_turns)[1], 0.0);
    assert!(math::cos_turns(f32::NAN).is_nan());
    assert!(math::cos_turns(f32::INFINITY).is_finite());
}

#[test]
fn limits_are_reached_and_nan_stays_nan() {
    let inf = f32::INFINITY;
    assert_eq!(
        [math::exp(-inf), math::exp(0.0), math::exp(inf)],
        [0.0, 1.0, inf]
    );
    assert_eq!([math::tanh(-inf), math::tanh(inf)], [-1.0, 1.0]);
    assert_eq!([math::sigmoid(-inf), math::sigmoid(inf)], [0.0, 1.0]);
    assert_eq!([math::ln_1p_exp(-inf), math::ln_1p_exp(inf)], [0.0, inf]);
    assert_eq!([math::erf(-inf), math::erf(inf)], [-1.0, 1.0]);
    assert!(math::tanh(-0.0).is_sign_negative() && math::erf(-0.0).is_sign_negative());
    for f in [
        math::exp,
        math::tanh,
        math::sigmoid,
        math::ln_1p_exp,
        math::erf,
    ] {
        assert!(f(f32::NAN).is_nan());
    }
}

/// PyTorch's definitions, in f64.
fn exact(activation: Activation, x: f64) -> f64 {
    let alpha = f64::from(activation::SELU_ALPHA);
    match activation {
        Activation::Linear | Activation::Softmax => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu(slope) => x.max(f64::from(slope) * x),
        Activation::Elu => x.max(0.0) + x.min(0.0).exp_m1(),
        Activation::Selu => {
            f64::from(activation::SELU_SCALE) * (x.max(0.0) + alpha * x.min(0.0).exp_m1())
        }
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x * sigmoid(2.0 * u)
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Mish => x * softplus(x).tanh(),
        Activation::Softplus => softplus(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => sigmoid(x),
        Activation::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::Exponential => {
            let largest = f64::from(activation::LARGEST_EXPONENT);
            x.clamp(-largest, largest).exp()
        }
    }
}

#[test]
fn activations_agree_with_their_definitions() {
    let points: Vec<f32> = (-30_000..=30_000).map(|i| i as f32 * 1e-3).collect();
    for activation in Activation::ALL {
        if activation == Activation::Softmax {
            continue;
        }
        let mut values = points.clone();
        activation.apply(&mut values, 1);
        for (&x, got) in points.iter().zip(values) {
            let want = exact(activation, f64::from(x));
            // gelu subtracts erf from 1: its error is relative to x, as PyTorch's is.
            let scale = match activation {
                Activation::Gelu => f64::from(x.abs()),
                // An error of the exponent counts as often as it is large.
                Activation::GeluTanh => want.abs() * (1.0 + f64::from(x * x)),
                _ => want.abs(),
            };
            let error = (f64::from(got) - want).abs();
            assert!(
                error <= 6e-7 * scale + 1e-37,
                "{activation}({x}) = {got}, not {want}"
            );
        }
    }
}

#[test]
fn activations_of_infinities_are_their_limits() {
    for activation in Activation::ALL {
        let mut values = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
        activation.apply(&mut values, 1);
        let [low, high, nan] = values;
        assert!(nan.is_nan(), "{activation}");
        match activation {
            Activation::Softmax => assert!(low.is_nan() && high.is_nan()),
            Activation::Linear | Activation::LeakyRelu(_) => assert_eq!(low, f32::NEG_INFINITY),
            Activation::Elu | Activation::Tanh => assert_eq!(low, -1.0),
            Activation::Selu => assert!((low + 1.758_099_3).abs() < 1e-6),
            Activation::Exponential => assert_eq!(low, math::exp(-activation::LARGEST_EXPONENT)),
            _ => assert_eq!(low, 0.0, "{activation}"),
        }
        match activation {
            Activation::Softmax => {}
            Activation::Tanh | Activation::Sigmoid | Activation::HardSigmoid => {
                assert_eq!(high, 1.0);
            }
            Activation::Exponential => assert_eq!(high, math::exp(activation::LARGEST_EXPONENT)),
            _ => assert_eq!(high, f32::INFINITY, "{activation}"),
        }
    }
}

#[test]
fn activations_have_the_same_bits_on_every_processor() {
    let mut points = grid();
    points.truncate(400_000);
    points.extend((-100_000..100_000).map(|i| i as f32 * 1e-3));
    for activation in Activation::ALL {
        let bits = |processor| {
            let mut values = points.clone();
            activation.apply_on(processor, &mut values, 7);
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let want = bits(Processor::detect());
        for processor in Processor::available() {
            assert!(bits(processor) == want, "{activation} on {processor:?}");
        }
    }
}

#[test]
fn softmax_rows_sum_to_one_whatever_their_size() {
    for width in [1, 2, 3, 10, 16, 17, 100, 1000] {
        let mut x: Vec<f32> = (0..width * 3)
            .map(|i| ((i * 7919) % 199) as f32 - 120.0)
            .collect();
        let exact: Vec<f64> = x
            .chunks(width)
            .flat_map(|row| {
                let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
                row.iter().map(move |&v| f64::from(v).exp() / sum)
            })
            .collect();
        Activation::Softmax.apply(&mut x, width);
        for (&got, want) in x.iter().zip(exact) {
            assert!((f64::from(got) - want).abs() <= 1e-6 * want + 1e-37);
        }
    }
    let mut huge = [3e38, 3e38];
    Activation::Softmax.apply(&mut huge, 2);
    assert_eq!(huge, [0.5, 0.5]);
    Activation::Softmax.apply(&mut [], 0);
}

#[test]
fn names_are_parsed_leniently_and_unknown_ones_name_the_nearest() {
    for activation in Activation::ALL {
        assert_eq!(Activation::parse(activation.name()), Ok(activation));
    }
    let leaky = Activation::LeakyRelu(activation::LEAKY_RELU_SLOPE);
    assert_eq!(Activation::parse("LeakyReLU"), Ok(leaky));
    assert_eq!(Activation::parse("GELU_new"), Ok(Activation::GeluTanh));
    assert_eq!(Activation::parse("Swish"), Ok(Activation::Silu));
    assert_eq!(Activation::parse("none"), Ok(Activation::Linear));
    let error = Activation::parse("sigmiod").unwrap_err();
    assert_eq!(error.to_string(), "unknown activation \"sigmiod\"");
    assert!(error.hint().contains("Perhaps you mean \"sigmoid\"."));
}
