//! Passes over long rows and wide layers look whether to go on, and end soon when they are not to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pg_neural::nn::{
    Architecture, Head, Initializer, InputFeature, InputForm, Network, Predictor, Random, Stop,
};

/// Counts looks; from the one with this number on it is set.
#[derive(Clone, Debug)]
struct Counted {
    looks: Arc<AtomicUsize>,
    last: usize,
}

impl Counted {
    fn new(last: usize) -> Self {
        Self {
            looks: Arc::default(),
            last,
        }
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

impl Stop for Counted {
    fn is_set(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed) + 1 >= self.last
    }
}

fn sequence(layers: &str, steps: usize, features: usize) -> Network {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}")).unwrap();
    let inputs = [InputFeature {
        name: "s".to_owned(),
        form: InputForm::Sequence {
            steps,
            features,
            vocabulary: None,
        },
    }];
    Network::build(
        &architecture,
        &inputs,
        Head::Regression { outputs: 1 },
        None,
    )
    .unwrap()
}

/// A network ready for a row, one of all its steps.
struct Case {
    network: Network,
    parameters: Vec<f32>,
    x: Vec<f32>,
}

impl Case {
    fn new(layers: &str, steps: usize, features: usize) -> Self {
        let network = sequence(layers, steps, features);
        let parameters = network.initialise(1, Initializer::Pytorch);
        let mut random = Random::new(2, 0);
        let mut x: Vec<f32> = (0..network.input_width())
            .map(|_| random.normal_f32())
            .collect();
        x[0] = steps as f32;
        Self {
            network,
            parameters,
            x,
        }
    }

    /// Looks of a prediction, and whether it came to a result.
    fn predict(&self, last: usize) -> (usize, bool) {
        let stop = Counted::new(last);
        let predictor = Predictor::new(&self.network, &self.parameters).unwrap();
        let mut out = [f32::INFINITY];
        predictor.forward_until(&stop, &self.x, 1, &mut out, &mut predictor.scratch());
        (stop.looks(), out[0].is_finite())
    }

    /// Looks of a training step's two passes, at those between nodes, too.
    fn train(&self, last: [usize; 2]) -> [usize; 2] {
        let mut workspace = self.network.workspace(1);
        let mut random = Random::new(3, 0);
        let stops = last.map(Counted::new);
        workspace.stop_with(stops[0].clone());
        let (parameters, x) = (&self.parameters, &self.x);
        self.network
            .forward(parameters, x, 1, &mut workspace, Some(&mut random));
        workspace.stop_with(stops[1].clone());
        let mut gradients = vec![0.0; parameters.len()];
        self.network
            .backward(parameters, x, 1, &[1.0], &mut gradients, &mut workspace);
        [stops[0].looks(), stops[1].looks()]
    }
}

const NEVER: usize = usize::MAX;

/// Looks grow with the steps, and the first that says so ends a pass.
fn check(layers: &str, short: usize, features: usize) {
    let (one, four) = (
        Case::new(layers, short, features),
        Case::new(layers, 4 * short, features),
    );
    let nodes = one.network.nodes().len();
    let (few, done) = one.predict(NEVER);
    let (many, _) = four.predict(NEVER);
    assert!(
        done && few > 0 && many >= 2 * few,
        "{layers}: {few}, {many}"
    );
    assert_eq!(four.predict(2), (2, false), "{layers}");
    let (few, many) = (one.train([NEVER; 2]), four.train([NEVER; 2]));
    for pass in 0..2 {
        let [few, many] = [few[pass], many[pass]].map(|looks| looks.saturating_sub(nodes));
        assert!(few > 0 && many > few, "{layers}, {pass}: {few}, {many}");
    }
    let stopped = four.train([nodes + 1, nodes + 1]);
    assert_eq!(stopped, [nodes + 1; 2], "{layers}");
}

const POOL: &str = r#"{"type": "global_avg_pool"}"#;

#[test]
fn attention_looks_within_a_row() {
    let layer = r#"{"type": "multi_head_attention", "num_heads": 2}"#;
    check(&format!("{layer}, {POOL}"), 1000, 8);
}

#[test]
fn a_transformer_looks_within_a_row() {
    let layer = r#"{"type": "transformer_encoder", "num_heads": 2, "feed_forward": 2048}"#;
    check(&format!("{layer}, {POOL}"), 600, 64);
}

#[test]
fn recurrent_layers_look_within_a_row() {
    for kind in ["rnn", "lstm", "gru"] {
        let layer = format!(r#"{{"type": "{kind}", "units": 128, "bidirectional": true}}"#);
        check(&layer, 1000, 32);
    }
}

#[test]
fn dense_layers_and_convolutions_look_within_a_row() {
    let dense = r#"{"type": "dense", "units": 512, "activation": "gelu"}"#;
    check(&format!("{dense}, {POOL}"), 12_000, 64);
    let dense = r#"{"type": "dense", "units": 128, "activation": "relu"}"#;
    check(&format!("{dense}, {POOL}"), 8000, 64);
    let convolution = r#"{"type": "conv1d", "filters": 512, "kernel_size": 3}"#;
    check(&format!("{convolution}, {POOL}"), 3000, 64);
}

#[test]
fn images_are_looked_into() {
    let layers = r#"{"type": "conv2d", "filters": 32, "kernel_size": 5}, {"type": "flatten"}"#;
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}")).unwrap();
    let size = 512;
    let inputs = [InputFeature {
        name: "i".to_owned(),
        form: InputForm::Image {
            channels: 3,
            height: size,
            width: size,
        },
    }];
    let network = Network::build(
        &architecture,
        &inputs,
        Head::Regression { outputs: 1 },
        None,
    )
    .unwrap();
    let parameters = network.initialise(1, Initializer::Pytorch);
    let case = Case {
        x: vec![0.5; network.input_width()],
        network,
        parameters,
    };
    let nodes = case.network.nodes().len();
    assert!(case.predict(NEVER).0 > 10);
    assert_eq!(case.predict(2), (2, false));
    assert!(
        case.train([NEVER; 2])
            .iter()
            .all(|looks| *looks > nodes + 10)
    );
}

/// A look that unwinds, as a host's may, leaves buffers that are good for the next row.
#[test]
fn a_look_that_unwinds_leaves_the_scratch_good() {
    #[derive(Debug)]
    struct Unwinds;
    impl Stop for Unwinds {
        fn is_set(&self) -> bool {
            std::panic::resume_unwind(Box::new("ended"));
        }
    }
    let layers = format!(
        r#"{{"type": "dense", "units": 16}}, {{"type": "multi_head_attention", "num_heads": 2}}, {POOL}"#
    );
    let case = Case::new(&layers, 2000, 8);
    let predictor = Predictor::new(&case.network, &case.parameters).unwrap();
    let mut scratch = predictor.scratch();
    let mut expected = [0.0];
    predictor.forward(&case.x, 1, &mut expected, &mut scratch);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        predictor.forward_until(&Unwinds, &case.x, 1, &mut [0.0], &mut scratch);
    }));
    assert!(unwound.is_err());
    let mut out = [0.0];
    predictor.forward(&case.x, 1, &mut out, &mut scratch);
    assert_eq!(out, expected);
}
