//! Trainings on sequences of rows: what an example is, what is fitted to which rows, and that bits
//! depend on neither memory nor threads.

use pg_neural::artifact::Model;
use pg_neural::features::{
    self, BitMask, Block, DEFAULT_STEPS, Dictionary, Fitted, MISSING, MemoryRows, Numeric, Origin,
    RawRows, SequenceRows, Sequences, Split, Target, Values,
};
use pg_neural::nn::{self, Crew, Predictor, Random};
use pg_neural::training::{Arguments, Error, Given, Job, Options, Outcome, Plan, run};
use serde_json::{Value, json};

use crate::counted_rows::Counted;
use crate::training::Log;

const NETWORK: &str = r#"{"layers": [{"type": "gru", "units": 8}, {"type": "output"}]}"#;

/// A customer's months, oldest first.
struct Customer {
    usage: Vec<f64>,
    plan: Vec<Option<&'static str>>,
    weight: f64,
    held_out: bool,
    leaves: bool,
}

/// Customers with 1 to 12 months. Those who leave are those whose usage falls in the end, so that
/// the order of the months tells, and not their values.
fn customers(count: usize) -> Vec<Customer> {
    let mut random = Random::new(11, 0);
    let customer = |at: usize| {
        let months = 1 + random.below(12) as usize;
        let leaves = random.below(3) == 0;
        let usage = (0..months).map(|month| {
            let falls = leaves && month + 1 == months;
            let level = if falls {
                -30.0
            } else {
                20.0 * ((month + at) % 2) as f64
            };
            level + f64::from(random.normal_f32())
        });
        Customer {
            usage: usage.collect(),
            plan: vec![[Some("pro"), Some("plus"), None][at % 3]; months],
            weight: 1.0 + (at % 2) as f64,
            held_out: at.is_multiple_of(5),
            leaves,
        }
    };
    (0..count).map(customer).collect()
}

struct Training<'a> {
    architecture: Option<&'a str>,
    features: Option<Value>,
    arguments: Arguments,
    options: Value,
    previous: Option<&'a Model>,
    memory: usize,
    threads: usize,
    log: Log,
    reads: usize,
}

impl<'a> Training<'a> {
    fn new() -> Training<'a> {
        Training {
            architecture: Some(NETWORK),
            features: None,
            arguments: Arguments {
                epochs: Some(3),
                batch_size: Some(32),
                seed: 3,
                ..Arguments::default()
            },
            options: json!({}),
            previous: None,
            memory: 64 << 20,
            threads: 1,
            log: Log::default(),
            reads: 0,
        }
    }

    fn options(mut self, options: Value) -> Training<'a> {
        self.options = options;
        self
    }

    fn plan(&self) -> Result<(Plan, Options), Error> {
        let column = |name: &str, sql_type: &str, origin| Given {
            name: name.into(),
            sql_type: sql_type.into(),
            origin: Some(origin),
            element: None,
        };
        let mut options = json!({"sequence_by": "customer", "order_by": "month"});
        if let (Value::Object(options), Value::Object(more)) = (&mut options, &self.options) {
            options.extend(more.clone());
        }
        let options = Options::parse(&options)?;
        let plan = Plan::new(
            &[
                column("customer", "integer", Origin::Integer),
                column("month", "date", Origin::Date),
                column("usage", "double precision", Origin::Float),
                column("plan", "text", Origin::Text),
                column("weight", "double precision", Origin::Float),
                column("held_out", "boolean", Origin::Boolean),
                column("leaves", "boolean", Origin::Boolean),
            ],
            "leaves",
            self.features.as_ref(),
            None,
            &options,
            self.previous.map(|model| &model.features),
        )?;
        Ok((plan, options))
    }

    fn run(&mut self, customers: &[Customer]) -> Result<Outcome, Error> {
        let (plan, options) = self.plan()?;
        let mut block = Block::new(plan.reads.iter().map(|read| read.kind));
        let dictionaries = plan.reads.iter().map(|read| read.dictionary.clone());
        let mut dictionaries: Vec<Option<Dictionary>> = dictionaries.collect();
        let mut sequences = Sequences::new();
        for (number, customer) in customers.iter().enumerate() {
            for month in 0..customer.usage.len() {
                sequences.push(month == 0);
                for (at, read) in plan.reads.iter().enumerate() {
                    match (&mut block.columns[at], &mut dictionaries[at]) {
                        (Values::Category(codes), Some(words)) => {
                            let plan = customer.plan[month];
                            codes.push(plan.map_or(MISSING, |plan| words.intern(plan)));
                        }
                        (Values::Number(numbers), _) => numbers.push(match read.place {
                            1 => (100 * number % 7919 + month) as f64,
                            2 => customer.usage[month],
                            4 => customer.weight,
                            5 => f64::from(u8::from(customer.held_out)),
                            _ => f64::from(u8::from(customer.leaves)),
                        }),
                        _ => panic!("column {at} is read as what it is not"),
                    }
                }
                block.rows += 1;
            }
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .unwrap();
        let job = Job {
            task: None,
            architecture: self.architecture,
            arguments: &self.arguments,
            options: &options,
            plan: &plan,
            previous: self.previous,
            seen: None,
            sequences: Some(&sequences),
            dictionaries: &dictionaries,
            resume: None,
            memory: self.memory,
            crew: Crew {
                threads: self.threads,
                ..Crew::from(&pool)
            },
        };
        let mut rows = Counted {
            rows: MemoryRows::new(block),
            in_place: false,
            reads: 0,
        };
        let outcome = run(&job, &mut rows, &mut self.log);
        self.reads = rows.reads;
        outcome
    }
}

fn metric(outcome: &Outcome, name: &str) -> f64 {
    outcome.metrics[name].as_f64().unwrap()
}

fn bits(outcome: &Outcome) -> Vec<u32> {
    let parameters = outcome.model.parameters.iter();
    parameters.map(|value| value.to_bits()).collect()
}

fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "it went through".into(),
        Err(error) => {
            assert!(error.hint().is_some(), "no hint: {error}");
            error.to_string()
        }
    }
}

#[test]
fn an_example_is_a_sequence_and_its_order_tells() {
    let data = customers(400);
    let mut training = Training::new();
    training.arguments.epochs = Some(40);
    training.arguments.learning_rate = Some(0.01);
    training.arguments.validation = Some(0.25);
    training.options = json!({"sample_weight": "weight", "class_weights": "balanced"});
    training.features = Some(json!({"held_out": "ignore"}));
    let outcome = training.run(&data).unwrap();
    assert!(metric(&outcome, "auc") > 0.98, "{}", outcome.metrics);
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (300, 100));
    let Target::Classes { counts, .. } = &outcome.model.target else {
        panic!("not classes");
    };
    assert_eq!(counts.iter().sum::<u64>(), 300);
    let set = &outcome.model.features;
    assert_eq!((set.step_width(), set.width()), (1 + 4, 1 + 12 * 5));
    let steps = set.steps.as_ref().unwrap();
    assert_eq!(steps.length, 12);
    assert_eq!(
        (steps.by.as_slice(), steps.order.as_slice()),
        (
            ["customer".to_string()].as_slice(),
            ["month".to_string()].as_slice()
        )
    );
    let notice = training.log.notices.join("\n");
    assert!(
        notice.contains("2 features: usage: numeric, robust, plan: one-hot, 2 levels\n300 sequences of at most 12 steps (")
            && notice.contains(" rows) to train on, 100 to validate (stratified, 25%); seed 3"),
        "{notice}"
    );
    // Turned round, what falls in the end falls in the beginning: nothing is to be found there.
    let mut turned = data;
    for customer in &mut turned {
        customer.usage.reverse();
    }
    let model = outcome.model;
    let network = model.network().unwrap();
    let predictor = Predictor::new(&network, &model.parameters).unwrap();
    let mean = |customers: &[Customer]| -> f32 {
        let long = customers.iter().filter(|c| c.leaves && c.usage.len() > 6);
        let scores: Vec<f32> = long
            .map(|c| score(&model, &predictor, &c.usage, &c.plan))
            .collect();
        scores.iter().sum::<f32>() / scores.len() as f32
    };
    assert!(mean(&turned) < 0.5);
    turned
        .iter_mut()
        .for_each(|customer| customer.usage.reverse());
    assert!(mean(&turned) > 0.8);
}

/// The score of a sequence encoded by hand: its number of steps, then the steps, then zeros.
fn score(
    model: &Model,
    predictor: &Predictor,
    usage: &[f64],
    plan: &[Option<&'static str>],
) -> f32 {
    let (width, length) = (
        model.features.step_width(),
        model.features.steps.as_ref().unwrap().length,
    );
    let encoder = model.features.encoder();
    let first = usage.len().saturating_sub(length);
    let mut row = vec![0.0; 1 + length * width];
    row[0] = (usage.len() - first) as f32;
    for (place, step) in (first..usage.len()).enumerate() {
        let row = &mut row[1 + place * width..][..width];
        encoder.number(0, usage[step], row);
        encoder.category(1, plan[step], row);
    }
    let mut out = [0.0];
    predictor.forward(&row, 1, &mut out, &mut predictor.scratch());
    out[0]
}

#[test]
fn the_newest_steps_of_a_long_sequence_are_learnt_from() {
    let data = customers(120);
    let mut training = Training::new().options(json!({"sequence_length": 4}));
    training.arguments.validation = Some(0.0);
    training.features = Some(json!({
        "usage": {"type": "numeric", "scale": "minmax"}, "plan": "categorical",
        "held_out": "ignore", "weight": "ignore"
    }));
    let model = training.run(&data).unwrap();
    let newest = |c: &Customer| c.usage[c.usage.len().saturating_sub(4)..].to_vec();
    let values: Vec<f64> = data.iter().flat_map(newest).collect();
    let Fitted::Numeric(Numeric { low, high, .. }) = model.model.features.features[0].treatment
    else {
        panic!("not numeric");
    };
    assert_eq!(low, values.iter().copied().fold(f64::INFINITY, f64::min));
    assert_eq!(
        high,
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    );
    // The metrics are those of the sequences encoded by hand.
    let network = model.model.network().unwrap();
    let predictor = Predictor::new(&network, &model.model.parameters).unwrap();
    let right = data.iter().filter(|c| {
        let score = score(&model.model, &predictor, &c.usage, &c.plan);
        (score >= 0.5) == c.leaves
    });
    assert_eq!(metric(&model, "accuracy"), right.count() as f64 / 120.0);
    // And they are all that matters.
    let mut changed = data;
    for customer in &mut changed {
        let old = customer.usage.len().saturating_sub(4);
        customer.usage[..old].fill(1e6);
    }
    let again = training.run(&changed).unwrap();
    assert_eq!(bits(&again), bits(&model));
    assert_eq!(again.metrics, model.metrics);
}

#[test]
fn scales_are_those_of_the_sequences_trained_on() {
    let mut data = customers(100);
    for customer in data.iter_mut().filter(|customer| customer.held_out) {
        customer.usage.fill(1e6);
    }
    let mut training = Training::new().options(json!({"validation_split": "held_out"}));
    let outcome = training.run(&data).unwrap();
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (80, 20));
    let Fitted::Numeric(Numeric { high, .. }) = outcome.model.features.features[0].treatment else {
        panic!("not numeric");
    };
    assert!(high < 1000.0, "{high}");
}

#[test]
fn the_newest_sequences_are_held_out() {
    let mut rows = MemoryRows::new(Block {
        rows: 6,
        columns: vec![Values::Number(vec![5.0, 9.0, f64::NAN, 9.0, 7.0, 1.0])],
    });
    let newest = Split::Newest { position: 0 };
    let mask = features::split(newest, 0.5, 1, &mut rows, None, &mut || false).unwrap();
    let held_out: Vec<usize> = (0..6).filter(|&row| !mask.get(row)).collect();
    assert_eq!(held_out, [1, 3, 4]);
    let mut training = Training::new().options(json!({"validation_split": "last"}));
    training.arguments.validation = Some(0.1);
    let outcome = training.run(&customers(100)).unwrap();
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (90, 10));
    let notice = training.log.notices.join("\n");
    assert!(notice.contains("(the newest, 10%)"), "{notice}");
}

#[test]
fn bits_depend_on_neither_memory_nor_threads() {
    let data = customers(3000);
    let run = |memory: usize, threads: usize| {
        let mut training = Training::new();
        training.architecture = Some(
            r#"{"layers": [{"type": "flatten"}, {"type": "dense", "units": 4}, {"type": "output"}]}"#,
        );
        training.arguments.validation = Some(0.2);
        training.options = json!({"sample_weight": "weight"});
        (training.memory, training.threads) = (memory, threads);
        training.run(&data).map(|outcome| (outcome, training.reads))
    };
    let (expected, reads_in_memory) = run(64 << 20, 1).unwrap();
    for threads in [2, 8] {
        assert_eq!(bits(&run(64 << 20, threads).unwrap().0), bits(&expected));
    }
    // The least memory that is enough holds a part of the sequences only.
    let mut memory = 16 << 10;
    let (read, reads) = loop {
        match run(memory, 1) {
            Ok(found) => break found,
            Err(Error::Memory { .. } | Error::Network(nn::Error::Memory { .. })) => {
                memory += memory / 16;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(reads > 2 * reads_in_memory, "{reads} {reads_in_memory}");
    assert_eq!(bits(&read), bits(&expected));
    assert_eq!(read.metrics, expected.metrics);
}

#[test]
fn members_hold_out_sequences() {
    let mut training = Training::new().options(json!({"members": 3}));
    let outcome = training.run(&customers(90)).unwrap();
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (90, 90));
    assert_eq!(outcome.model.architecture.members, 3);
}

#[test]
fn a_stored_model_keeps_what_its_sequences_are() {
    let data = customers(60);
    let model = Training::new().run(&data).unwrap().model;
    let bytes = model.to_bytes().unwrap();
    assert_eq!(Model::from_bytes(&bytes).unwrap(), model);
    for length in ["0", "99999999999", "-1", "null", "13"] {
        let damaged = String::from_utf8_lossy(&bytes);
        // The header's length must stay as it is.
        let text = format!("\"length\\\":{length:<2}");
        assert!(
            damaged.contains("\"length\\\":12"),
            "no length in the header"
        );
        let mut changed = bytes.clone();
        let at = changed
            .windows(12)
            .position(|window| window == b"\"length\\\":12")
            .unwrap();
        changed[at..at + 12].copy_from_slice(&text.as_bytes()[..12]);
        // Either it is refused, or it is another model that is whole.
        if let Ok(read) = Model::from_bytes(&changed) {
            read.network().unwrap();
            assert!(read.features.steps.unwrap().length > 0);
        }
    }
    // A warm start goes on with it, later versions are of sequences, too.
    let mut training = Training::new().options(json!({"warm_start": true}));
    training.architecture = None;
    training.previous = Some(&model);
    let short: Vec<Customer> = customers(60)
        .into_iter()
        .filter(|customer| customer.usage.len() < 6)
        .collect();
    let next = training.run(&short).unwrap().model;
    assert_eq!(next.features.steps, model.features.steps);
    let mut other = Training::new().options(json!({"warm_start": true, "sequence_length": 5}));
    other.architecture = None;
    other.previous = Some(&model);
    assert!(message(other.run(&short)).contains("must be 12 with warm_start"));
    let rows = Options::default();
    let plain = Plan::new(
        &[Given {
            name: "leaves".into(),
            sql_type: "boolean".into(),
            origin: Some(Origin::Boolean),
            element: None,
        }],
        "leaves",
        None,
        None,
        &rows,
        Some(&model.features),
    );
    assert!(message(plain).contains("are of sequences"));
}

#[test]
fn what_cannot_be_a_sequence_is_refused() {
    let data = customers(20);
    let refused = |options: Value, features: Option<Value>| {
        let mut training = Training::new().options(options);
        training.features = features;
        message(training.run(&data))
    };
    for (options, expected) in [
        (
            json!({"sequence_by": "costumer"}),
            "column \"costumer\" does not exist",
        ),
        (
            json!({"order_by": ["month", "moth"]}),
            "column \"moth\" does not exist",
        ),
        (json!({"sequence_by": "leaves"}), "names the target"),
        (
            json!({"order_by": "plan", "validation_split": "last"}),
            "cannot be last",
        ),
        (json!({"sequence_length": 500_000}), "are too large"),
        (json!({"sequence_by": null}), "needs option \"sequence_by\""),
        (json!({"order_by": null}), "needs option \"order_by\""),
    ] {
        let found = refused(options, None);
        assert!(found.contains(expected), "{found}");
    }
    let embedding = json!({"plan": {"type": "categorical", "encoding": "embedding"}});
    assert!(refused(json!({}), Some(embedding)).contains("is treated as an embedding"));
}

#[test]
fn a_training_without_architecture_is_recurrent() {
    let mut training = Training::new();
    training.architecture = None;
    training.arguments.epochs = Some(1);
    let model = training.run(&customers(40)).unwrap().model;
    let text = model.architecture.to_json().to_string();
    assert!(text.contains("gru"), "{text}");
    assert_eq!(model.architecture.members, 1);
}

#[test]
fn every_phase_can_be_interrupted() {
    let data = customers(60);
    let mut before = 0;
    loop {
        let mut training = Training::new();
        training.arguments.epochs = Some(1);
        training.log.stop_after = Some(before);
        match training.run(&data) {
            Err(Error::Features(features::Error::Interrupted)) => before += 1,
            Err(Error::Network(nn::Error::Interrupted)) | Ok(_) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(before >= 4, "{before}");
}

#[test]
fn sequences_are_told_apart_across_blocks() {
    // Sequences of 1 to 3000 rows, so that they begin, end and lie across the blocks of a pass.
    let mut random = Random::new(2, 0);
    let (mut sequences, mut value, mut at) = (Sequences::new(), Vec::new(), Vec::new());
    let lengths: Vec<usize> = (0..40).map(|_| 1 + random.below(3000) as usize).collect();
    for (number, &length) in lengths.iter().enumerate() {
        for row in 0..length {
            sequences.push(row == 0);
            value.push(number as f64);
            at.push(value.len() as f64);
        }
    }
    assert_eq!((sequences.len(), sequences.rows()), (40, value.len()));
    let mut rows = MemoryRows::new(Block {
        rows: value.len(),
        columns: vec![
            Values::Number(vec![0.0; value.len()]),
            Values::Number(value),
            Values::Number(at),
        ],
    });
    let mut whole = SequenceRows::gather(&sequences, 1, Some(2), &mut rows, &mut || false).unwrap();
    assert_eq!(whole.rows(), 40);
    let mut block = Block::default();
    whole.read(10, 30, &mut block).unwrap();
    for row in 0..30 {
        assert_eq!(block.columns[1].number(row), Some((10 + row) as f64));
        let last = sequences.steps(10 + row).end as f64;
        assert_eq!(block.columns[2].number(row), Some(last));
    }
    assert!(whole.read(20, 21, &mut block).is_err());
    let mut some = BitMask::new(40, false);
    some.set(3, true);
    some.set(39, true);
    let mask = sequences.mask_of_rows(&some, 5);
    assert_eq!(mask.count(), lengths[3].min(5) + lengths[39].min(5));
    assert_eq!(sequences.longest(&some), lengths[3].max(lengths[39]));
    assert!(sequences.steps(40).is_empty() && DEFAULT_STEPS >= 100);
}
