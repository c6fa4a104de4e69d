//! Networks whose layers couple the rows of a batch: computed in parts, on any number of threads.

use std::time::{Duration, Instant};

use pg_neural::nn::{
    self, Architecture, EpochReport, Head, Initializer, InputFeature, InputForm, LossSpec, Network,
    OptimizerSpec, Random, TrainOptions, Trained, Watcher,
};

use crate::memory_rows::{Quiet, Rows};

const SIDE: usize = 20;
/// Three shards, each of more than one part.
const BATCH: usize = 70;

/// Images, large enough for a shard of them to be cut; the first node couples rows, too.
fn images(members: usize) -> Network {
    let block = |name: &str, input: &str| {
        format!(
            r#"{{"type": "conv2d", "name": "{name}", {input} "filters": 32, "kernel_size": 3, "padding": 1}},
               {{"type": "batch_norm"}},
               {{"type": "activation", "name": "{name}_out", "activation": "relu"}}"#
        )
    };
    let text = format!(
        r#"{{"members": {members}, "layers": [{{"type": "batch_norm", "name": "first"}}, {}, {},
            {{"type": "dropout", "rate": 0.2}}, {},
            {{"type": "conv2d", "name": "d", "input": "a_out", "filters": 32, "kernel_size": 1}},
            {{"type": "batch_norm", "name": "e"}},
            {{"type": "add", "input": ["c_out", "e"]}},
            {{"type": "global_avg_pool"}}]}}"#,
        block("a", ""),
        block("b", ""),
        block("c", "")
    );
    let architecture = Architecture::parse(&text).unwrap();
    let feature = InputFeature {
        name: "pixels".into(),
        form: InputForm::Image {
            channels: 1,
            height: SIDE,
            width: SIDE,
        },
    };
    let head = Head::Regression { outputs: 1 };
    Network::build(&architecture, &[feature], head, None).unwrap()
}

fn rows(count: usize) -> Rows {
    let mut random = Random::new(4, 0);
    let x: Vec<f32> = (0..count * SIDE * SIDE)
        .map(|_| 3.0 + random.normal_f32())
        .collect();
    let y = x.chunks_exact(SIDE * SIDE).map(|x| x[0] - x[9]).collect();
    Rows { x, y }
}

fn options(threads: usize) -> TrainOptions {
    TrainOptions {
        epochs: 1,
        batch_size: BATCH,
        shuffle: false,
        loss: LossSpec::Mse,
        optimizer: OptimizerSpec::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        learning_rate: 0.1,
        threads,
        ..TrainOptions::default()
    }
}

fn train(
    network: &Network,
    rows: &mut Rows,
    options: &TrainOptions,
    watcher: &mut dyn Watcher,
) -> Result<Trained, nn::Error> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .unwrap();
    let start = network.initialise(2, Initializer::Pytorch);
    nn::train(network, start, rows, None, options, &pool, watcher)
}

#[test]
fn parts_have_the_same_bits_on_any_number_of_threads() {
    for members in [1, 2] {
        let network = images(members);
        // The last batch has fewer rows than shards of a whole one.
        let mut rows = rows(2 * BATCH + 2);
        let on = |threads, rows: &mut Rows| {
            let mut options = options(threads);
            options.epochs = 2;
            train(&network, rows, &options, &mut Quiet).expect("trained")
        };
        let one = on(1, &mut rows);
        for threads in [2, 3, 5] {
            let several = on(threads, &mut rows);
            assert!(one.parameters == several.parameters, "{threads} threads");
            assert_eq!(one.history[1].train_loss, several.history[1].train_loss);
        }
    }
}

#[test]
fn a_batch_in_parts_is_the_batch_as_a_whole() {
    let text = r#"{"layers": [{"type": "batch_norm"},
        {"type": "conv2d", "filters": 48, "kernel_size": 3, "padding": 1, "activation": "relu"},
        {"type": "batch_norm", "momentum": 0.3},
        {"type": "conv2d", "filters": 32, "kernel_size": 3, "strides": 2, "activation": "relu"},
        {"type": "conv2d", "filters": 32, "kernel_size": 3, "padding": 1, "use_bias": false},
        {"type": "batch_norm", "center": false},
        {"type": "flatten"}]}"#;
    let feature = InputFeature {
        name: "pixels".into(),
        form: InputForm::Image {
            channels: 1,
            height: SIDE,
            width: SIDE,
        },
    };
    let architecture = Architecture::parse(text).unwrap();
    let head = Head::Regression { outputs: 1 };
    let network = Network::build(&architecture, &[feature], head, None).unwrap();
    let mut rows = rows(BATCH);
    let options = options(2);
    let trained = train(&network, &mut rows, &options, &mut Quiet).expect("trained");

    let parameters = network.initialise(2, Initializer::Pytorch);
    let mut workspace = network.workspace(BATCH);
    let mut random = Random::new(1, 0);
    let random = Some(&mut random);
    let logits = network.forward(&parameters, &rows.x, BATCH, &mut workspace, random);
    let slopes = logits.iter().zip(&rows.y);
    let slopes: Vec<f32> = slopes.map(|(logit, y)| 2.0 * (logit - y)).collect();
    let mut gradients = vec![0.0; parameters.len()];
    let (x, to) = (&rows.x, &mut gradients);
    network.backward(&parameters, x, BATCH, &slopes, to, &mut workspace);
    for parameter in network.parameters() {
        let is_learnt = parameter.kind.is_learnt();
        let own = parameter.range.clone();
        let longest = gradients[own.clone()]
            .iter()
            .fold(0.0_f32, |most, g| most.max(g.abs()));
        for i in own {
            let (expected, scale) = match is_learnt {
                true => {
                    let step = options.learning_rate as f32 / BATCH as f32;
                    (parameters[i] - step * gradients[i], step * longest)
                }
                false => (gradients[i], gradients[i].abs()),
            };
            let found = trained.parameters[i];
            assert!(
                (found - expected).abs() <= 2e-4 * scale + 1e-6,
                "{}: {found} instead of {expected}",
                parameter.name
            );
        }
    }
}

/// Wants to stop once it was asked.
struct Impatient(Option<Instant>);

impl Watcher for Impatient {
    fn interrupted(&mut self) -> bool {
        let begin = *self.0.get_or_insert_with(Instant::now);
        begin.elapsed() > Duration::from_millis(300)
    }

    fn epoch(&mut self, _: &EpochReport) -> Result<(), nn::Error> {
        Ok(())
    }
}

#[test]
fn a_training_in_parts_ends_when_it_is_to() {
    let network = images(1);
    let mut rows = rows(4 * BATCH);
    for threads in [1, 3] {
        let mut options = options(threads);
        options.epochs = 100_000;
        let ended = train(&network, &mut rows, &options, &mut Impatient(None));
        assert_eq!(ended.err(), Some(nn::Error::Interrupted));
    }
}
