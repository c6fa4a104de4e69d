//! Sequences normalised by themselves: numbers of a reference, bits, the choice by trial, what is refused.

use pg_neural::artifact::{Model, Prepared};
use pg_neural::features::{Arrays, Instance, Intake, Origin, Target};
use pg_neural::nn::{
    Architecture, Head, Initializer, InputFeature, InputForm, Network, Predictor, Random,
};
use pg_neural::training::Outcome;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::training::{Cells, Query, Training, bits, message, metric};

const ROOM: usize = 1 << 16;

/// A forecast by the reference.
#[derive(Deserialize)]
struct Case {
    name: String,
    length: usize,
    place: usize,
    sequences: Vec<Vec<Vec<f64>>>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    forecasts: Vec<Vec<f64>>,
}

/// What the model gives for a sequence, row by row.
fn forecast(prepared: &Prepared, dims: &[usize], steps: &[f64]) -> Vec<f64> {
    let features = &prepared.features;
    let mut row = vec![f32::NAN; features.width()];
    let mut intake = Intake::fitted(&features.features[0], ROOM);
    let mut taken = Arrays::<f64>::new();
    taken.open().extend_from_slice(steps);
    intake.array(dims, &mut taken).unwrap();
    let encoder = features.encoder();
    encoder.array(0, taken.get(0).unwrap(), &mut row).unwrap();
    let predictor = &prepared.predictor;
    let mut out = vec![0.0; predictor.output_units()];
    predictor.forward(&row, 1, &mut out, &mut predictor.scratch());
    prepared.target.numbers(&out)
}

/// The training of a model of one column of sequences of numbers.
fn training(features: Value, architecture: Option<&str>) -> Training<'_> {
    let mut training = Training::of("y");
    training.features = Some(features);
    training.architecture = architecture;
    training
}

/// Sequences of one number a step, and a number each.
fn windows(sequences: Vec<Vec<f64>>, y: Vec<f64>) -> Query {
    Query::default()
        .sequences("history", 1, sequences)
        .number("y", Origin::Float, y)
}

fn instance_of(outcome: &Outcome) -> Option<Instance> {
    let feature = json!(outcome.model.features.features[0].treatment);
    let instance = feature.get("instance")?;
    Some(serde_json::from_value(instance.clone()).unwrap())
}

#[test]
fn forecasts_are_those_of_the_reference() {
    let text = include_str!("fixtures/instance.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    for case in cases {
        let features = case.sequences[0][0].len();
        // The steps' numbers side by side, as arrays of steps × features are read.
        let flat: Vec<Vec<f64>> = case.sequences.iter().map(|x| x.concat()).collect();
        let targets = case.forecasts.iter().map(|y| vec![y[0], y[1] + 1.0]);
        let query = Query::default()
            .sequences("history", features, flat.clone())
            .arrays("y", Origin::Float, Cells::NumberArrays(targets.collect()));
        let settings = json!({"history": {"type": "sequence", "length": case.length,
            "normalize": "instance", "denormalize": case.place + 1}});
        let layers = r#"{"layers": [{"type": "flatten"}, {"type": "output"}]}"#;
        let mut training = training(settings, Some(layers));
        training.arguments.validation = Some(0.0);
        let mut model = training.run(&query).unwrap().model;
        assert_eq!(
            model.parameters.len(),
            case.weight.len() + case.bias.len(),
            "turning back has no parameters"
        );
        model.parameters = [case.weight, case.bias].concat();
        let Target::Regression { outputs, .. } = &model.target else {
            panic!("not a regression");
        };
        let unit = outputs[0].divisor;
        let prepared =
            Prepared::new(Model::from_bytes(&model.to_bytes().unwrap()).unwrap()).unwrap();
        for (x, expected) in flat.iter().zip(&case.forecasts) {
            let dims = [x.len() / features, features];
            let dims = &dims[..if features == 1 { 1 } else { 2 }];
            let found = forecast(&prepared, dims, x);
            for (a, b) in found.iter().zip(expected) {
                let error = (a - b).abs();
                assert!(
                    error <= 2e-6 * (unit + b.abs()),
                    "{}: {a} for {b}",
                    case.name
                );
            }
        }
    }
}

/// A leveled sequence of up to 4 steps and two numbers beside.
fn leveled() -> Vec<InputFeature> {
    vec![
        InputFeature {
            name: "s".into(),
            form: InputForm::LeveledSequence {
                steps: 4,
                features: 1,
            },
        },
        InputFeature::column("n", 2, None),
    ]
}

fn rows(count: usize) -> Vec<f32> {
    let mut random = Random::new(11, 0);
    let mut x = Vec::new();
    for _ in 0..count {
        let steps = 1 + random.below(4) as usize;
        x.push(steps as f32);
        x.extend((0..4).map(|i| if i < steps { random.normal_f32() } else { 0.0 }));
        x.push(3.0 * random.normal_f32());
        x.push(0.1 + random.normal_f32().abs());
        x.extend((0..2).map(|_| random.normal_f32()));
    }
    x
}

fn network(members: usize) -> Network {
    let text = r#"{"layers": [
        {"type": "input", "name": "own", "features": ["s"]},
        {"type": "gru", "name": "steps", "units": 3},
        {"type": "input", "name": "others", "features": ["n"]},
        {"type": "concat", "name": "all", "input": ["steps", "others"]},
        {"type": "output"}]}"#;
    let mut architecture = Architecture::parse(text).unwrap();
    architecture.members = members;
    let head = Head::Regression { outputs: 2 };
    Network::build(&architecture, &leveled(), head, None).unwrap()
}

#[test]
fn turned_back_outputs_have_the_gradient_of_finite_differences() {
    const ROWS: usize = 6;
    let network = network(1);
    let x = rows(ROWS);
    let mut parameters = network.initialise(3, Initializer::Pytorch);
    let mut random = Random::new(7, 0);
    let mask: Vec<f32> = (0..ROWS * 2).map(|_| random.normal_f32()).collect();
    let mut workspace = network.workspace(ROWS);
    let mut gradients = vec![0.0; parameters.len()];
    network.forward(&parameters, &x, ROWS, &mut workspace, None);
    network.backward(&parameters, &x, ROWS, &mask, &mut gradients, &mut workspace);
    for i in 0..parameters.len() {
        let mut sum = |step: f32| -> f64 {
            let kept = parameters[i];
            parameters[i] = kept + step;
            let outputs = network.forward(&parameters, &x, ROWS, &mut workspace, None);
            let pairs = outputs.iter().zip(&mask);
            let sum = pairs.map(|(y, m)| f64::from(*y) * f64::from(*m)).sum();
            parameters[i] = kept;
            sum
        };
        let expected = (sum(1e-2) - sum(-1e-2)) / 2e-2;
        let found = f64::from(gradients[i]);
        let error = (found - expected).abs();
        assert!(
            error < 2e-3 * (1.0 + expected.abs()),
            "{i}: {found} for {expected}"
        );
    }
}

#[test]
fn a_batch_has_the_bits_of_its_rows_with_members_too() {
    const ROWS: usize = 150;
    for members in [1, 3] {
        let network = network(members);
        let parameters = network.initialise(5, Initializer::Pytorch);
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let (x, width) = (rows(ROWS), predictor.input_width());
        let mut scratch = predictor.scratch();
        let mut all = vec![0.0; ROWS * 2];
        predictor.forward(&x, ROWS, &mut all, &mut scratch);
        let mut workspace = network.workspace(ROWS);
        let trained = network.forward(&parameters, &x, ROWS, &mut workspace, None);
        for row in 0..ROWS {
            let mut one = [0.0; 2];
            predictor.forward(&x[row * width..][..width], 1, &mut one, &mut scratch);
            for (unit, y) in one.iter().enumerate() {
                assert_eq!(y.to_bits(), all[row * 2 + unit].to_bits());
                let logits = &trained[row * 2 * members..][..2 * members];
                let mean = logits.iter().skip(unit).step_by(2).sum::<f32>() / members as f32;
                assert!(
                    (y - mean).abs() < 1e-4 * (1.0 + mean.abs()),
                    "{y} for {mean}"
                );
            }
        }
    }
}

#[test]
fn only_the_outputs_of_a_regression_are_turned_back_and_by_one_sequence() {
    let architecture = Architecture::parse(r#"{"layers": [{"type": "gru", "units": 3}]}"#).unwrap();
    let leveled = leveled();
    let build = |inputs: &[InputFeature], head| {
        Network::build(&architecture, inputs, head, None).map(|_| ())
    };
    let one = Head::Regression { outputs: 1 };
    build(&leveled[..1], one).unwrap();
    assert!(build(&leveled[..1], Head::Binary).is_err());
    let mut twice = vec![leveled[0].clone(), leveled[0].clone()];
    twice[1].name = "t".into();
    assert!(build(&twice, one).is_err());
}

/// The air passengers of 1949 to 1960: windows of so many months, and the number 12 months after each;
/// those of the last two years apart.
fn air_passengers(length: usize) -> [(Vec<Vec<f64>>, Vec<f64>); 2] {
    let lines = include_str!("../data/air_passengers.csv").lines().skip(1);
    let months: Vec<f64> = lines
        .map(|line| line.split_once(',').unwrap().1.parse().unwrap())
        .collect();
    let windows = |months: &[f64], first: usize| {
        let ends = first..months.len();
        let histories = ends
            .clone()
            .map(|at| months[at - 11 - length..at - 11].to_vec());
        (histories.collect(), months[ends].to_vec())
    };
    let held_out = months.len() - 24;
    [
        windows(&months[..held_out], length + 11),
        windows(&months, held_out),
    ]
}

#[test]
fn air_passengers_are_foretold_better_than_by_the_year_before() {
    let [(histories, passengers), (later, expected)] = air_passengers(24);
    let rmse = |found: &[f64]| {
        let squares = found.iter().zip(&expected).map(|(a, b)| (a - b).powi(2));
        (squares.sum::<f64>() / expected.len() as f64).sqrt()
    };
    let year_before: Vec<f64> = later.iter().map(|x| x[x.len() - 1]).collect();
    let year_before = rmse(&year_before);
    assert!((year_before - 49.99).abs() < 0.01, "{year_before}");
    let query = windows(histories, passengers);
    let train = |settings: Value, threads| {
        let mut training = training(json!({"history": settings}), None);
        training.arguments.epochs = None;
        training.threads = threads;
        let outcome = training.run(&query).unwrap();
        (outcome, training.log.notices.join("\n"))
    };
    let foretold = |model: &Model| {
        let read = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
        let prepared = Prepared::new(read).unwrap();
        let each = later.iter().map(|x| forecast(&prepared, &[x.len()], x)[0]);
        rmse(&each.collect::<Vec<f64>>())
    };
    let own = json!({"type": "sequence", "normalize": "instance"});
    let (normalized, _) = train(own.clone(), 1);
    let turned_back = Some(Instance {
        turned_back: Some(0),
    });
    assert_eq!(instance_of(&normalized), turned_back);
    let found = foretold(&normalized.model);
    assert!(found < 0.6 * year_before, "{found}");
    assert_eq!(bits(&normalized), bits(&train(own, 2).0));
    // Where nothing is said, what the last rows say.
    let (open, told) = train(json!("sequence"), 1);
    assert!(told.contains("held-out rmse"), "{told}");
    let found = foretold(&open.model);
    assert!(found < year_before, "{found}");
}

#[test]
fn a_series_that_outgrows_what_was_learnt_is_normalised() {
    // It doubles every fifty steps, and has a season of twelve.
    let series: Vec<f64> = (0..260)
        .map(|i| {
            let at = f64::from(i);
            (at / 50.0).exp2() * (10.0 + (at * std::f64::consts::TAU / 12.0).sin())
        })
        .collect();
    let ends = 24..series.len();
    let histories = ends.clone().map(|at| series[at - 24..at].to_vec());
    let query = windows(histories.collect(), series[ends].to_vec());
    let mut trained = Vec::new();
    for threads in [1, 2] {
        let mut training = training(json!({"history": "sequence"}), None);
        training.arguments.epochs = Some(40);
        training.threads = threads;
        let outcome = training.run(&query).unwrap();
        let told = training.log.notices.join("\n");
        let expected = "the sequence normalised by itself: held-out rmse";
        assert!(told.contains(expected), "{told}");
        assert!(instance_of(&outcome).is_some());
        let tried = &outcome.model.training["trials"];
        assert_eq!(tried["sequence_normalized"], true, "{tried}");
        trained.push(outcome);
    }
    assert_eq!(bits(&trained[0]), bits(&trained[1]));
}

/// A level a row, about which the steps are spread.
fn levels(rows: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut random = Random::new(4, 0);
    let mut normal = || f64::from(random.normal_f32());
    let levels: Vec<f64> = (0..rows).map(|_| normal()).collect();
    let around = |level: &f64| (0..6).map(|_| level + 0.1 * normal()).collect();
    (levels.iter().map(around).collect(), levels)
}

#[test]
fn a_level_that_tells_is_kept() {
    let (sequences, levels) = levels(400);
    let query = windows(
        sequences,
        levels.iter().map(|level| level * level).collect(),
    );
    let mut training = training(json!({"history": "sequence"}), None);
    let outcome = training.run(&query).unwrap();
    assert_eq!(instance_of(&outcome), None);
    let told = training.log.notices.join("\n");
    assert!(
        told.contains("the sequence as it comes: held-out rmse"),
        "{told}"
    );
    let tried = &outcome.model.training["trials"];
    assert_eq!(tried["sequence_normalized"], false, "{tried}");
    // What says something of it, and what holds nothing out, tries nothing.
    for settings in [
        json!({"type": "sequence", "normalize": "none"}),
        json!("vector"),
    ] {
        let mut training = self::training(json!({"history": settings}), None);
        let outcome = training.run(&query).unwrap();
        assert_eq!(instance_of(&outcome), None);
        assert!(
            outcome.model.training["trials"]
                .get("sequence_normalized")
                .is_none()
        );
    }
}

#[test]
fn a_warm_start_goes_on_and_a_class_has_nothing_to_turn_back() {
    let (sequences, levels) = levels(120);
    let query = windows(sequences.clone(), levels.clone());
    let settings = json!({"history": {"type": "sequence", "normalize": "instance"}});
    let layers = r#"{"layers": [{"type": "gru", "units": 4}]}"#;
    let first = training(settings.clone(), Some(layers))
        .run(&query)
        .unwrap();
    assert_eq!(
        instance_of(&first),
        Some(Instance {
            turned_back: Some(0)
        })
    );
    assert!(metric(&first, "r2") > 0.9, "{}", first.metrics);
    let mut again = Training::of("y").after(&first.model);
    again.options = json!({"warm_start": true});
    let again = again.run(&query).unwrap();
    let (before, after) = (&first.model, &again.model);
    assert_eq!(before.features.inputs(), after.features.inputs());
    assert_eq!(before.target, after.target);
    assert_ne!(bits(&first), bits(&again));
    // The range of the last activation holds for what is turned back, not for the target.
    let relu = r#"{"layers": [{"type": "gru", "units": 4}, {"type": "dense", "units": 1, "activation": "relu"}]}"#;
    training(settings.clone(), Some(relu)).run(&query).unwrap();
    let classes = levels
        .iter()
        .map(|level| Some(if *level > 0.0 { "up" } else { "down" }.into()));
    let query = Query::default()
        .sequences("history", 1, sequences)
        .text("y", classes.collect());
    let outcome = training(settings, Some(layers)).run(&query).unwrap();
    assert_eq!(instance_of(&outcome), Some(Instance::default()));
    let inputs = outcome.model.features.inputs();
    assert!(matches!(inputs[0].form, InputForm::Sequence { .. }));
}

#[test]
fn a_trial_can_be_interrupted_wherever_it_is() {
    let (sequences, levels) = levels(70);
    let query = windows(sequences, levels);
    let mut before = 0;
    loop {
        let mut training = training(json!({"history": "sequence"}), None);
        training.arguments.epochs = Some(2);
        training.log.stop_after = Some(before);
        let told = training.run(&query).err().map(|error| error.to_string());
        match told.as_deref() {
            None => break,
            Some(told) => assert!(
                told.contains("interrupted") || told == "cancelled",
                "{told}"
            ),
        }
        before += 1 + before / 8;
    }
    assert!(before > 10, "{before}");
}

#[test]
fn far_and_constant_sequences_are_forecast_as_numbers() {
    let (sequences, levels) = levels(80);
    let settings = json!({"history": {"type": "sequence", "normalize": "instance"}});
    let layers = r#"{"layers": [{"type": "gru", "units": 4}]}"#;
    let mut training = training(settings, Some(layers));
    let model = training.run(&windows(sequences, levels)).unwrap().model;
    let prepared = Prepared::new(model).unwrap();
    for steps in [
        vec![5.0; 6],
        vec![0.0],
        vec![1e300, -1e300, 1e308],
        vec![f64::MAX; 6],
        vec![f64::MIN_POSITIVE, 0.0],
        vec![1.0; 50],
    ] {
        let found = forecast(&prepared, &[steps.len()], &steps)[0];
        assert!(found.is_finite(), "{steps:?}: {found}");
        // One of a single value goes on as it is, but for what is told from nothing.
        if steps.iter().all(|x| *x == steps[0]) && steps[0].abs() < 10.0 {
            assert!((found - steps[0]).abs() < 1e-3, "{steps:?}: {found}");
        }
    }
}

#[test]
fn what_cannot_be_normalised_or_turned_back_is_refused() {
    let (sequences, levels) = levels(70);
    let query = windows(sequences.clone(), levels.clone())
        .sequences("other", 1, sequences)
        .text(
            "class",
            levels
                .iter()
                .map(|x| Some((*x > 0.0).to_string()))
                .collect(),
        );
    let refused = |target: &str, names: &[&str], features: Value, options: Value| {
        let mut training = Training::of(target).options(options);
        training.features = Some(features);
        message(training.run(&query.select(names)))
    };
    let own = |more: Value| {
        let mut settings = json!({"type": "sequence", "normalize": "instance"});
        if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
            settings.extend(more);
        }
        settings
    };
    let one = |settings: Value| {
        refused(
            "y",
            &["history", "y"],
            json!({"history": settings}),
            json!({}),
        )
    };
    let sequence = |key: &str, value: Value| one(json!({"type": "sequence", key: value}));
    for (found, expected) in [
        (
            sequence("normalize", json!("batch")),
            "unknown normalize \"batch\"",
        ),
        (
            sequence("normalize", json!(true)),
            "\"normalize\" of column \"history\" is true",
        ),
        (
            sequence("denormalize", json!(true)),
            "\"denormalize\" of column \"history\" goes with",
        ),
        (
            one(own(json!({"denormalize": 0}))),
            "\"denormalize\" of column \"history\" is 0",
        ),
        (
            one(own(json!({"denormalize": "y"}))),
            "\"denormalize\" of column \"history\" is \"y\"",
        ),
        (
            one(own(json!({"denormalize": 2}))),
            "is 2, but its steps have 1 number",
        ),
        (
            refused(
                "y",
                &["history", "other", "y"],
                json!({"history": own(json!({})), "other": own(json!({}))}),
                json!({}),
            ),
            "columns \"history\" and \"other\" are normalised by themselves",
        ),
        (
            refused(
                "class",
                &["history", "class"],
                json!({"history": own(json!({"denormalize": true}))}),
                json!({}),
            ),
            "goes with a regression",
        ),
        (
            refused(
                "y",
                &["history", "y"],
                json!({"history": own(json!({}))}),
                json!({"target_scale": "none"}),
            ),
            "target_scale",
        ),
    ] {
        assert!(found.contains(expected), "{found}");
    }
    // What says which one it is goes through.
    let both = json!({"history": own(json!({})), "other": own(json!({"denormalize": true}))});
    let mut training = Training::of("y");
    training.features = Some(both);
    training
        .run(&query.select(&["history", "other", "y"]))
        .unwrap();
}
