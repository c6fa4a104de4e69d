//! Targets that are arrays: several numbers a row, and labels any number of which apply.

use pg_neural::artifact::Model;
use pg_neural::features::{Origin, Target, Task};
use pg_neural::nn::{Head, Predictor, Random};
use pg_neural::training::{Error, Judge, Outcome, Truth};
use serde_json::{Value, json};

use crate::training::{Cells, Query, Training, bits, message, metric};

/// Points with what follows from them: three numbers of very different size, three truth values,
/// and the texts of those that hold.
fn points(rows: usize) -> Query {
    let mut random = Random::new(9, 0);
    let [mut xs, mut ys]: [Vec<f64>; 2] = Default::default();
    let [mut numbers, mut truths]: [Vec<Vec<f64>>; 2] = Default::default();
    let mut texts = Vec::new();
    for _ in 0..rows {
        let x = f64::from(random.normal_f32());
        let y = f64::from(random.normal_f32());
        xs.push(x);
        ys.push(y);
        numbers.push(vec![1e6 + 10.0 * x, 0.001 * y, x - y]);
        let holds = [x > 0.0, y > 1.0, x + y < 1.0];
        truths.push(holds.map(|holds| f64::from(u8::from(holds))).to_vec());
        let names = ["right", "above", "below the line"];
        let held = names.into_iter().zip(holds).filter(|(_, holds)| *holds);
        texts.push(held.map(|(name, _)| name).collect());
    }
    Query::default()
        .number("x", Origin::Float, xs)
        .number("y", Origin::Float, ys)
        .arrays("numbers", Origin::Float, Cells::NumberArrays(numbers))
        .arrays("truths", Origin::Boolean, Cells::NumberArrays(truths))
        .arrays("texts", Origin::Text, Cells::TextArrays(texts))
}

fn train(target: &'static str, options: Value) -> Result<Outcome, Error> {
    let mut training = Training::of(target).options(options);
    training.arguments.epochs = Some(20);
    training.arguments.validation = Some(0.2);
    training.run(&points(800).select(&["x", "y", target]))
}

fn replaced(target: &'static str, change: impl Fn(&mut Cells)) -> Query {
    let mut query = points(100).select(&["x", "y", target]);
    change(&mut query.cells[2]);
    query
}

/// The whole way through bytes and the predictor, for a row.
fn predict(model: &Model, row: [f64; 2]) -> Vec<f32> {
    let model = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    let network = model.network().unwrap();
    let predictor = Predictor::new(&network, &model.parameters).unwrap();
    let encoder = model.features.encoder();
    let mut x = vec![0.0; model.features.width()];
    for (i, value) in row.into_iter().enumerate() {
        encoder.number(i, value, &mut x);
    }
    let mut out = vec![0.0; network.output_units()];
    predictor.forward(&x, 1, &mut out, &mut predictor.scratch());
    out
}

#[test]
fn several_numbers_are_learnt_each_on_its_own_scale() {
    let outcome = train("numbers", json!({})).unwrap();
    assert!(metric(&outcome, "r2") > 0.95, "{}", outcome.metrics);
    let target = &outcome.model.target;
    assert_eq!(target.task(), Task::Regression);
    assert_eq!(target.head(), Head::Regression { outputs: 3 });
    assert!(target.classes().is_empty());
    let Target::Regression { outputs, array, .. } = target else {
        panic!("not a regression");
    };
    assert!(array);
    let sizes = outputs.iter().zip([10.0, 0.001, 2.0_f64.sqrt()]);
    for (scale, size) in sizes {
        assert!((0.8..1.2).contains(&(scale.divisor / size)), "{scale:?}");
    }
    let found = predict(&outcome.model, [1.0, -1.0]);
    for (i, expected) in [1e6 + 10.0, -0.001, 2.0].into_iter().enumerate() {
        let (value, scale) = (target.decode(i, found[i]), outputs[i].divisor);
        assert!((value - expected).abs() < 0.5 * scale, "{value}");
    }
    // No scaling leaves the numbers to the network as they are.
    let Target::Regression { outputs, .. } = train("numbers", json!({"target_scale": "none"}))
        .unwrap()
        .model
        .target
    else {
        panic!("not a regression");
    };
    assert!(outputs.iter().all(|o| (o.center, o.divisor) == (0.0, 1.0)));
}

#[test]
fn labels_are_learnt_from_truth_values_by_their_place() {
    let outcome = train("truths", json!({})).unwrap();
    assert!(metric(&outcome, "accuracy") > 0.85, "{}", outcome.metrics);
    assert!(metric(&outcome, "hamming_loss") < 0.07);
    assert!(metric(&outcome, "log_loss") < 0.2);
    let target = &outcome.model.target;
    assert_eq!(target.classes(), ["1", "2", "3"]);
    assert_eq!(target.head(), Head::MultiLabel { labels: 3 });
    assert_eq!(target.task(), Task::Classification);
    assert_eq!(target.positive_class(), None);
    let found = predict(&outcome.model, [1.5, -2.0]);
    assert!(
        found[0] > 0.8 && found[1] < 0.2 && found[2] > 0.8,
        "{found:?}"
    );
    assert_eq!(target.label_set(&found), "{1,3}");
}

#[test]
fn labels_are_learnt_from_sets_of_texts() {
    let outcome = train("texts", json!({"threshold": 0.6})).unwrap();
    assert!(metric(&outcome, "f1") > 0.8, "{}", outcome.metrics);
    let target = &outcome.model.target;
    assert_eq!(target.classes(), ["above", "below the line", "right"]);
    let Target::Labels {
        counts,
        rows,
        threshold,
        ..
    } = target
    else {
        panic!("no labels");
    };
    assert_eq!((*rows, *threshold), (640, 0.6));
    assert!((250..390).contains(&counts[2]), "{counts:?}");
    let set = |probabilities: &[f32]| target.label_set(probabilities);
    assert_eq!(set(&[0.61, 0.59, 0.6001]), "{above,right}");
    assert_eq!(set(&[0.0, 1.0, 0.0]), "{\"below the line\"}");
    assert_eq!(set(&[0.0; 3]), "{}");

    // The places of truth values and the names of texts are the same labels to the network, but
    // for their order.
    let names = predict(&outcome.model, [1.5, -2.0]);
    assert!(names[0] < 0.2 && names[1] > 0.8 && names[2] > 0.8);
}

#[test]
fn an_array_of_zeros_and_ones_may_be_asked_to_be_labels() {
    let mut training = Training::of("truths");
    training.task = Some(Task::Classification);
    let mut query = points(300).select(&["x", "y", "truths"]);
    query.given[2].element = Some(Origin::Integer);
    let outcome = training.run(&query).unwrap();
    assert_eq!(outcome.model.target.classes(), ["1", "2", "3"]);
    let numbers = points(300).select(&["x", "numbers"]);
    let mut training = Training::of("numbers");
    training.task = Some(Task::Classification);
    assert!(message(training.run(&numbers)).contains("neither 0 nor 1"));
    // And truth values to be numbers.
    let mut training = Training::of("truths");
    training.task = Some(Task::Regression);
    let outcome = training
        .run(&points(300).select(&["x", "y", "truths"]))
        .unwrap();
    assert_eq!(outcome.model.target.head(), Head::Regression { outputs: 3 });
}

#[test]
fn what_is_announced_and_what_a_split_makes_of_arrays() {
    let query = points(200);
    for (target, announced) in [
        ("numbers", "regression of \"numbers\", 3 outputs a row"),
        ("texts", "classification of \"texts\", 3 labels a row"),
    ] {
        let options = json!({"validation_split": "stratified"});
        let mut training = Training::of(target).options(options);
        training.arguments.validation = Some(0.25);
        let outcome = training.run(&query.select(&["x", "y", target])).unwrap();
        assert_eq!(outcome.rows_validated, 50);
        let notice = training.log.notices.join("\n");
        assert!(notice.starts_with(announced), "{notice}");
        assert!(notice.contains("(random, 25%)"), "{notice}");
    }
}

#[test]
fn the_bits_depend_neither_on_memory_nor_on_threads() {
    for target in ["numbers", "texts"] {
        let run = |memory, threads| {
            let mut training = Training::of(target).options(json!({"members": 1}));
            training.arguments.batch_size = Some(32);
            training.memory = memory;
            training.threads = threads;
            let query = points(600).select(&["x", "y", target]);
            bits(&training.run(&query).unwrap())
        };
        let expected = run(64 << 20, 1);
        assert_eq!(run(64 << 20, 3), expected, "{target}");
        // So little that the encoded rows do not fit.
        assert_eq!(run(1 << 20, 2), expected, "{target}");
    }
}

#[test]
fn weights_of_labels_and_smoothing_shift_the_probabilities() {
    let mean = |options: Value| {
        let model = train("truths", options).unwrap().model;
        f64::from(predict(&model, [0.0, 1.0])[1])
    };
    let plain = mean(json!({}));
    assert!(mean(json!({"class_weights": {"2": 20}})) > plain);
    assert!(mean(json!({"class_weights": {"2": 0.05}})) < plain);
    assert!(mean(json!({"class_weights": "balanced"})) > plain);
    assert!(mean(json!({"label_smoothing": 0.5})) > 0.2);
    let unknown = train("truths", json!({"class_weights": {"4": 2}}));
    assert!(message(unknown).contains('4'));
}

#[test]
fn combinations_that_mean_nothing_are_refused() {
    for (target, options, fault) in [
        ("numbers", json!({"quantiles": [0.1, 0.9]}), "quantiles"),
        (
            "numbers",
            json!({"loss": "binary_crossentropy"}),
            "binary_crossentropy",
        ),
        (
            "numbers",
            json!({"class_weights": "balanced"}),
            "class_weights",
        ),
        (
            "numbers",
            json!({"label_smoothing": 0.1}),
            "label_smoothing",
        ),
        ("numbers", json!({"positive_class": "a"}), "positive_class"),
        ("truths", json!({"positive_class": "1"}), "positive_class"),
        (
            "truths",
            json!({"target_scale": "standard"}),
            "target_scale",
        ),
        ("texts", json!({"loss": "mse"}), "mse"),
        (
            "texts",
            json!({"loss": "categorical_crossentropy"}),
            "categorical_crossentropy",
        ),
        ("texts", json!({"quantiles": [0.5]}), "quantiles"),
    ] {
        let said = message(train(target, options.clone()));
        assert!(said.contains(fault), "{options}: {said}");
    }
    let mut regression = Training::of("texts");
    regression.task = Some(Task::Regression);
    let said = message(regression.run(&points(50).select(&["x", "texts"])));
    assert!(said.contains("not a number"), "{said}");
}

#[test]
fn arrays_that_are_no_targets_are_refused() {
    let ragged = replaced("numbers", |cells| {
        if let Cells::NumberArrays(rows) = cells {
            rows[3].pop();
        }
    });
    let missing = replaced("numbers", |cells| {
        if let Cells::NumberArrays(rows) = cells {
            rows[3][1] = f64::NAN;
        }
    });
    let infinite = replaced("numbers", |cells| {
        if let Cells::NumberArrays(rows) = cells {
            rows[3][1] = f64::INFINITY;
        }
    });
    let empty = replaced("numbers", |cells| {
        if let Cells::NumberArrays(rows) = cells {
            rows.iter_mut().for_each(Vec::clear);
        }
    });
    let wide = replaced("numbers", |cells| {
        if let Cells::NumberArrays(rows) = cells {
            rows.iter_mut().for_each(|row| row.resize(1001, 0.0));
        }
    });
    for (query, fault) in [
        (ragged, "3 values in one row and 2 in another"),
        (missing, "missing"),
        (infinite, "infinite"),
        (empty, "empty"),
        (wide, "1001 outputs, more than 1000"),
    ] {
        let said = message(Training::of("numbers").run(&query));
        assert!(said.contains(fault), "{fault}: {said}");
    }
    let unlabelled = replaced("texts", |cells| {
        if let Cells::TextArrays(rows) = cells {
            rows.iter_mut().for_each(Vec::clear);
        }
    });
    assert!(message(Training::of("texts").run(&unlabelled)).contains("empty array in every row"));
    let mut days = points(50).select(&["x", "numbers"]);
    days.given[1].element = Some(Origin::Date);
    assert!(message(Training::of("numbers").run(&days)).contains("cannot be predicted"));
}

#[test]
fn later_versions_keep_what_the_target_is() {
    let query = points(200);
    let model = |target: &'static str| {
        let mut training = Training::of(target);
        let chosen = query.select(&["x", "y", target]);
        training.run(&chosen).unwrap().model
    };
    let (numbers, truths, texts) = (model("numbers"), model("truths"), model("texts"));
    let refused = |previous: &Model, target: &'static str, query: &Query| {
        let chosen = query.select(&["x", "y", target]);
        match Training::of(target).after(previous).run(&chosen) {
            Err(Error::Signature(said)) => said,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{target} was taken"),
        }
    };
    assert!(refused(&texts, "truths", &query).contains("an array of labels"));
    assert!(refused(&truths, "texts", &query).contains("an array of truth values"));
    let fewer = replaced("numbers", |cells| {
        if let Cells::NumberArrays(rows) = cells {
            rows.iter_mut().for_each(|row| row.truncate(2));
        }
    });
    assert!(refused(&numbers, "numbers", &fewer).contains("3 outputs, but the rows have 2"));
    // A label more is a class more.
    let more = replaced("texts", |cells| {
        if let Cells::TextArrays(rows) = cells {
            rows[0].push("another");
        }
    });
    let next = Training::of("texts").after(&texts).run(&more).unwrap();
    assert_eq!(next.model.target.classes()[1], "another");
    // A warm start knows the labels of its version only, and keeps the outputs' scales.
    let warm = json!({"warm_start": true});
    let again = Training::of("texts").options(warm.clone()).after(&texts);
    let said = message({ again }.run(&more));
    assert!(said.contains("label the model does not know"), "{said}");
    let chosen = query.select(&["x", "y", "numbers"]);
    let mut again = Training::of("numbers").options(warm).after(&numbers);
    assert_eq!(again.run(&chosen).unwrap().model.target, numbers.target);
}

#[test]
fn a_judge_refuses_truths_of_another_form() {
    let target = train("numbers", json!({})).unwrap().model.target;
    let mut judge = Judge::new(&target);
    assert!(judge.push(&[0.0; 3], Truth::Number(1.0)).is_err());
    assert!(judge.push(&[0.0; 3], Truth::Numbers(&[1.0, 2.0])).is_err());
    judge
        .push(&[0.0; 3], Truth::Numbers(&[1e6, 0.0, 0.0]))
        .unwrap();
    assert_eq!(judge.row_bytes(), 0);
}

#[test]
fn damaged_descriptions_of_labels_are_refused() {
    let model = train("texts", json!({})).unwrap().model;
    type Change = dyn Fn(&mut Vec<String>, &mut Vec<u64>, &mut f64);
    let damaged = |change: &Change| {
        let mut target = model.target.clone();
        if let Target::Labels {
            labels,
            counts,
            threshold,
            ..
        } = &mut target
        {
            change(labels, counts, threshold);
        }
        target.validate().is_err()
    };
    assert!(!damaged(&|_, _, _| ()));
    assert!(damaged(&|labels, _, _| labels.clear()));
    assert!(damaged(&|labels, _, _| labels[1] = labels[0].clone()));
    assert!(damaged(&|_, counts, _| counts[0] = 10_000));
    assert!(damaged(&|_, counts, _| {
        counts.pop();
    }));
    assert!(damaged(&|_, _, threshold| *threshold = f64::NAN));
}
