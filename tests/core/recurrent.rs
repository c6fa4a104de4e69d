//! Recurrent layers against PyTorch's (`fixtures/make_recurrent_fixtures.py` made the numbers).

use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, InputForm, Network, Predictor, Random,
    Shape,
};
use safetensors::SafeTensors;

use crate::layer_case::{LayerCase, close, tensor};

const RECURRENT: &[u8] = include_bytes!("fixtures/recurrent.safetensors");
const FEATURES: usize = 4;

/// Checks every case whose name begins so; there are that many.
fn check(kind: &str, count: usize) {
    let file = SafeTensors::deserialize(RECURRENT).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(RECURRENT).unwrap();
    let layers = metadata.metadata().as_ref().unwrap();
    let mut checked = 0;
    for (name, layer) in layers {
        let name = name.strip_prefix("layer.").unwrap();
        if name.split('_').next() != Some(kind) {
            continue;
        }
        let rows = tensor(&file, &format!("{name}.lengths")).len();
        let values = tensor(&file, &format!("{name}.x.weight")).len();
        let shape = Shape::Sequence {
            steps: values / FEATURES / rows,
            features: FEATURES,
        };
        LayerCase::new(&file, name, layer, shape, rows).check();
        checked += 1;
    }
    assert_eq!(checked, count, "{kind}");
}

#[test]
fn rnn_agrees_with_pytorch_forward_and_backward() {
    check("rnn", 12);
}

#[test]
fn lstm_agrees_with_pytorch_forward_and_backward() {
    check("lstm", 14);
}

#[test]
fn gru_agrees_with_pytorch_forward_and_backward() {
    check("gru", 12);
}

/// A network over sequences `x` of up to so many steps × 4.
fn build(layers: &str, steps: usize) -> Result<Network, Error> {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}"))?;
    let form = InputForm::Sequence {
        steps,
        features: FEATURES,
        vocabulary: None,
    };
    let name = "x".to_owned();
    let head = Head::Regression { outputs: 2 };
    Network::build(&architecture, &[InputFeature { name, form }], head, None)
}

/// A row of the network's input, with so many of the steps.
fn row(length: usize, steps: usize, random: &mut Random) -> Vec<f32> {
    let there = length * FEATURES;
    let mut x = vec![length as f32];
    x.extend((0..steps * FEATURES).map(|i| if i < there { random.normal_f32() } else { 0.0 }));
    x
}

/// The layers' sum of logits, each times a weight of its own; with dropout always the same.
fn weighted(network: &Network, parameters: &[f32], x: &[f32], rows: usize) -> f64 {
    let mut workspace = network.workspace(rows);
    let mut random = Random::new(6, 1);
    let logits = network.forward(parameters, x, rows, &mut workspace, Some(&mut random));
    let weights = (1..).map(|i| f64::from(i % 5) - 1.5);
    logits
        .iter()
        .zip(weights)
        .map(|(y, w)| f64::from(*y) * w)
        .sum()
}

#[test]
fn dropout_between_layers_has_the_gradient_of_finite_differences() {
    let layers = r#"{"type": "dense", "units": 3},
        {"type": "lstm", "units": 4, "num_layers": 3, "bidirectional": true, "dropout": 0.4,
         "activation": "softplus"}"#;
    let (rows, steps) = (3, 4);
    let network = build(layers, steps).unwrap();
    let mut parameters = network.initialise(2, Initializer::Pytorch);
    let mut random = Random::new(5, 0);
    let x: Vec<f32> = [4, 2, 0]
        .iter()
        .flat_map(|n| row(*n, steps, &mut random))
        .collect();
    let mut workspace = network.workspace(rows + 1);
    let weights: Vec<f32> = (1..=2 * rows).map(|i| (i % 5) as f32 - 1.5).collect();
    let mut gradients = vec![0.0; parameters.len()];
    // The second pass finds the buffers as the first left them, and adds up.
    for _ in 0..2 {
        let random = &mut Random::new(6, 1);
        network.forward(&parameters, &x, rows, &mut workspace, Some(random));
        network.backward(
            &parameters,
            &x,
            rows,
            &weights,
            &mut gradients,
            &mut workspace,
        );
    }
    for i in (0..parameters.len()).step_by(3) {
        let kept = parameters[i];
        let step = 1e-2;
        parameters[i] = kept + step;
        let above = weighted(&network, &parameters, &x, rows);
        parameters[i] = kept - step;
        let below = weighted(&network, &parameters, &x, rows);
        parameters[i] = kept;
        let expected = (above - below) / (2.0 * f64::from(step));
        let found = f64::from(gradients[i]) / 2.0;
        assert!(
            (found - expected).abs() < 1e-3 * (1.0 + expected.abs()),
            "{i}: {found} instead of {expected}"
        );
    }
    let without = weighted(
        &build(&layers.replace("0.4", "0"), steps).unwrap(),
        &parameters,
        &x,
        rows,
    );
    assert!((without - weighted(&network, &parameters, &x, rows)).abs() > 1e-4);
}

/// Where a parameter of the network lies.
fn range(network: &Network, name: &str) -> std::ops::Range<usize> {
    let named = network.parameters().iter().find(|p| p.name == name);
    named.unwrap_or_else(|| panic!("no {name}")).range.clone()
}

#[test]
fn a_row_without_a_step_has_the_state_that_all_begin_with() {
    for layers in [
        r#"{"type": "gru", "units": 3, "num_layers": 2, "bidirectional": true}"#,
        r#"{"type": "lstm", "units": 3, "return_sequences": true},
           {"type": "select_step", "index": -1}"#,
    ] {
        let network = build(
            &format!(r#"{layers}, {{"type": "output", "name": "out"}}"#),
            5,
        )
        .unwrap();
        let parameters = network.initialise(2, Initializer::Pytorch);
        let bias = &parameters[range(&network, "out.bias")];
        let mut random = Random::new(5, 0);
        let x: Vec<f32> = [2, 0, 5, 0]
            .iter()
            .flat_map(|n| row(*n, 5, &mut random))
            .collect();
        let mut workspace = network.workspace(4);
        // Buffers that hold something.
        network.forward(&parameters, &[1.0; 4 * 21], 4, &mut workspace, None);
        let logits = network.forward(&parameters, &x, 4, &mut workspace, None);
        assert_eq!(&logits[2..4], bias);
        assert_eq!(&logits[6..8], bias);
        assert_ne!(&logits[..2], bias);
        let mut gradients = vec![0.0; parameters.len()];
        let seed = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0];
        network.backward(&parameters, &x, 4, &seed, &mut gradients, &mut workspace);
        let out = range(&network, "out.weight").start;
        assert!(gradients[..out].iter().all(|gradient| *gradient == 0.0));
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let mut results = [f32::NAN; 8];
        let mut scratch = predictor.scratch();
        predictor.forward(&[1.0; 4 * 21], 4, &mut results, &mut scratch);
        predictor.forward(&x, 4, &mut results, &mut scratch);
        assert_eq!(&results[2..4], bias);
        assert_eq!(&results[6..8], bias);
    }
}

#[test]
fn select_step_counts_from_the_start_or_from_the_end_of_a_rows_own_steps() {
    let steps = 4;
    let vector = {
        let text = r#"{"layers": [{"type": "dense", "units": 3}, {"type": "output"}]}"#;
        let form = InputForm::Numbers(FEATURES);
        let feature = InputFeature {
            name: "x".to_owned(),
            form,
        };
        let head = Head::Regression { outputs: 2 };
        Network::build(&Architecture::parse(text).unwrap(), &[feature], head, None).unwrap()
    };
    for index in -4..4 {
        let layers = format!(
            r#"{{"type": "dense", "units": 3}}, {{"type": "select_step", "index": {index}}},
               {{"type": "output"}}"#
        );
        let network = build(&layers, steps).unwrap();
        let parameters = network.initialise(1, Initializer::Pytorch);
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let mut random = Random::new(5, 0);
        for length in 0..=steps {
            let x = row(length, steps, &mut random);
            let chosen = if index < 0 {
                length as i64 + index
            } else {
                index
            };
            let there = (0..length as i64).contains(&chosen);
            let mut workspace = network.workspace(1);
            let logits = network.forward(&parameters, &x, 1, &mut workspace, None);
            let mut predicted = [f32::NAN; 2];
            predictor.forward(&x, 1, &mut predicted, &mut predictor.scratch());
            let mut gradients = vec![0.0; parameters.len()];
            let mut expected_gradients = gradients.clone();
            let mut expected = parameters[parameters.len() - 2..].to_vec();
            let seed = [1.0, -2.0];
            if there {
                let step = &x[1 + chosen as usize * FEATURES..][..FEATURES];
                let mut workspace = vector.workspace(1);
                expected = vector
                    .forward(&parameters, step, 1, &mut workspace, None)
                    .to_vec();
                vector.backward(
                    &parameters,
                    step,
                    1,
                    &seed,
                    &mut expected_gradients,
                    &mut workspace,
                );
            } else {
                let bias = expected_gradients.len() - 2;
                expected_gradients[bias..].copy_from_slice(&seed);
            }
            close("logits", logits, &expected);
            close("predicted", &predicted, &expected);
            network.backward(&parameters, &x, 1, &seed, &mut gradients, &mut workspace);
            close("gradients", &gradients, &expected_gradients);
        }
    }
}

#[test]
fn weights_start_as_in_keras_or_as_in_pytorch() {
    let units = 24;
    for (kind, gates) in [("rnn", 1), ("gru", 3), ("lstm", 4)] {
        let layer = format!(r#"{{"type": "{kind}", "name": "r", "units": {units}}}"#);
        let network = build(&layer, 3).unwrap();
        let values = network.initialise(4, Initializer::default());
        let of = |name: &str| &values[range(&network, name)];
        let state = of("r.weight_hh_l0");
        for a in 0..units {
            for b in 0..units {
                let products = state
                    .chunks_exact(units)
                    .map(|row| f64::from(row[a] * row[b]));
                let expected = f64::from(u8::from(a == b));
                assert!(
                    (products.sum::<f64>() - expected).abs() < 1e-5,
                    "{kind}: {a}, {b}"
                );
            }
        }
        let limit = (6.0 / (FEATURES + gates * units) as f32).sqrt();
        let largest = |values: &[f32]| values.iter().fold(0.0, |m: f32, v| m.max(v.abs()));
        let input = largest(of("r.weight_ih_l0"));
        assert!(input <= limit && input > 0.9 * limit, "{kind}: {input}");
        for (i, bias) in of("r.bias_ih_l0").iter().enumerate() {
            let forget = kind == "lstm" && (units..2 * units).contains(&i);
            assert_eq!(*bias, f32::from(u8::from(forget)), "{kind}: {i}");
        }
        assert!(of("r.bias_hh_l0").iter().all(|bias| *bias == 0.0));
        let values = network.initialise(4, Initializer::Pytorch);
        let limit = 1.0 / (units as f32).sqrt();
        for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
            let largest = largest(&values[range(&network, &format!("r.{name}"))]);
            assert!(
                largest <= limit && largest > 0.8 * limit,
                "{kind}, {name}: {largest}"
            );
        }
    }
}

#[test]
fn settings_are_written_as_they_are_read() {
    let text = r#"{"layers": [
        {"type": "SimpleRNN", "units": 3, "nonlinearity": "relu", "return_sequences": true},
        {"type": "LSTM", "units": 4, "num_layers": 2, "bidirectional": true, "dropout": 0.3,
         "return_sequences": true, "recurrent_initializer": "orthogonal"},
        {"type": "GRU", "units": 5, "activation": "elu", "use_bias": false,
         "kernel_initializer": "he_normal", "recurrent_initializer": "glorot_uniform",
         "return_sequences": true},
        {"type": "select_step", "index": -2}
    ]}"#;
    let written = Architecture::parse(text).unwrap().to_json();
    let expected = r#"{"layers":[{"type":"rnn","units":3,"return_sequences":true,"activation":"relu"},{"type":"lstm","units":4,"num_layers":2,"bidirectional":true,"return_sequences":true,"dropout":0.3},{"type":"gru","units":5,"return_sequences":true,"use_bias":false,"kernel_initializer":"he_normal","recurrent_initializer":"glorot_uniform","activation":"elu"},{"type":"select_step","index":-2}]}"#;
    assert_eq!(written.to_string(), expected);
    let again = Architecture::from_json(&written).unwrap();
    assert_eq!(again.to_json(), written);
}

#[test]
fn wrong_settings_and_shapes_are_named_with_their_layer() {
    for (layers, message, hint) in [
        (
            r#"{"type": "lstm"}"#,
            "layer 1 (lstm): needs \"units\"",
            "Add",
        ),
        (
            r#"{"type": "gru", "units": 0}"#,
            "\"units\" must be a whole number from 1",
            "64",
        ),
        (
            r#"{"type": "rnn", "unit": 8}"#,
            "unknown setting \"unit\"",
            "Perhaps you mean \"units\".",
        ),
        (
            r#"{"type": "gru", "units": 8, "nonlinearity": "relu"}"#,
            "unknown setting \"nonlinearity\"",
            "Perhaps you mean \"activation\".",
        ),
        (
            r#"{"type": "rnn", "units": 8, "nonlinearity": "rleu"}"#,
            "unknown activation \"rleu\"",
            "Perhaps you mean \"relu\".",
        ),
        (
            r#"{"type": "lstm", "units": 8, "activation": "tahn"}"#,
            "\"tahn\"",
            "Perhaps you mean \"tanh\".",
        ),
        (
            r#"{"type": "lstm", "units": 8, "num_layers": 101}"#,
            "from 1 to 100",
            "one upon",
        ),
        (
            r#"{"type": "lstm", "units": 8, "dropout": 1}"#,
            "\"dropout\" must be",
            "0.2",
        ),
        (
            r#"{"type": "rnn", "units": 8}, {"type": "gru", "name": "second", "units": 8}"#,
            "layer \"second\": reads a vector of 8 numbers, but takes a sequence",
            "return_sequences",
        ),
        (
            r#"{"type": "select_step", "index": 0.5}"#,
            "\"index\" must be a whole",
            "-1",
        ),
        (
            r#"{"type": "select_step", "index": 3}"#,
            "selects step 3 of a sequence of 3",
            "to 2",
        ),
        (
            r#"{"type": "select_step", "index": -4}"#,
            "selects step -4",
            "from -3",
        ),
    ] {
        let error = build(layers, 3).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        let given = error.hint().unwrap_or_default();
        assert!(given.contains(hint), "{given}");
    }
}

#[test]
fn a_stack_that_is_too_large_is_refused_before_anything_is_allocated() {
    let text = r#"{"layers": [{"type": "lstm", "units": 1000000, "num_layers": 100}]}"#;
    let architecture = Architecture::parse(text).unwrap();
    let form = InputForm::Sequence {
        steps: 1_000,
        features: 1_000,
        vocabulary: None,
    };
    let features = [InputFeature {
        name: "x".to_owned(),
        form,
    }];
    let head = Head::Regression { outputs: 2 };
    let error = Network::build(&architecture, &features, head, Some(1 << 30)).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
}
