//! A predictor over weights that were packed before gives the bits of the one that packed them.

use std::sync::Arc;

use pg_neural::models;
use pg_neural::nn::{
    Architecture, Error, Head, Initializer, InputFeature, InputForm, Network, Never, Predictor,
    Random, Rank, SharedWeights,
};
use serde_json::{Value, json};

const ROWS: usize = 7;

/// Bytes that begin with a cache line.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.start..][..self.length]
    }
}

pub fn shared(bytes: &[u8]) -> SharedWeights {
    let mut memory = vec![0; bytes.len() + 64];
    let start = memory.as_ptr().align_offset(64);
    memory[start..][..bytes.len()].copy_from_slice(bytes);
    SharedWeights::new(Arc::new(Aligned {
        memory,
        start,
        length: bytes.len(),
    }))
}

fn network(architecture: &Value) -> Network {
    let architecture = Architecture::from_json(architecture).expect("an architecture");
    let form = match architecture.input_rank("x") {
        Rank::Any => InputForm::Numbers(100),
        Rank::Sequence => InputForm::Sequence {
            steps: 10,
            features: 10,
            vocabulary: None,
        },
        Rank::Image => InputForm::Image {
            channels: 1,
            height: 28,
            width: 28,
        },
    };
    let feature = InputFeature {
        name: "x".into(),
        form,
    };
    let head = Head::Multiclass { classes: 3 };
    Network::build(&architecture, &[feature], head, None).expect("a network")
}

fn outputs(network: &Network, predictor: &Predictor) -> Vec<u32> {
    let mut random = Random::new(5, 1);
    let x: Vec<f32> = (0..ROWS * network.input_width())
        .map(|_| random.normal_f32().abs())
        .collect();
    let mut out = vec![0.0; ROWS * network.output_units()];
    predictor.forward(&x, ROWS, &mut out, &mut predictor.scratch());
    out.iter().map(|value| value.to_bits()).collect()
}

fn check(name: &str, architecture: &Value) {
    let network = network(architecture);
    let mut parameters = network.initialise(3, Initializer::default());
    let mut random = Random::new(4, 0);
    // Variances among them stay positive.
    for value in &mut parameters {
        *value += 0.1 * random.normal_f32().abs();
    }
    let mut bytes = Vec::new();
    let mut keep = |piece: &[u8]| bytes.extend_from_slice(piece);
    let own = Predictor::keeping(&network, &parameters, &mut keep, &Never).expect("a predictor");
    assert_eq!(own.shared_bytes(), 0, "{name}");
    let from_shared = Predictor::shared(&network, shared(&bytes)).expect("a predictor");
    assert_eq!(from_shared.shared_bytes(), bytes.len(), "{name}");
    assert!(
        from_shared.size_bytes() + bytes.len() / 2 < own.size_bytes() + 4096,
        "{name}: {} bytes beside {} shared ones",
        from_shared.size_bytes(),
        bytes.len()
    );
    assert_eq!(
        outputs(&network, &from_shared),
        outputs(&network, &own),
        "{name}"
    );
    for other in [&bytes[64..], &[&bytes[..], &[0; 64]].concat(), &[]] {
        let found = Predictor::shared(&network, shared(other)).map(|_| ());
        let expected = bytes.len() / 64;
        let given = other.len() / 64;
        // A network without weights needs none.
        let wanted = match expected == given {
            true => Ok(()),
            false => Err(Error::PackedWeights { expected, given }),
        };
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn shipped_architectures_predict_the_same_from_shared_weights() {
    for model in models::shipped() {
        check(&model.name, &model.architecture());
    }
}

#[test]
fn every_layer_type_predicts_the_same_from_shared_weights() {
    for (name, layers) in [
        (
            "select_step",
            json!([
                {"type": "lstm", "units": 5, "bidirectional": true, "num_layers": 2, "return_sequences": true},
                {"type": "layer_norm"},
                {"type": "select_step", "index": -1}
            ]),
        ),
        ("gru", json!([{"type": "gru", "units": 7, "num_layers": 2}])),
        (
            "rnn",
            json!([{"type": "rnn", "units": 7, "activation": "relu"}]),
        ),
        (
            "transformer_encoder",
            json!([
                {"type": "positional_encoding"},
                {"type": "transformer_encoder", "num_heads": 2, "feed_forward": 12},
                {"type": "transformer_encoder", "num_heads": 5, "feed_forward": 9, "norm_first": true},
                {"type": "multi_head_attention", "num_heads": 2},
                {"type": "global_avg_pool"}
            ]),
        ),
        (
            "learned positions",
            json!([
                {"type": "positional_encoding", "kind": "learned"},
                {"type": "dense", "units": 6},
                {"type": "flatten"}
            ]),
        ),
        (
            "conv1d",
            json!([
                {"type": "conv1d", "filters": 6, "kernel_size": 3, "groups": 2, "padding": "same"},
                {"type": "group_norm", "groups": 3},
                {"type": "conv1d", "filters": 4, "kernel_size": 2, "groups": 2, "activation": "softmax"},
                {"type": "batch_norm"},
                {"type": "avg_pool1d", "pool_size": 2},
                {"type": "flatten"}
            ]),
        ),
        (
            "conv2d",
            json!([
                {"type": "conv2d", "filters": 6, "kernel_size": 3, "activation": "relu"},
                {"type": "batch_norm"},
                {"type": "conv2d", "filters": 4, "kernel_size": 3, "groups": 2, "use_bias": false},
                {"type": "group_norm", "groups": 2},
                {"type": "max_pool2d", "pool_size": 2},
                {"type": "flatten"}
            ]),
        ),
        (
            "joined",
            json!([
                {"type": "dense", "name": "a", "units": 17, "activation": "relu"},
                {"type": "dense", "name": "b", "units": 17, "input": "a"},
                {"type": "add", "name": "c", "input": ["a", "b"]},
                {"type": "multiply", "name": "d", "input": ["a", "c"]},
                {"type": "concat", "input": ["c", "d"]}
            ]),
        ),
    ] {
        check(name, &json!({ "layers": layers }));
    }
}

#[test]
fn tables_of_levels_are_shared() {
    let architecture = json!({"layers": [
        {"type": "input", "name": "in", "features": ["level"]},
        {"type": "embedding", "units": 8},
        {"type": "flatten"}
    ]});
    let architecture = Architecture::from_json(&architecture).expect("an architecture");
    let feature = InputFeature {
        name: "level".into(),
        form: InputForm::Level { vocabulary: 500 },
    };
    let head = Head::Regression { outputs: 1 };
    let network = Network::build(&architecture, &[feature], head, None).expect("a network");
    let parameters = network.initialise(3, Initializer::default());
    let mut bytes = Vec::new();
    let mut keep = |piece: &[u8]| bytes.extend_from_slice(piece);
    let own = Predictor::keeping(&network, &parameters, &mut keep, &Never).expect("a predictor");
    let from_shared = Predictor::shared(&network, shared(&bytes)).expect("a predictor");
    assert!(from_shared.size_bytes() < 4096);
    for level in [0.0, 3.0, 499.0] {
        let [mut a, mut b] = [[0.0], [0.0]];
        own.forward(&[level], 1, &mut a, &mut own.scratch());
        from_shared.forward(&[level], 1, &mut b, &mut from_shared.scratch());
        assert_eq!(a[0].to_bits(), b[0].to_bits());
    }
}
