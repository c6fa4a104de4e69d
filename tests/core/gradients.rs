//! The derivatives of every layer, activation and loss, against finite differences.

use pg_neural::nn::{
    Activation, Architecture, Head, Initializer, InputFeature, Link, Loss, LossSpec, Network,
    Random,
};

const ROWS: usize = 5;

/// Numbers `a` (3 wide) and `b` (2 wide) around the level index `c` of 4 levels.
fn features() -> Vec<InputFeature> {
    let feature = |name: &str, width, vocabulary| InputFeature::column(name, width, vocabulary);
    vec![
        feature("a", 3, None),
        feature("c", 1, Some(4)),
        feature("b", 2, None),
    ]
}

fn rows(random: &mut Random) -> Vec<f32> {
    let mut x = Vec::new();
    for _ in 0..ROWS {
        x.extend((0..3).map(|_| random.normal_f32()));
        x.push(random.below(4) as f32);
        x.extend((0..2).map(|_| random.normal_f32()));
    }
    x
}

/// A loss without structure: the sum of the logits, each times a number of its own.
fn weighted_sum(network: &Network, parameters: &[f32], x: &[f32], mask: &[f32]) -> f64 {
    let mut workspace = network.workspace(ROWS);
    let logits = network.forward(parameters, x, ROWS, &mut workspace, None);
    logits
        .iter()
        .zip(mask)
        .map(|(y, m)| f64::from(*y) * f64::from(*m))
        .sum()
}

/// Checks every parameter's gradient of a network against central differences.
fn check(layers: &str, outputs: usize) {
    let text = format!("{{\"layers\": [{layers}]}}");
    let architecture = Architecture::parse(&text).unwrap();
    let head = Head::Regression { outputs };
    let network = Network::build(&architecture, &features(), head, None).unwrap();
    let mut random = Random::new(7, 0);
    let mut parameters = network.initialise(3, Initializer::Pytorch);
    let x = rows(&mut random);
    let mask: Vec<f32> = (0..ROWS * outputs).map(|_| random.normal_f32()).collect();
    let mut workspace = network.workspace(ROWS);
    let mut gradients = vec![0.0; parameters.len()];
    // The second pass finds the buffers as the first left them, and adds up.
    for _ in 0..2 {
        network.forward(&parameters, &x, ROWS, &mut workspace, None);
        network.backward(&parameters, &x, ROWS, &mask, &mut gradients, &mut workspace);
    }
    for parameter in network.parameters() {
        for i in parameter.range.clone() {
            let kept = parameters[i];
            let step = 1e-2;
            parameters[i] = kept + step;
            let above = weighted_sum(&network, &parameters, &x, &mask);
            parameters[i] = kept - step;
            let below = weighted_sum(&network, &parameters, &x, &mask);
            parameters[i] = kept;
            let expected = match parameter.trainable {
                true => (above - below) / (2.0 * f64::from(step)),
                false => 0.0,
            };
            let found = f64::from(gradients[i]) / 2.0;
            assert!(
                (found - expected).abs() < 2e-3 * (1.0 + expected.abs()),
                "{layers}: {} at {i}: {found} instead of {expected}",
                parameter.name
            );
        }
    }
}

#[test]
fn a_dense_network_has_the_gradient_of_finite_differences() {
    check(
        r#"{"type": "input", "features": ["a", "b"]},
           {"type": "dense", "units": 4, "activation": "tanh"},
           {"type": "dense", "units": 3, "use_bias": false}"#,
        3,
    );
}

#[test]
fn a_scale_layer_has_the_gradient_of_finite_differences() {
    check(
        r#"{"type": "input", "features": ["a", "b"]},
           {"type": "scale"},
           {"type": "dense", "units": 4, "activation": "tanh"},
           {"type": "scale", "factor": 6},
           {"type": "dense", "units": 2}"#,
        2,
    );
}

#[test]
fn waves_have_the_gradient_of_finite_differences() {
    check(
        r#"{"type": "input", "features": ["a", "b"]},
           {"type": "dense", "units": 3},
           {"type": "periodic", "frequencies": 4, "units": 3, "frequency_scale": 0.3},
           {"type": "dense", "units": 2}"#,
        2,
    );
}

#[test]
fn every_smooth_activation_has_the_gradient_of_finite_differences() {
    for activation in Activation::ALL {
        let name = activation.name();
        if matches!(name, "relu" | "leaky_relu" | "selu" | "hard_sigmoid") {
            continue; // kinks: compared with PyTorch
        }
        check(
            &format!(
                r#"{{"type": "input", "features": ["b", "a"]}},
                   {{"type": "dense", "units": 4, "activation": "{name}"}},
                   {{"type": "dense", "units": 4}},
                   {{"type": "activation", "activation": "{name}"}},
                   {{"type": "dense", "units": 2}}"#
            ),
            2,
        );
    }
}

#[test]
fn a_slope_that_is_learnt_has_the_gradient_of_finite_differences() {
    // What it reads stays as it is, so that no difference crosses the kink.
    for slopes in [1, 5] {
        check(
            &format!(
                r#"{{"type": "input", "features": ["a", "b"]}},
                   {{"type": "prelu", "num_parameters": {slopes}}},
                   {{"type": "dense", "units": 2}}"#
            ),
            2,
        );
    }
}

#[test]
fn an_rms_norm_has_the_gradient_of_finite_differences() {
    check(
        r#"{"type": "input", "features": ["a", "b"]},
           {"type": "dense", "units": 4},
           {"type": "rms_norm", "epsilon": 0.1},
           {"type": "dense", "units": 2}"#,
        2,
    );
}

#[test]
fn branches_that_meet_again_add_their_gradients() {
    check(
        r#"{"type": "input", "name": "level", "features": ["c"]},
           {"type": "embedding", "name": "vector", "units": 2},
           {"type": "input", "name": "a", "features": ["a"]},
           {"type": "input", "name": "b", "features": ["b"]},
           {"type": "concat", "name": "all", "input": ["b", "vector", "a"]},
           {"type": "dense", "name": "d1", "units": 4, "activation": "tanh"},
           {"type": "dense", "name": "d2", "units": 4, "activation": "sigmoid"},
           {"type": "add", "name": "sum", "input": ["d1", "d2", "d1"]},
           {"type": "multiply", "name": "product", "input": ["sum", "d1", "sum"]},
           {"type": "dropout", "rate": 0.5},
           {"type": "concat", "name": "joined", "input": ["dropout1", "all", "vector"]},
           {"type": "dense", "units": 3}"#,
        3,
    );
}

#[test]
fn a_frozen_layer_passes_the_gradient_on_and_gets_none() {
    check(
        r#"{"type": "input", "features": ["a", "b"]},
           {"type": "dense", "units": 4, "activation": "tanh", "trainable": false},
           {"type": "dense", "units": 4, "activation": "tanh"},
           {"type": "dense", "units": 4, "activation": "tanh", "trainable": false},
           {"type": "output"}"#,
        2,
    );
}

#[test]
fn every_loss_has_the_gradient_of_finite_differences() {
    let quantiles = LossSpec::Quantile {
        quantiles: vec![0.1, 0.5, 0.9],
    };
    let regression = Head::Regression { outputs: 3 };
    let several = Head::Multiclass { classes: 3 };
    for (spec, head, class_weights, smoothing) in [
        (LossSpec::Mse, regression, None, 0.0),
        (LossSpec::Mae, regression, None, 0.0),
        (LossSpec::Huber { delta: 0.7 }, regression, None, 0.0),
        (quantiles, regression, None, 0.0),
        (
            LossSpec::BinaryCrossentropy,
            Head::Binary,
            Some([0.4, 1.7].as_slice()),
            0.1,
        ),
        (
            LossSpec::BinaryCrossentropy,
            Head::MultiLabel { labels: 3 },
            Some([0.4, 1.7, 1.0].as_slice()),
            0.1,
        ),
        (
            LossSpec::CategoricalCrossentropy,
            several,
            Some([0.4, 1.7, 1.0].as_slice()),
            0.1,
        ),
        (LossSpec::Poisson, Head::Mean(Link::Log), None, 0.0),
        (LossSpec::Gamma, Head::Mean(Link::Log), None, 0.0),
        (
            LossSpec::Tweedie { power: 1.3 },
            Head::Mean(Link::Log),
            None,
            0.0,
        ),
        (
            LossSpec::BinaryCrossentropy,
            Head::Mean(Link::Logit),
            None,
            0.0,
        ),
    ] {
        let architecture = Architecture::parse("{\"layers\": []}").unwrap();
        let network = Network::build(&architecture, &features(), head, None).unwrap();
        let loss = Loss::from_spec(&spec, &network, class_weights, smoothing).unwrap();
        let mut random = Random::new(11, 0);
        let units = network.output_units();
        let mut logits: Vec<f32> = (0..ROWS * units)
            .map(|_| 2.0 * random.normal_f32())
            .collect();
        let y: Vec<f32> = match head {
            Head::Regression { .. } => (0..ROWS * 3).map(|_| random.normal_f32()).collect(),
            Head::MultiLabel { .. } => (0..ROWS * 3).map(|i| (i % 2) as f32).collect(),
            Head::Mean(_) => (0..ROWS).map(|_| random.uniform_f32()).collect(),
            _ => (0..ROWS).map(|row| (row % units.max(2)) as f32).collect(),
        };
        let weight: Vec<f32> = (0..ROWS).map(|_| 0.5 + random.uniform_f32()).collect();
        let mut gradient = vec![0.0; logits.len()];
        loss.value_and_gradient(&logits, &y, Some(&weight), ROWS, &mut gradient);
        let step = 1e-3;
        for i in 0..logits.len() {
            let kept = logits[i];
            logits[i] = kept + step;
            let above = loss.value(&logits, &y, Some(&weight), ROWS);
            logits[i] = kept - step;
            let below = loss.value(&logits, &y, Some(&weight), ROWS);
            logits[i] = kept;
            let expected = (above - below) / (2.0 * f64::from(step));
            let found = f64::from(gradient[i]);
            assert!(
                (found - expected).abs() < 2e-3 * (1.0 + expected.abs()),
                "{}: {found} instead of {expected}",
                spec.name()
            );
        }
    }
}
