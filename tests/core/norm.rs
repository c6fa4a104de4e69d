//! Normalisation against PyTorch's (`fixtures/make_norm_fixtures.py` made the numbers).

use pg_neural::nn::{
    self, Architecture, Error, Head, Initializer, InputFeature, LossSpec, Network, OptimizerSpec,
    ParameterKind, Random, Shape, TrainOptions,
};
use safetensors::SafeTensors;

use crate::layer_case::{LayerCase, close, tensor};
use crate::memory_rows::{Quiet, Rows};

const NORM: &[u8] = include_bytes!("fixtures/norm.safetensors");
const VECTOR: Shape = Shape::Vector(9);
const SEQUENCE: Shape = Shape::Sequence {
    steps: 5,
    features: 6,
};
const IMAGE: Shape = Shape::Image {
    channels: 3,
    height: 4,
    width: 5,
};

fn check(name: &str, layer: &str, shape: Shape, rows: usize) {
    let file = SafeTensors::deserialize(NORM).unwrap();
    LayerCase::new(&file, name, layer, shape, rows).check();
}

#[test]
fn layer_norm_agrees_with_pytorch() {
    let layer = r#""type": "layer_norm""#;
    check("layer_norm_vector", layer, Shape::Vector(7), 5);
    check("layer_norm_sequence", layer, SEQUENCE, 4);
    check("layer_norm_image", r#""type": "LayerNorm""#, IMAGE, 4);
    let wide = r#""type": "LayerNormalization", "epsilon": 1e-3"#;
    check("layer_norm_wide", wide, Shape::Vector(1037), 2);
    let layer = r#""type": "layer_norm", "center": false"#;
    check("layer_norm_no_bias", layer, Shape::Vector(19), 4);
    let layer = r#""type": "layer_norm", "center": false, "scale": false"#;
    check("layer_norm_plain", layer, Shape::Vector(16), 4);
}

#[test]
fn group_norm_agrees_with_pytorch() {
    let layer = r#""type": "group_norm", "groups": 3"#;
    check("group_norm_vector", layer, Shape::Vector(12), 5);
    let image = Shape::Image {
        channels: 6,
        height: 3,
        width: 5,
    };
    let layer = r#""type": "GroupNorm", "groups": 2, "epsilon": 0.01"#;
    check("group_norm_image", layer, image, 4);
    let layer = r#""type": "GroupNormalization", "groups": 2, "epsilon": 1e-5"#;
    check("group_norm_sequence", layer, SEQUENCE, 4);
}

#[test]
fn batch_norm_outside_training_uses_running_statistics_as_pytorch() {
    check("batch_norm_vector", r#""type": "BatchNorm1d""#, VECTOR, 6);
    check(
        "batch_norm_sequence",
        r#""type": "batch_norm""#,
        SEQUENCE,
        4,
    );
    let layer = r#""type": "BatchNorm2d", "epsilon": 0.01"#;
    check("batch_norm_image", layer, IMAGE, 4);
    let layer = r#""type": "BatchNormalization", "center": false, "scale": false, "epsilon": 1e-5"#;
    check("batch_norm_plain", layer, VECTOR, 6);
}

/// Three batches, each with the statistics that the one before left.
fn check_steps(name: &str, layer: &str, shape: Shape, rows: usize) {
    let file = SafeTensors::deserialize(NORM).unwrap();
    let mut case = LayerCase::new(&file, name, layer, shape, rows);
    for step in 0..3 {
        let prefix = format!("{name}.step{step}");
        let batch = step * rows / 3..(step + 1) * rows / 3;
        let statistics = case.check_pass(&prefix, batch, Some(&mut Random::new(1, 0)));
        assert_eq!(statistics.len(), 2);
        for (parameter, value) in statistics {
            let kept = parameter.strip_prefix("layer.").unwrap();
            close(
                &parameter,
                &value,
                &tensor(&file, &format!("{prefix}.{kept}")),
            );
            let mut all = case.network.parameters().iter();
            let place = all.find(|p| p.name == parameter).unwrap().range.clone();
            case.parameters[place].copy_from_slice(&value);
        }
    }
}

#[test]
fn batch_norm_in_training_agrees_with_pytorch_over_several_batches() {
    let layer = r#""type": "batch_norm""#;
    check_steps("batch_norm_vector_train", layer, Shape::Vector(21), 18);
    let layer = r#""type": "batch_norm", "momentum": 0.25"#;
    check_steps("batch_norm_sequence_train", layer, SEQUENCE, 12);
    let layer = r#""type": "batch_norm", "epsilon": 0.01"#;
    check_steps("batch_norm_image_train", layer, IMAGE, 12);
}

fn build(layers: &str, width: usize) -> Result<Network, Error> {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}"))?;
    let features = [InputFeature::column("x", width, None)];
    Network::build(
        &architecture,
        &features,
        Head::Regression { outputs: 1 },
        None,
    )
}

/// One batch in training; the logits, the gradients and new statistics by parameter.
fn training_pass(network: &Network, x: &[f32]) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let rows = x.len() / network.input_width();
    let parameters = network.initialise(3, Initializer::Pytorch);
    let mut workspace = network.workspace(rows);
    let mut random = Random::new(1, 0);
    let logits = network
        .forward(&parameters, x, rows, &mut workspace, Some(&mut random))
        .to_vec();
    let mut gradients = vec![0.0; parameters.len()];
    let seed = vec![1.0; logits.len()];
    network.backward(&parameters, x, rows, &seed, &mut gradients, &mut workspace);
    let all = network.parameters().iter();
    let gradients = all.map(|p| (p.name.clone(), gradients[p.range.clone()].to_vec()));
    (logits, gradients.collect())
}

#[test]
fn a_batch_of_one_row_leaves_the_running_statistics() {
    let network = build(
        r#"{"type": "dense", "units": 3}, {"type": "batch_norm"}"#,
        2,
    )
    .unwrap();
    let (logits, gradients) = training_pass(&network, &[0.5, -7.0]);
    assert!(logits.iter().all(|y| y.is_finite()));
    let of = |name: &str| &gradients.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(of("batch_norm1.running_mean"), &[0.0; 3]);
    assert_eq!(of("batch_norm1.running_var"), &[1.0; 3]);
    assert!(of("dense1.weight").iter().all(|g| *g == 0.0));
}

#[test]
fn a_frozen_batch_norm_stays_as_it_is_in_training() {
    let network = |settings: &str| {
        let layers =
            format!(r#"{{"type": "dense", "units": 3}}, {{"type": "batch_norm" {settings}}}"#);
        build(&layers, 2).unwrap()
    };
    let frozen = network(r#", "trainable": false"#);
    let x = [0.5, -7.0, 1.0, 2.0, 3.0, 4.0];
    let (logits, gradients) = training_pass(&frozen, &x);
    let parameters = frozen.initialise(3, Initializer::Pytorch);
    let mut workspace = frozen.workspace(3);
    let expected = frozen.forward(&parameters, &x, 3, &mut workspace, None);
    assert_eq!(logits, expected);
    let of = |name: &str| &gradients.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(of("batch_norm1.running_mean"), &[0.0; 3]);
    assert!(of("dense1.weight").iter().any(|g| *g != 0.0));
    assert_ne!(logits, training_pass(&network(""), &x).0);
}

#[test]
fn norms_start_as_the_identity_whatever_the_initializer() {
    let layers = r#"{"type": "layer_norm"}, {"type": "batch_norm"},
                    {"type": "group_norm", "groups": 2}"#;
    let network = build(layers, 4).unwrap();
    for initializer in Initializer::ALL {
        let values = network.initialise(1, initializer);
        for parameter in network
            .parameters()
            .iter()
            .filter(|p| p.name.contains("norm"))
        {
            let one = matches!(parameter.kind, ParameterKind::Gain)
                || parameter.name.ends_with("running_var");
            let start = if one { 1.0 } else { 0.0 };
            let values = &values[parameter.range.clone()];
            assert!(values.iter().all(|v| *v == start), "{}", parameter.name);
        }
    }
}

#[test]
fn settings_are_written_as_they_are_read() {
    for layer in [
        r#"{"type":"batch_norm","momentum":0.3,"epsilon":0.001,"scale":false,"center":false}"#,
        r#"{"type":"batch_norm"}"#,
        r#"{"type":"layer_norm","epsilon":1e-6,"center":false}"#,
        r#"{"type":"group_norm","groups":2,"scale":false}"#,
    ] {
        let text = format!(r#"{{"layers":[{layer}]}}"#);
        let architecture = Architecture::parse(&text).unwrap();
        assert_eq!(serde_json::to_string(&architecture).unwrap(), text);
    }
}

#[test]
fn what_cannot_be_normalised_is_refused_by_name() {
    for (layer, message) in [
        (
            r#"{"type": "group_norm", "groups": 3}"#,
            "layer \"group_norm1\": cannot divide 4 values in 3 groups",
        ),
        (
            r#"{"type": "group_norm"}"#,
            "layer \"group_norm1\": cannot divide 4 values in 32 groups",
        ),
        (
            r#"{"type": "batch_norm", "momentum": 1.5}"#,
            "layer 1 (batch_norm): \"momentum\" must be a number above 0, at most 1 (for \
             BatchNormalization below 1)",
        ),
        (
            r#"{"type": "layer_norm", "epsilon": 0}"#,
            "layer 1 (layer_norm): \"epsilon\" must be a number above 0",
        ),
        (
            r#"{"type": "LayerNorm", "epsilonn": 1e-3}"#,
            "layer 1 (layer_norm): unknown setting \"epsilonn\"",
        ),
    ] {
        let error = build(layer, 4).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn twenty_steps_with_batch_norm_follow_pytorch_on_any_number_of_threads() {
    let file = SafeTensors::deserialize(NORM).unwrap();
    let layers = r#"{"type": "dense", "name": "fc1", "units": 12},
                    {"type": "batch_norm", "name": "bn1"},
                    {"type": "activation", "activation": "tanh"},
                    {"type": "dense", "name": "fc2", "units": 6},
                    {"type": "batch_norm", "name": "bn2"},
                    {"type": "output", "name": "out"}"#;
    let network = build(layers, 5).unwrap();
    assert!(network.couples_rows());
    let flat = |moment: &str| {
        let mut values = vec![0.0; network.parameter_count()];
        for parameter in network.parameters() {
            let name = format!("training.{moment}.{}", parameter.name);
            values[parameter.range.clone()].copy_from_slice(&tensor(&file, &name));
        }
        values
    };
    let mut first: Option<Vec<f32>> = None;
    for threads in [1, 3] {
        let mut rows = Rows {
            x: tensor(&file, "training.x"),
            y: tensor(&file, "training.y"),
        };
        let options = TrainOptions {
            epochs: 4,
            batch_size: 16,
            shuffle: false,
            loss: LossSpec::Mse,
            optimizer: OptimizerSpec::Sgd {
                momentum: 0.9,
                nesterov: false,
            },
            learning_rate: 0.05,
            threads,
            ..TrainOptions::default()
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let start = flat("start");
        let trained = nn::train(
            &network, start, &mut rows, None, &options, &pool, &mut Quiet,
        )
        .expect("trained");
        let losses: Vec<f32> = trained
            .history
            .iter()
            .map(|e| e.train_loss as f32)
            .collect();
        for (found, expected) in losses.iter().zip(tensor(&file, "training.losses")) {
            assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
        }
        let end = flat("end");
        for parameter in network.parameters() {
            let found = &trained.parameters[parameter.range.clone()];
            for (found, expected) in found.iter().zip(&end[parameter.range.clone()]) {
                assert!(
                    (found - expected).abs() <= 1e-3 * expected.abs().max(0.1),
                    "{}: {found} instead of {expected}",
                    parameter.name
                );
            }
        }
        match &first {
            None => first = Some(trained.parameters),
            Some(first) => assert_eq!(first, &trained.parameters),
        }
    }
}
