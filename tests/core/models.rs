//! Every shipped architecture learns: the 8 × 8 digits, a fifth of them held out.

use std::fs::File;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use pg_neural::models;
use pg_neural::nn::{
    self, Architecture, Head, Initializer, InputFeature, InputForm, LossSpec, Network,
    OptimizerSpec, Predictor, Random, Rank, ScheduleSpec, TrainOptions, Trained,
};

use crate::memory_rows::{Quiet, Rows};

const SIDE: usize = 8;
const CLASSES: usize = 10;

/// Of each digit its pixels, from 0 to 1, line by line, and its class.
static DIGITS: LazyLock<Vec<(Vec<f32>, usize)>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/digits.csv.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("the digits"))
        .read_to_string(&mut text)
        .expect("text");
    let digits = text.lines().skip(1).map(|line| {
        let (before, class) = line.rsplit_once(',').expect("a class");
        let (_, pixels) = before.split_once(',').expect("an id");
        let pixels = pixels
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|number| number.parse::<f32>().ok())
            .map(|dark| dark / 16.0)
            .collect();
        (pixels, class.parse().expect("a class"))
    });
    digits.collect()
});

fn shipped(name: &str) -> Architecture {
    let shipped = models::find(name).expect("a shipped architecture");
    Architecture::from_json(&shipped.architecture()).expect("a valid one")
}

/// How the architecture reads the digits, each pixel repeated so often down and across.
fn form(architecture: &Architecture, zoom: usize) -> InputForm {
    let side = zoom * SIDE;
    match architecture.input_rank("pixels") {
        Rank::Any => InputForm::Numbers(side * side),
        Rank::Sequence => InputForm::Sequence {
            steps: side,
            features: side,
            vocabulary: None,
        },
        Rank::Image => InputForm::Image {
            channels: 1,
            height: side,
            width: side,
        },
    }
}

/// A digit as the network reads it.
fn encoded(pixels: &[f32], zoom: usize, form: InputForm, into: &mut Vec<f32>) {
    let side = zoom * SIDE;
    if matches!(form, InputForm::Sequence { .. }) {
        into.push(side as f32);
    }
    into.extend((0..side * side).map(|at| pixels[at / side / zoom * SIDE + at % side / zoom]));
}

/// Gives each of a step's numbers mean 0 and deviation 1 over all steps of the training rows, as the
/// treatment of sequences does.
fn standardise(trained: &mut [f32], held_out: &mut [f32], side: usize) {
    let width = side * side + 1;
    for feature in 0..side {
        let places = || (0..side).map(move |step| 1 + step * side + feature);
        let values = trained.chunks_exact(width);
        let values: Vec<f32> = values.flat_map(|row| places().map(|at| row[at])).collect();
        let count = values.len() as f32;
        let mean = values.iter().sum::<f32>() / count;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
        for row in trained
            .chunks_exact_mut(width)
            .chain(held_out.chunks_exact_mut(width))
        {
            places().for_each(|at| row[at] = (row[at] - mean) / variance.sqrt().max(1e-6));
        }
    }
}

fn train(network: &Network, rows: &mut Rows, options: &TrainOptions) -> Trained {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("threads");
    let start = network.initialise(options.seed, Initializer::default());
    nn::train(network, start, rows, None, options, &pool, &mut Quiet).expect("a model")
}

/// The share of the 360 held-out digits that the architecture tells after so many epochs.
fn accuracy(name: &str, zoom: usize, epochs: usize, seed: u64) -> f64 {
    let architecture = shipped(name);
    let form = form(&architecture, zoom);
    let feature = InputFeature {
        name: "pixels".into(),
        form,
    };
    let head = Head::Multiclass { classes: CLASSES };
    let network = Network::build(&architecture, &[feature], head, None).expect("a network");
    let (mut trained, mut held_out) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for (number, (pixels, class)) in DIGITS.iter().enumerate() {
        let (x, y) = match number % 5 {
            0 => &mut held_out,
            _ => &mut trained,
        };
        encoded(pixels, zoom, form, x);
        y.push(*class as f32);
    }
    if matches!(form, InputForm::Sequence { .. }) {
        standardise(&mut trained.0, &mut held_out.0, zoom * SIDE);
    }
    let mut rows = Rows {
        x: trained.0,
        y: trained.1,
    };
    // As a training in SQL would have it without options.
    let options = TrainOptions {
        epochs,
        batch_size: 64,
        learning_rate: 0.003,
        optimizer: OptimizerSpec::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        },
        weight_decay: 0.3,
        schedule: ScheduleSpec::Cosine,
        loss: LossSpec::CategoricalCrossentropy,
        seed,
        threads: 2,
        ..TrainOptions::default()
    };
    let parameters = train(&network, &mut rows, &options).parameters;

    let predictor = Predictor::new(&network, &parameters).expect("a predictor");
    let (x, y) = held_out;
    assert_eq!(y.len(), 360);
    let mut out = vec![0.0; y.len() * CLASSES];
    predictor.forward(&x, y.len(), &mut out, &mut predictor.scratch());
    let right = out.chunks_exact(CLASSES).zip(&y).filter(|(row, class)| {
        let best = (0..CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        best == Some(**class as usize)
    });
    right.count() as f64 / y.len() as f64
}

/// Of each architecture how often a pixel is repeated, the epochs and the accuracy that it reaches
/// with some to spare.
const REACHED: &[(&str, usize, usize, f64)] = &[
    ("cnn_32", 1, 80, 0.97),
    ("gru_64", 1, 30, 0.96),
    ("lenet5", 2, 40, 0.97),
    ("linear", 1, 60, 0.91),
    ("logistic", 1, 60, 0.91),
    ("lstm_128", 1, 30, 0.96),
    ("mlp_10_10", 1, 60, 0.90),
    ("mlp_64_64", 1, 60, 0.95),
    ("resnet_small", 1, 10, 0.97),
    ("rnn", 1, 100, 0.80),
    ("tabular", 1, 60, 0.96),
    ("transformer_small", 1, 20, 0.95),
];

fn learns(name: &str) {
    let found = REACHED.iter().find(|(known, ..)| *known == name);
    let (_, zoom, epochs, least) = *found.expect("an expectation");
    let reached = accuracy(name, zoom, epochs, 1);
    assert!(reached >= least, "{name} reaches {reached:.4}");
}

#[test]
fn every_shipped_architecture_is_trained_here() {
    let names: Vec<&str> = models::shipped().iter().map(|s| s.name.as_str()).collect();
    let expected: Vec<&str> = REACHED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, expected);
}

macro_rules! learning {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                learns($name);
            }
        )*
    };
}

learning! {
    a_convolution_tells_digits: "cnn_32",
    a_gru_tells_digits_line_by_line: "gru_64",
    lenet_tells_digits: "lenet5",
    logistic_regression_tells_digits: "logistic",
    an_lstm_tells_digits_line_by_line: "lstm_128",
    twenty_units_tell_digits: "mlp_10_10",
    a_dense_network_tells_digits: "mlp_64_64",
    residual_blocks_tell_digits: "resnet_small",
    ten_recurrent_units_tell_digits: "rnn",
    the_default_for_tables_tells_digits: "tabular",
    attention_tells_digits_line_by_line: "transformer_small",
}

#[test]
fn linear_regression_finds_the_weights() {
    let inputs: Vec<InputFeature> = (0..2)
        .map(|i| InputFeature::column(format!("x{i}"), 1, None))
        .collect();
    let head = Head::Regression { outputs: 1 };
    let network = Network::build(&shipped("linear"), &inputs, head, None).expect("a network");
    let mut random = Random::new(1, 0);
    let x: Vec<f32> = (0..1000).map(|_| random.normal_f32()).collect();
    let y = x
        .chunks_exact(2)
        .map(|row| 3.0 * row[0] - 2.0 * row[1] + 1.0);
    let y = y.collect();
    let options = TrainOptions {
        epochs: 30,
        batch_size: 32,
        learning_rate: 0.03,
        schedule: ScheduleSpec::Cosine,
        ..TrainOptions::default()
    };
    let found = train(&network, &mut Rows { x, y }, &options).parameters;
    for (found, expected) in found.iter().zip([3.0, -2.0, 1.0]) {
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }
}

#[test]
#[ignore = "a report, not a test"]
fn report_of_the_architectures() {
    for &(name, zoom, epochs, least) in REACHED {
        let started = std::time::Instant::now();
        let reached: Vec<String> = (1..=5)
            .map(|seed| format!("{:.4}", accuracy(name, zoom, epochs, seed)))
            .collect();
        let seconds = started.elapsed().as_secs_f64() / 5.0;
        println!(
            "{name}: {} for {least}, {seconds:.2} s each",
            reached.join(" ")
        );
    }
}
