//! Training: against PyTorch, over thread counts and memory limits, and when it has to stop.

use std::time::{Duration, Instant};

use pg_neural::nn::{
    self, Architecture, EpochReport, Head, Initializer, InputFeature, Loaded, LossSpec, Network,
    OptimizerSpec, Random, RowSource, ScheduleSpec, TrainOptions, Trained, Watcher,
};
use rayon::ThreadPool;
use safetensors::SafeTensors;

use crate::memory_rows::Quiet;

/// Rows in memory that are handed out at most `capacity` at a time, as copies if there is such
/// a limit.
#[derive(Clone)]
struct Rows {
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Option<Vec<f32>>,
    capacity: usize,
    copied: (Vec<f32>, Vec<f32>, Vec<u32>),
}

impl Rows {
    fn new(x: Vec<f32>, y: Vec<f32>) -> Rows {
        Rows {
            x,
            y,
            weight: None,
            capacity: usize::MAX,
            copied: Default::default(),
        }
    }

    /// Rows of five columns whose class follows from three of them.
    fn random(count: usize, seed: u64) -> Rows {
        let mut random = Random::new(seed, 0);
        let x: Vec<f32> = (0..5 * count).map(|_| random.normal_f32()).collect();
        let class = |row: &[f32]| f32::from(u8::from(row[0] * row[1] + row[2] > 0.0));
        let y = x.chunks_exact(5).map(class).collect();
        Rows::new(x, y)
    }
}

impl RowSource for Rows {
    fn rows(&self) -> usize {
        self.y.len()
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        if self.capacity == usize::MAX {
            let weight = self.weight.as_deref();
            return Ok(Loaded {
                x: &self.x,
                y: &self.y,
                weight,
                fold: None,
                index: rows,
            });
        }
        assert!(rows.len() <= self.capacity);
        let (x, y, index) = &mut self.copied;
        x.clear();
        y.clear();
        index.clear();
        // Backwards, as a source may hold them in an order of its own.
        for &row in rows.iter().rev() {
            let row = row as usize;
            x.extend_from_slice(&self.x[5 * row..5 * row + 5]);
            y.push(self.y[row]);
        }
        index.extend((0..rows.len() as u32).rev());
        Ok(Loaded {
            x,
            y,
            weight: None,
            fold: None,
            index,
        })
    }
}

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool")
}

fn network(layers: &str, head: Head) -> Network {
    let architecture = Architecture::parse(&format!("{{\"layers\": [{layers}]}}"));
    let inputs: Vec<InputFeature> = (0..5)
        .map(|i| InputFeature::column(format!("x{i}"), 1, None))
        .collect();
    Network::build(&architecture.expect("an architecture"), &inputs, head, None).expect("built")
}

fn classifier() -> Network {
    network(
        r#"{"type": "dense", "units": 24, "activation": "relu"},
           {"type": "dropout", "rate": 0.2},
           {"type": "dense", "units": 16, "activation": "tanh"}"#,
        Head::Binary,
    )
}

fn options() -> TrainOptions {
    TrainOptions {
        epochs: 3,
        loss: LossSpec::BinaryCrossentropy,
        learning_rate: 0.01,
        seed: 11,
        ..TrainOptions::default()
    }
}

fn train(
    network: &Network,
    rows: &mut Rows,
    validation: Option<&mut Rows>,
    options: &TrainOptions,
) -> Result<Trained, nn::Error> {
    let start = network.initialise(options.seed, Initializer::default());
    let validation = validation.map(|rows| rows as &mut dyn RowSource);
    let pool = pool(options.threads);
    nn::train(network, start, rows, validation, options, &pool, &mut Quiet)
}

fn bits(parameters: &[f32]) -> Vec<u32> {
    parameters
        .iter()
        .map(|parameter| parameter.to_bits())
        .collect()
}

fn losses(trained: &Trained) -> Vec<(u64, Option<u64>)> {
    let bits = |report: &EpochReport| {
        (
            report.train_loss.to_bits(),
            report.validation_loss.map(f64::to_bits),
        )
    };
    trained.history.iter().map(bits).collect()
}

#[test]
fn fifty_steps_follow_pytorch() {
    // fixtures/make_trainer_fixtures.py made the numbers.
    let file = SafeTensors::deserialize(include_bytes!("fixtures/trainer.safetensors"))
        .expect("a safetensors file");
    let tensor = |name: &str| -> Vec<f32> {
        let data = file.tensor(name).expect("the tensor").data();
        data.as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    };
    let layers = r#"{"type": "dense", "units": 16, "activation": "relu"},
                    {"type": "dense", "units": 8, "activation": "tanh"}"#;
    let shared = TrainOptions {
        batch_size: 16,
        shuffle: false,
        ..TrainOptions::default()
    };
    let cases = [
        (
            "binary",
            Head::Binary,
            TrainOptions {
                loss: LossSpec::BinaryCrossentropy,
                optimizer: OptimizerSpec::AdamW {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                learning_rate: 0.02,
                weight_decay: 0.05,
                decay_biases: true,
                schedule: ScheduleSpec::Cosine,
                gradient_clip: Some(0.3),
                ..shared.clone()
            },
        ),
        (
            "regression",
            Head::Regression { outputs: 1 },
            TrainOptions {
                loss: LossSpec::Mse,
                optimizer: OptimizerSpec::Sgd {
                    momentum: 0.9,
                    nesterov: true,
                },
                learning_rate: 0.05,
                schedule: ScheduleSpec::OneCycle,
                ..shared
            },
        ),
    ];
    for (name, head, options) in cases {
        let mut rows = Rows::new(tensor("x"), tensor("y"));
        rows.weight = (name == "regression").then(|| tensor("weight"));
        let start = tensor(&format!("{name}.start"));
        let network = network(layers, head);
        let trained = nn::train(
            &network,
            start,
            &mut rows,
            None,
            &options,
            &pool(1),
            &mut Quiet,
        )
        .expect("trained");
        for (report, expected) in trained
            .history
            .iter()
            .zip(tensor(&format!("{name}.losses")))
        {
            let error = (report.train_loss - f64::from(expected)).abs();
            assert!(
                error <= 1e-3 * f64::from(expected),
                "{name} {report:?} {expected}"
            );
        }
        assert_eq!(trained.history.len(), 10);
        for (found, expected) in trained
            .parameters
            .iter()
            .zip(tensor(&format!("{name}.end")))
        {
            assert!(
                (found - expected).abs() <= 1e-3 * expected.abs().max(0.1),
                "{name}"
            );
        }
    }
}

#[test]
fn the_number_of_threads_never_changes_a_bit() {
    let network = classifier();
    for (batch_size, clip) in [(256, Some(0.1)), (100, None), (700, None)] {
        let one = TrainOptions {
            batch_size,
            gradient_clip: clip,
            keep_optimizer_state: true,
            ..options()
        };
        let (mut rows, mut held_out) = (Rows::random(3001, 1), Rows::random(901, 2));
        let expected = train(&network, &mut rows, Some(&mut held_out), &one).expect("trained");
        for threads in [2, 3, 8] {
            let many = TrainOptions {
                threads,
                ..one.clone()
            };
            let found = train(&network, &mut rows, Some(&mut held_out), &many).expect("trained");
            assert_eq!(
                bits(&expected.parameters),
                bits(&found.parameters),
                "{threads} threads"
            );
            assert_eq!(losses(&expected), losses(&found), "{threads} threads");
            assert_eq!(
                expected.optimizer_state, found.optimizer_state,
                "{threads} threads"
            );
        }
    }
}

#[test]
fn the_rows_that_fit_in_memory_never_change_a_bit() {
    let network = classifier();
    let (mut rows, mut held_out) = (Rows::random(2500, 1), Rows::random(901, 2));
    let options = TrainOptions {
        batch_size: 64,
        threads: 2,
        ..options()
    };
    let expected = train(&network, &mut rows, Some(&mut held_out), &options).expect("trained");
    for capacity in [128, 200, 1999] {
        rows.capacity = capacity;
        held_out.capacity = capacity;
        let found = train(&network, &mut rows, Some(&mut held_out), &options).expect("trained");
        assert_eq!(
            bits(&expected.parameters),
            bits(&found.parameters),
            "{capacity} rows"
        );
        assert_eq!(losses(&expected), losses(&found), "{capacity} rows");
    }
    rows.capacity = 63;
    assert!(matches!(
        train(&network, &mut rows, None, &options),
        Err(nn::Error::Misused { .. })
    ));
}

#[test]
fn early_stopping_restores_the_best_weights() {
    let network = classifier();
    // Few rows and no end of epochs: the network learns them by heart.
    let (mut rows, mut held_out) = (Rows::random(60, 1), Rows::random(300, 2));
    let options = TrainOptions {
        epochs: 500,
        early_stopping: 7,
        restore_best: true,
        batch_size: 20,
        ..options()
    };
    let trained = train(&network, &mut rows, Some(&mut held_out), &options).expect("trained");
    let losses: Vec<f64> = trained
        .history
        .iter()
        .filter_map(|e| e.validation_loss)
        .collect();
    assert!(losses.len() < 500);
    assert_eq!(losses.len(), trained.best_epoch + 7);
    let best = losses[trained.best_epoch - 1];
    assert!(losses.iter().all(|&loss| loss >= best));
    // The best weights are those of a training that ended there.
    let shorter = TrainOptions {
        epochs: trained.best_epoch,
        early_stopping: 0,
        restore_best: false,
        ..options.clone()
    };
    let again = train(&network, &mut rows, Some(&mut held_out), &shorter).expect("trained");
    assert_eq!(bits(&trained.parameters), bits(&again.parameters));
    assert!(matches!(
        train(&network, &mut rows, None, &options),
        Err(nn::Error::Option { .. })
    ));
}

#[test]
fn a_kept_optimizer_state_goes_on_where_training_ended() {
    let network = network(
        r#"{"type": "dense", "units": 8, "activation": "relu"}"#,
        Head::Binary,
    );
    let mut rows = Rows::random(500, 1);
    let whole = TrainOptions {
        epochs: 2,
        shuffle: false,
        keep_optimizer_state: true,
        ..options()
    };
    let expected = train(&network, &mut rows, None, &whole).expect("trained");
    let half = TrainOptions { epochs: 1, ..whole };
    let first = train(&network, &mut rows, None, &half).expect("trained");
    let second = TrainOptions {
        optimizer_state: first.optimizer_state,
        ..half.clone()
    };
    let found = nn::train(
        &network,
        first.parameters,
        &mut rows,
        None,
        &second,
        &pool(1),
        &mut Quiet,
    )
    .expect("trained");
    assert_eq!(bits(&expected.parameters), bits(&found.parameters));
    let other = TrainOptions {
        optimizer: OptimizerSpec::Adagrad { epsilon: 1e-10 },
        ..second
    };
    assert!(matches!(
        train(&network, &mut rows, None, &other),
        Err(nn::Error::Option { .. })
    ));
}

#[test]
fn a_frozen_layer_stays_as_it_is() {
    let network = network(
        r#"{"type": "dense", "units": 8, "activation": "relu", "trainable": false}"#,
        Head::Binary,
    );
    let options = TrainOptions {
        weight_decay: 0.5,
        l2: 0.1,
        threads: 2,
        ..options()
    };
    let start = network.initialise(options.seed, Initializer::default());
    let trained = train(&network, &mut Rows::random(500, 1), None, &options).expect("trained");
    assert_eq!(start[..48], trained.parameters[..48]);
    assert_ne!(start[48..], trained.parameters[48..]);
}

#[test]
fn penalties_and_decay_make_weights_smaller_but_not_biases() {
    let network = network(
        r#"{"type": "dense", "units": 8, "activation": "relu"}"#,
        Head::Binary,
    );
    let mut rows = Rows::random(500, 1);
    let size = |options: &TrainOptions| {
        let trained = train(&network, &mut rows.clone(), None, options).expect("trained");
        trained.parameters[..40]
            .iter()
            .map(|weight| weight.abs())
            .sum::<f32>()
    };
    let plain = size(&options());
    assert!(
        size(&TrainOptions {
            l1: 0.1,
            ..options()
        }) < plain
    );
    assert!(
        size(&TrainOptions {
            l2: 0.1,
            ..options()
        }) < plain
    );
    assert!(
        size(&TrainOptions {
            weight_decay: 1.0,
            ..options()
        }) < plain
    );
    // With rows that weigh nothing only decay could act, and there is no step to act in.
    rows.weight = Some(vec![0.0; 500]);
    let options = TrainOptions {
        weight_decay: 1.0,
        ..options()
    };
    let trained = train(&network, &mut rows, None, &options).expect("trained");
    let start = network.initialise(options.seed, Initializer::default());
    assert_eq!(bits(&start), bits(&trained.parameters));
}

#[test]
fn a_loss_that_is_no_number_ends_training_on_any_number_of_threads() {
    let network = network(
        r#"{"type": "dense", "units": 8}"#,
        Head::Regression { outputs: 1 },
    );
    for threads in [1, 2, 4] {
        let options = TrainOptions {
            loss: LossSpec::Mse,
            optimizer: OptimizerSpec::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
            learning_rate: 1e6,
            epochs: 50,
            threads,
            ..options()
        };
        let ended = train(&network, &mut Rows::random(2000, 1), None, &options);
        assert!(
            matches!(ended, Err(nn::Error::NotFinite { epoch: 1.. })),
            "{ended:?}"
        );
    }
}

/// Interrupts after a while.
struct Impatient(Instant);

impl Watcher for Impatient {
    fn interrupted(&mut self) -> bool {
        self.0.elapsed() > Duration::from_millis(20)
    }

    fn epoch(&mut self, _: &EpochReport) -> Result<(), nn::Error> {
        Ok(())
    }
}

#[test]
fn an_interrupt_ends_training_soon() {
    let network = network(r#"{"type": "dense", "units": 256}"#, Head::Binary);
    let mut rows = Rows::random(200_000, 1);
    for threads in [1, 2, 8] {
        let options = TrainOptions {
            epochs: 1_000_000,
            threads,
            ..options()
        };
        let start = network.initialise(1, Initializer::default());
        let (began, pool) = (Instant::now(), pool(threads));
        let mut watcher = Impatient(began);
        let ended = nn::train(
            &network,
            start,
            &mut rows,
            None,
            &options,
            &pool,
            &mut watcher,
        );
        assert_eq!(ended.map(|_| ()), Err(nn::Error::Interrupted));
        // Far beyond the few milliseconds it takes, for machines that are busy.
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn an_error_of_the_watcher_or_the_source_ends_training() {
    struct Full;
    impl Watcher for Full {
        fn interrupted(&mut self) -> bool {
            false
        }
        fn epoch(&mut self, report: &EpochReport) -> Result<(), nn::Error> {
            let message = format!("no place for epoch {}", report.epoch);
            Err(nn::RowsError::new(std::io::Error::other(message)).into())
        }
    }
    let network = classifier();
    let start = network.initialise(1, Initializer::default());
    let mut rows = Rows::random(100, 1);
    let ended = nn::train(
        &network,
        start,
        &mut rows,
        None,
        &options(),
        &pool(1),
        &mut Full,
    );
    assert_eq!(
        ended.as_ref().expect_err("an error").to_string(),
        "no place for epoch 1"
    );
    // Whoever called can still tell what it was.
    let source = match &ended {
        Err(nn::Error::Rows(error)) => error.downcast_ref::<std::io::Error>(),
        _ => None,
    };
    assert!(source.is_some(), "{ended:?}");
    rows.y.clear();
    assert!(matches!(
        train(&network, &mut rows, None, &options()),
        Err(nn::Error::RowCount { rows: 0 })
    ));
}

#[test]
fn options_out_of_range_are_named() {
    let network = classifier();
    let wrong = [
        (
            "epochs",
            TrainOptions {
                epochs: 0,
                ..options()
            },
        ),
        (
            "batch_size",
            TrainOptions {
                batch_size: 0,
                ..options()
            },
        ),
        (
            "learning_rate",
            TrainOptions {
                learning_rate: f64::NAN,
                ..options()
            },
        ),
        (
            "l2",
            TrainOptions {
                l2: -1.0,
                ..options()
            },
        ),
        (
            "gradient_clip",
            TrainOptions {
                gradient_clip: Some(0.0),
                ..options()
            },
        ),
        (
            "momentum",
            TrainOptions {
                optimizer: OptimizerSpec::Sgd {
                    momentum: 1.0,
                    nesterov: false,
                },
                ..options()
            },
        ),
        (
            "gamma",
            TrainOptions {
                schedule: ScheduleSpec::Exponential { gamma: 2.0 },
                ..options()
            },
        ),
    ];
    for (name, options) in wrong {
        let error = options.check(&network).expect_err(name);
        assert!(error.to_string().starts_with(name), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn training_inside_its_own_pool_is_an_error_or_works() {
    let network = classifier();
    for threads in [1, 2] {
        let pool = pool(threads);
        let ended = pool.install(|| {
            let start = network.initialise(1, Initializer::default());
            let mut rows = Rows::random(300, 1);
            let options = TrainOptions {
                threads,
                ..options()
            };
            nn::train(
                &network, start, &mut rows, None, &options, &pool, &mut Quiet,
            )
        });
        assert_eq!(ended.is_ok(), threads > 1);
    }
}
