//! Whole networks of every kind: 50 steps of training from the same weights on the same rows follow
//! PyTorch's losses, with the same bits on any number of threads.

use pg_neural::nn::{
    self, Architecture, Head, InputFeature, InputForm, LossSpec, Network, Predictor, TrainOptions,
    Trained,
};
use safetensors::SafeTensors;

use crate::memory_rows::{Quiet, Rows};

/// fixtures/make_networks_fixtures.py made the numbers.
const FIXTURES: &[u8] = include_bytes!("fixtures/networks.safetensors");

fn tensor(name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(FIXTURES).expect("a safetensors file");
    let data = file.tensor(name).expect("the tensor").data();
    let bytes = data.as_chunks().0.iter();
    bytes.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

struct Case {
    name: &'static str,
    layers: &'static str,
    features: Vec<(&'static str, InputForm)>,
    head: Head,
}

const THREE: Head = Head::Multiclass { classes: 3 };

fn cases() -> Vec<Case> {
    let sequence = |steps, features, vocabulary| {
        let form = InputForm::Sequence {
            steps,
            features,
            vocabulary,
        };
        vec![("x", form)]
    };
    let image = |channels, side| {
        let form = InputForm::Image {
            channels,
            height: side,
            width: side,
        };
        vec![("x", form)]
    };
    vec![
        Case {
            name: "lenet",
            layers: r#"
                {"type": "conv2d", "name": "conv1", "filters": 4, "kernel_size": 5, "padding": 2, "activation": "tanh"},
                {"type": "avg_pool2d", "pool_size": 2},
                {"type": "Conv2D", "name": "conv2", "filters": 6, "kernel_size": [3, 3], "activation": "relu"},
                {"type": "MaxPooling2D", "pool_size": 2},
                {"type": "flatten"},
                {"type": "Linear", "name": "fc1", "units": 10, "activation": "relu"},
                {"type": "output", "name": "output"}"#,
            features: image(1, 12),
            head: THREE,
        },
        Case {
            name: "resnet",
            layers: r#"
                {"type": "conv2d", "name": "stem", "filters": 4, "kernel_size": 3, "padding": "same", "use_bias": false},
                {"type": "batch_norm", "name": "stem_norm"},
                {"type": "relu", "name": "start"},
                {"type": "conv2d", "name": "conv1", "filters": 4, "kernel_size": 3, "padding": 1, "use_bias": false},
                {"type": "batch_norm", "name": "norm1"},
                {"type": "add", "name": "sum1", "input": ["norm1", "start"]},
                {"type": "relu", "name": "block1"},
                {"type": "conv2d", "name": "conv2", "filters": 6, "kernel_size": 3, "strides": 2, "padding": 1, "use_bias": false},
                {"type": "BatchNormalization", "name": "norm2", "epsilon": 1e-5, "momentum": 0.9},
                {"type": "conv2d", "name": "skip2", "input": "block1", "filters": 6, "kernel_size": 1, "strides": 2, "use_bias": false},
                {"type": "add", "name": "sum2", "input": ["norm2", "skip2"]},
                {"type": "activation", "name": "block2", "activation": "relu"},
                {"type": "global_avg_pool"},
                {"type": "output", "name": "output"}"#,
            features: image(2, 8),
            head: THREE,
        },
        Case {
            name: "textcnn",
            layers: r#"
                {"type": "embedding", "name": "words", "vocabulary": 20, "units": 6},
                {"type": "conv1d", "name": "three", "filters": 4, "kernel_size": 3, "activation": "relu"},
                {"type": "global_max_pool", "name": "most3"},
                {"type": "conv1d", "name": "four", "input": "words", "filters": 4, "kernel_size": 4, "activation": "relu"},
                {"type": "GlobalMaxPooling1D", "name": "most4"},
                {"type": "concat", "input": ["most3", "most4"]},
                {"type": "output", "name": "output"}"#,
            features: sequence(12, 1, Some(20)),
            head: Head::Binary,
        },
        Case {
            name: "rnn",
            layers: r#"
                {"type": "rnn", "name": "cell", "units": 5, "num_layers": 2},
                {"type": "output", "name": "output"}"#,
            features: sequence(7, 3, None),
            head: THREE,
        },
        Case {
            name: "lstm",
            layers: r#"
                {"type": "LSTM", "name": "cell", "units": 5, "num_layers": 2, "bidirectional": true},
                {"type": "output", "name": "output"}"#,
            features: sequence(7, 3, None),
            head: THREE,
        },
        Case {
            name: "gru",
            layers: r#"
                {"type": "gru", "name": "cell", "units": 5, "num_layers": 2},
                {"type": "output", "name": "output"}"#,
            features: sequence(7, 3, None),
            head: THREE,
        },
        Case {
            name: "transformer",
            layers: r#"
                {"type": "dense", "name": "project", "units": 8},
                {"type": "positional_encoding", "kind": "sinusoidal"},
                {"type": "transformer_encoder", "name": "encoder", "num_heads": 2, "feed_forward": 16, "dropout": 0},
                {"type": "layer_norm", "name": "norm"},
                {"type": "global_avg_pool"},
                {"type": "output", "name": "output"}"#,
            features: sequence(7, 3, None),
            head: THREE,
        },
        Case {
            name: "wide_and_deep",
            layers: r#"
                {"type": "input", "name": "level", "features": ["level"]},
                {"type": "embedding", "name": "vectors", "units": 3},
                {"type": "input", "name": "numbers", "features": ["numbers"]},
                {"type": "concat", "name": "all", "input": ["numbers", "vectors"]},
                {"type": "dense", "name": "deep1", "units": 8, "activation": "silu"},
                {"type": "dense", "name": "deep2", "units": 4, "activation": "silu"},
                {"type": "concat", "name": "both", "input": ["numbers", "deep2"]},
                {"type": "output", "name": "output"}"#,
            features: vec![
                ("numbers", InputForm::Numbers(3)),
                ("level", InputForm::Level { vocabulary: 5 }),
            ],
            head: Head::Binary,
        },
    ]
}

impl Case {
    fn network(&self) -> Network {
        let architecture = Architecture::parse(&format!("{{\"layers\": [{}]}}", self.layers))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let features: Vec<InputFeature> = self
            .features
            .iter()
            .map(|&(name, form)| InputFeature {
                name: name.to_owned(),
                form,
            })
            .collect();
        Network::build(&architecture, &features, self.head, None)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn parameters(&self, network: &Network) -> Vec<f32> {
        let mut parameters = vec![0.0; network.parameter_count()];
        for parameter in network.parameters() {
            let values = tensor(&format!("{}:{}", self.name, parameter.name));
            parameters[parameter.range.clone()].copy_from_slice(&values);
        }
        parameters
    }

    fn train(&self, network: &Network, threads: usize) -> Trained {
        let mut rows = Rows {
            x: tensor(&format!("{}/x", self.name)),
            y: tensor(&format!("{}/y", self.name)),
        };
        let options = TrainOptions {
            epochs: 50,
            batch_size: 64,
            learning_rate: 0.003,
            shuffle: false,
            loss: match self.head {
                Head::Binary => LossSpec::BinaryCrossentropy,
                _ => LossSpec::CategoricalCrossentropy,
            },
            threads,
            ..TrainOptions::default()
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let start = self.parameters(network);
        nn::train(network, start, &mut rows, None, &options, &pool, &mut Quiet)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

#[test]
fn fifty_steps_of_every_kind_of_network_follow_pytorch() {
    for case in cases() {
        let network = case.network();
        let trained = case.train(&network, 1);
        let expected = tensor(&format!("{}/losses", case.name));
        for (report, expected) in trained.history.iter().zip(expected) {
            let difference = (report.train_loss - f64::from(expected)).abs();
            assert!(
                difference < 1e-3,
                "{} at step {}: {} instead of {expected}",
                case.name,
                report.epoch,
                report.train_loss
            );
        }
    }
}

#[test]
fn every_kind_of_network_has_the_same_bits_on_any_number_of_threads() {
    for case in cases() {
        let network = case.network();
        let bits = |trained: Trained| -> Vec<u32> {
            trained.parameters.iter().map(|p| p.to_bits()).collect()
        };
        let one = bits(case.train(&network, 1));
        for threads in [2, 3] {
            assert_eq!(one, bits(case.train(&network, threads)), "{}", case.name);
        }
    }
}

#[test]
fn every_kind_of_network_predicts_what_it_computes_in_training() {
    for case in cases() {
        let network = case.network();
        let parameters = case.parameters(&network);
        let x = tensor(&format!("{}/x", case.name));
        let rows = x.len() / network.input_width();
        let mut workspace = network.workspace(rows);
        let logits = network.forward(&parameters, &x, rows, &mut workspace, None);
        let mut expected = logits.to_vec();
        let units = network.output_units();
        network.output_activation().apply(&mut expected, units);
        let predictor = Predictor::new(&network, &parameters).expect("a predictor");
        let mut out = vec![0.0; rows * units];
        predictor.forward(&x, rows, &mut out, &mut predictor.scratch());
        for (found, expected) in out.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{}: {found} instead of {expected}",
                case.name
            );
        }
    }
}
