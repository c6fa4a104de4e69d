//! Means that are learnt through a link, shares, and classes in order: losses and the layer against
//! PyTorch, metrics against scikit-learn (`fixtures/make_links_fixtures.py` made the numbers), and
//! trainings.

use pg_neural::features::{Family, Origin, Target};
use pg_neural::metrics::{Confusion, Means, Shares};
use pg_neural::nn::{
    self, Architecture, Crew, Head, Initializer, InputFeature, Link, Loaded, Loss, LossSpec,
    Network, Predictor, Random, RowSource, TrainOptions,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::layer_case::{close, tensor};
use crate::memory_rows::Quiet;
use crate::training::{Cells, Query, Training};

const LINKS: &[u8] = include_bytes!("fixtures/links.safetensors");
const ROWS: usize = 7;

fn network(layers: &str, width: usize, head: Head) -> Network {
    let architecture = Architecture::parse(&format!(r#"{{"layers": [{layers}]}}"#)).unwrap();
    let inputs = [InputFeature::column("x", width, None)];
    Network::build(&architecture, &inputs, head, None).unwrap()
}

fn check(name: &str, loss: &Loss) {
    let file = SafeTensors::deserialize(LINKS).unwrap();
    let get = |part: &str| tensor(&file, &format!("{name}.{part}"));
    let (z, y, weight) = (get("p"), get("y"), get("weight"));
    assert_eq!(loss.targets(), y.len() / ROWS, "{name}");
    let mut gradient = vec![f32::NAN; z.len()];
    let value = loss.value_and_gradient(&z, &y, Some(&weight), ROWS, &mut gradient);
    close(name, &[value as f32], &get("loss"));
    close(name, &gradient, &get("gradient"));
    assert_eq!(value, loss.value(&z, &y, Some(&weight), ROWS), "{name}");
    let sum = loss.weight_sum(&y, Some(&weight), ROWS);
    close(name, &[sum as f32], &get("weight_sum"));
}

#[test]
fn losses_of_means_and_shares_agree_with_pytorch() {
    let file = SafeTensors::deserialize(LINKS).unwrap();
    let log = network("", 1, Head::Mean(Link::Log));
    for (name, spec) in [
        ("poisson", LossSpec::Poisson),
        ("gamma", LossSpec::Gamma),
        ("tweedie1.25", LossSpec::Tweedie { power: 1.25 }),
        ("tweedie1.5", LossSpec::Tweedie { power: 1.5 }),
    ] {
        check(name, &Loss::from_spec(&spec, &log, None, 0.0).unwrap());
    }
    let logit = network("", 1, Head::Mean(Link::Logit));
    let share = LossSpec::BinaryCrossentropy;
    check(
        "share",
        &Loss::from_spec(&share, &logit, None, 0.0).unwrap(),
    );
    // A teacher's probabilities: of two classes the positive one's, of more one each.
    let two = network("", 1, Head::Binary);
    let weights = tensor(&file, "class_weights2");
    let loss = Loss::from_spec(&share, &two, Some(&weights), 0.0).unwrap();
    check("share_weights", &loss.of_shares().unwrap());
    let four = network("", 1, Head::Multiclass { classes: 4 });
    let weights = tensor(&file, "class_weights4");
    for (suffix, weights, smoothing) in
        [("", None, 0.0), ("_both", Some(weights.as_slice()), 0.125)]
    {
        let spec = LossSpec::CategoricalCrossentropy;
        let loss = Loss::from_spec(&spec, &four, weights, smoothing).unwrap();
        check(&format!("soft{suffix}"), &loss.of_shares().unwrap());
    }
    let refused = Loss::from_spec(&LossSpec::Poisson, &log, None, 0.0).unwrap();
    assert!(refused.of_shares().is_err());
    for power in [1.0, 2.0, f32::NAN] {
        let spec = LossSpec::Tweedie { power };
        assert!(Loss::from_spec(&spec, &log, None, 0.0).is_err(), "{power}");
    }
}

/// Rows whose targets are a share for each class.
struct Taught {
    x: Vec<f32>,
    y: Vec<f32>,
}

impl RowSource for Taught {
    fn rows(&self) -> usize {
        self.x.len()
    }

    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        Ok(Loaded {
            x: &self.x,
            y: &self.y,
            weight: None,
            fold: None,
            index: rows,
        })
    }
}

#[test]
fn a_teachers_probabilities_are_learnt() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let taught = |head: Head, teacher: &[f32], loss: LossSpec| {
        let network = network("", 1, head);
        let x: Vec<f32> = (0..64).map(|i| (i % 2) as f32 - 0.5).collect();
        let mut rows = Taught {
            y: x.iter().flat_map(|_| teacher.iter().copied()).collect(),
            x,
        };
        let options = TrainOptions {
            epochs: 200,
            batch_size: 64,
            learning_rate: 0.1,
            loss,
            soft_targets: true,
            ..TrainOptions::default()
        };
        let start = network.initialise(1, Initializer::Zeros);
        let trained = nn::train(
            &network,
            start,
            &mut rows,
            None,
            &options,
            Crew::from(&pool),
            &mut Quiet,
        )?;
        let predictor = Predictor::new(&network, &trained.parameters)?;
        let mut out = vec![0.0; network.output_units()];
        predictor.forward(&[0.5], 1, &mut out, &mut predictor.scratch());
        Ok::<_, nn::Error>(out)
    };
    let near = |found: &[f32], expected: &[f32]| {
        let pairs = found.iter().zip(expected);
        assert!(
            pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-2),
            "{found:?}"
        );
    };
    near(
        &taught(Head::Binary, &[0.3], LossSpec::BinaryCrossentropy).unwrap(),
        &[0.3],
    );
    let three = [0.5, 0.125, 0.375];
    let head = Head::Multiclass { classes: 3 };
    near(
        &taught(head, &three, LossSpec::CategoricalCrossentropy).unwrap(),
        &three,
    );
    let ordered = Head::Ordinal { classes: 3 };
    near(&taught(ordered, &three, LossSpec::Ordinal).unwrap(), &three);
    let number = Head::Regression { outputs: 1 };
    assert!(taught(number, &[0.3], LossSpec::Mse).is_err());
}

#[test]
fn the_ordinal_layer_agrees_with_pytorch() {
    let file = SafeTensors::deserialize(LINKS).unwrap();
    let get = |part: &str| tensor(&file, &format!("ordinal.{part}"));
    // An embedding's table holds what the layer reads, so that its gradient is there to be compared.
    let architecture = r#"{"layers": [{"type": "input", "features": ["level"]},
        {"type": "embedding", "name": "x", "units": 5}]}"#;
    let network = Network::build(
        &Architecture::parse(architecture).unwrap(),
        &[InputFeature::column("level", 1, Some(ROWS))],
        Head::Ordinal { classes: 5 },
        None,
    )
    .unwrap();
    let mut parameters = vec![0.0; network.parameter_count()];
    for parameter in network.parameters() {
        let values = match parameter.name.as_str() {
            "x.weight" => get("x"),
            "ordinal1.weight" => get("layer.weight"),
            _ => get("layer.thresholds"),
        };
        parameters[parameter.range.clone()].copy_from_slice(&values);
    }
    let x: Vec<f32> = (0..ROWS).map(|row| row as f32).collect();
    let mut workspace = network.workspace(ROWS);
    let logits = network.forward(&parameters, &x, ROWS, &mut workspace, None);
    close("logits", logits, &get("logits"));
    let mut gradients = vec![0.0; parameters.len()];
    network.backward(
        &parameters,
        &x,
        ROWS,
        &get("seed"),
        &mut gradients,
        &mut workspace,
    );
    for parameter in network.parameters() {
        let found = &gradients[parameter.range.clone()];
        match parameter.name.as_str() {
            "x.weight" => close("x", found, &get("grad.x")),
            "ordinal1.weight" => close("weight", found, &get("grad.layer.weight")),
            _ => close("thresholds", found, &get("grad.layer.thresholds")),
        }
    }
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let mut all = vec![f32::NAN; 5 * ROWS];
    predictor.forward(&x, ROWS, &mut all, &mut predictor.scratch());
    close("probabilities", &all, &get("probabilities"));
    for row in 0..ROWS {
        let mut one = [f32::NAN; 5];
        predictor.forward(&x[row..], 1, &mut one, &mut predictor.scratch());
        assert_eq!(one, all[5 * row..][..5], "row {row} alone");
    }
}

#[test]
fn members_in_order_average_probabilities() {
    let text = r#"{"layers": [{"type": "dense", "units": 3, "activation": "tanh"}], "members": 2}"#;
    let network = Network::build(
        &Architecture::parse(text).unwrap(),
        &[InputFeature::column("x", 4, None)],
        Head::Ordinal { classes: 4 },
        None,
    )
    .unwrap();
    let mut random = Random::new(3, 0);
    let parameters: Vec<f32> = (0..network.parameter_count())
        .map(|_| random.normal_f32())
        .collect();
    let x: Vec<f32> = (0..4 * ROWS).map(|_| random.normal_f32()).collect();
    let predictor = Predictor::new(&network, &parameters).unwrap();
    let mut scratch = predictor.scratch();
    let mut mean = vec![0.0; 4 * ROWS];
    predictor.forward(&x, ROWS, &mut mean, &mut scratch);
    let mut each = [vec![0.0; 4 * ROWS], vec![0.0; 4 * ROWS]];
    for (member, out) in each.iter_mut().enumerate() {
        let folds = [member as u8; ROWS];
        predictor.forward_held_out(&pg_neural::nn::Never, &x, &folds, out, &mut scratch);
    }
    let expected: Vec<f32> = each[0]
        .iter()
        .zip(&each[1])
        .map(|(a, b)| (a + b) / 2.0)
        .collect();
    close("mean", &mean, &expected);
    for row in mean.chunks(4) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row.iter().all(|p| *p > 0.0));
    }
}

#[test]
fn thresholds_that_are_far_off_keep_probabilities() {
    let network = network("", 1, Head::Ordinal { classes: 4 });
    let predict = |thresholds: [f32; 3], x: f32| {
        let parameters = [1.0, thresholds[0], thresholds[1], thresholds[2]];
        let predictor = Predictor::new(&network, &parameters).unwrap();
        let mut out = [f32::NAN; 4];
        predictor.forward(&[x], 1, &mut out, &mut predictor.scratch());
        let mut workspace = network.workspace(1);
        let logits = network.forward(&parameters, &[x], 1, &mut workspace, None);
        assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
        out
    };
    for thresholds in [
        [0.0, -90.0, -90.0],
        [0.0, 100.0, 100.0],
        [-1e6, 3.0, 3.0],
        [1e6, 0.0, 0.0],
    ] {
        for x in [-1e5, 0.0, 1e5] {
            let out = predict(thresholds, x);
            let sum: f32 = out.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{thresholds:?} at {x}: {out:?}");
            assert!(out.iter().all(|p| *p >= 0.0));
        }
    }
}

#[test]
fn the_layer_ends_networks_of_classes_in_order_only() {
    let resolved = |layers: &str| {
        let architecture = Architecture::parse(&format!(r#"{{"layers": [{layers}]}}"#)).unwrap();
        architecture
            .resolve(Head::Ordinal { classes: 4 })
            .map(|resolved| resolved.to_json()["layers"].clone())
            .map_err(|error| error.to_string())
    };
    let expected = json!([{"type": "ordinal", "name": "ordinal1", "classes": 4}]);
    assert_eq!(resolved(""), Ok(expected.clone()));
    assert_eq!(resolved(r#"{"type": "ordinal"}"#), Ok(expected));
    let named = resolved(r#"{"type": "output", "name": "grade"}"#).unwrap();
    assert_eq!(named[0]["type"], "ordinal");
    assert_eq!(named[0]["name"], "grade");
    let other = resolved(r#"{"type": "ordinal", "classes": 5}"#).unwrap_err();
    assert!(other.contains("5 classes, but the target has 4"), "{other}");
    let text = r#"{"layers": [{"type": "ordinal", "classes": 3}, {"type": "output"}]}"#;
    let architecture = Architecture::parse(text).unwrap();
    let inputs = [InputFeature::column("x", 2, None)];
    for head in [Head::Binary, Head::Multiclass { classes: 3 }] {
        let error = Network::build(&architecture, &inputs, head, None).unwrap_err();
        assert!(error.to_string().contains("classes in order"), "{error}");
    }
}

#[test]
fn metrics_agree_with_scikit_learn() {
    let all: Value = serde_json::from_str(include_str!("fixtures/links.json")).unwrap();
    let numbers = |of: &Value, key: &str| -> Vec<f64> {
        let list = of[key].as_array().unwrap().iter();
        list.map(|v| v.as_f64().unwrap()).collect()
    };
    let near = |found: Option<f64>, expected: &Value, what: &str| {
        let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
        assert!(
            (found - expected).abs() < 1e-12,
            "{what}: {found}, not {expected}"
        );
    };
    for case in all["means"].as_array().unwrap() {
        let power = case["power"].as_f64().unwrap();
        let columns = ["predicted", "actual", "exposure"].map(|key| numbers(case, key));
        // In two parts, as a parallel evaluation has them.
        let mut parts = [Means::new(power), Means::new(power)];
        for i in 0..columns[0].len() {
            let [predicted, actual, exposure] = [0, 1, 2].map(|column: usize| columns[column][i]);
            let weight = exposure.powf(2.0 - power);
            parts[i % 2]
                .push(predicted, actual, exposure, weight)
                .unwrap();
        }
        let [mut found, other] = parts;
        found.merge(&other);
        let found = found.finish();
        near(found[5].1, &case["deviance"], found[5].0);
        near(found[6].1, &case["d2"], found[6].0);
        assert!(found[5].0.ends_with("_deviance") && found[6].0 == "d2");
    }
    let mut shares = Shares::default();
    let of = &all["shares"];
    for (predicted, actual) in numbers(of, "predicted").iter().zip(numbers(of, "actual")) {
        shares.push(*predicted, actual).unwrap();
    }
    near(shares.finish()[5].1, &of["log_loss"], "log_loss");
    let of = &all["ordinal"];
    let mut confusion = Confusion::new(5);
    for (actual, predicted) in numbers(of, "actual").iter().zip(numbers(of, "predicted")) {
        confusion.push(*actual as u32, predicted as u32).unwrap();
    }
    near(confusion.quadratic_kappa(), &of["kappa"], "kappa");
}

#[test]
fn metrics_at_their_ends_are_defined_or_refused() {
    let mut means = Means::new(2.0);
    assert!(means.push(1.0, 0.0, 1.0, 1.0).is_err());
    let mut means = Means::new(1.0);
    assert!(means.push(1.0, -1.0, 1.0, 1.0).is_err());
    assert_eq!(means.finish()[5].1, None);
    means.push(0.5, 0.0, 1.0, 1.0).unwrap();
    assert_eq!(means.finish()[5].1, Some(1.0));
    assert_eq!(means.finish()[6].1, None);
    means.push(0.5, 0.0, 1.0, 1.0).unwrap();
    assert_eq!(means.finish()[6].1, Some(0.0));
    let mut shares = Shares::default();
    assert!(shares.push(0.5, 1.5).is_err());
    shares.push(1.0, 0.0).unwrap();
    assert!(shares.finish()[5].1.unwrap() > 30.0);
    let mut confusion = Confusion::new(3);
    assert_eq!(confusion.quadratic_kappa(), None);
    confusion.push(1, 1).unwrap();
    assert_eq!(confusion.quadratic_kappa(), None);
    confusion.push(2, 0).unwrap();
    assert!(confusion.quadratic_kappa().unwrap() < 0.0);
}

/// Numbers that look drawn, from 0 to 1.
fn drawn(count: usize, step: usize) -> Vec<f64> {
    (1..=count)
        .map(|i| (i * step % 100_003) as f64 / 100_003.0)
        .collect()
}

/// Claims of policies that are insured for a part of a year.
fn claims(count: usize) -> Query {
    let (age, power, years) = (
        drawn(count, 7919),
        drawn(count, 15_013),
        drawn(count, 31_337),
    );
    let years: Vec<f64> = years.iter().map(|years| 0.25 + years).collect();
    let chance = drawn(count, 48_271);
    let number = |i: usize| {
        let rate = (-1.0 + 1.5 * age[i] - 0.8 * power[i]).exp();
        (rate * years[i] + chance[i]).floor()
    };
    let numbers: Vec<f64> = (0..count).map(number).collect();
    Query::default()
        .number("age", Origin::Float, age)
        .number("power", Origin::Float, power)
        .number("years", Origin::Float, years)
        .number("claims", Origin::Integer, numbers)
}

fn policies(options: Value) -> Training<'static> {
    let mut training = Training::of("claims").options(options);
    training.architecture = Some(r#"{"layers": []}"#);
    training.arguments.learning_rate = Some(0.02);
    training
}

#[test]
fn an_exposure_is_no_feature_and_makes_rates_of_numbers() {
    let query = claims(3000);
    let mut trained = policies(json!({"loss": "poisson", "exposure": "years", "weight_decay": 0}));
    let outcome = trained.run(&query).unwrap();
    let said = "regression of \"claims\" by poisson, for 1 of \"years\"";
    assert_eq!(trained.log.notices[0], said);
    let model = &outcome.model;
    let names: Vec<&str> = model
        .features
        .features
        .iter()
        .map(|f| f.name.as_str())
        .collect();
    assert_eq!(names, ["age", "power"]);
    let family = Family::Tweedie {
        power: 1.0,
        exposure: Some("years".into()),
    };
    assert_eq!(model.target.family(), Some(&family));
    assert!(
        outcome.metrics["d2"].as_f64().unwrap() > 0.1,
        "{}",
        outcome.metrics
    );
    assert!(outcome.metrics["poisson_deviance"].is_number());
    // An exposure of twice as much halves the rates, and nothing else changes.
    let mut twice = query.clone();
    if let Cells::Numbers(years) = &mut twice.cells[2] {
        years.iter_mut().for_each(|years| *years *= 2.0);
    }
    let halved = trained.run(&twice).unwrap();
    let scale = |target: &Target| match target {
        Target::Regression { outputs, .. } => outputs[0].divisor,
        _ => f64::NAN,
    };
    let ratio = scale(&model.target) / scale(&halved.model.target);
    assert!((ratio - 2.0).abs() < 1e-12);
    assert_eq!(model.parameters, halved.model.parameters);
    // The stored form keeps it all.
    let bytes = model.to_bytes().unwrap();
    let read = pg_neural::artifact::Model::from_bytes(&bytes).unwrap();
    assert_eq!(read.target, model.target);
}

#[test]
fn numbers_that_a_loss_does_not_take_are_refused() {
    let query = claims(400);
    let with = |column: usize, value: f64| {
        let mut query = query.clone();
        if let Cells::Numbers(values) = &mut query.cells[column] {
            values[7] = value;
        }
        query
    };
    let all_zero = |mut query: Query| {
        if let Cells::Numbers(values) = &mut query.cells[3] {
            values.fill(0.0);
        }
        query
    };
    // So many different numbers that they are not taken for classes.
    let over_20 = || {
        let mut query = query.clone();
        if let Cells::Numbers(values) = &mut query.cells[3] {
            values
                .iter_mut()
                .zip(0..)
                .for_each(|(value, i)| *value = f64::from(i % 50));
        }
        query
    };
    for (options, query, expected) in [
        (json!({"loss": "poisson"}), with(3, -1.0), "of at least 0"),
        (json!({"loss": "tweedie"}), with(3, -1.0), "of at least 0"),
        (json!({"loss": "gamma"}), query.clone(), "above 0"),
        (json!({"loss": "cross_entropy"}), over_20(), "from 0 to 1"),
        (
            json!({"loss": "poisson"}),
            all_zero(query.clone()),
            "no logarithm",
        ),
        (
            json!({"loss": "poisson", "exposure": "years"}),
            with(2, 0.0),
            "exposure",
        ),
        (
            json!({"loss": "poisson", "exposure": "years"}),
            with(2, f64::NAN),
            "exposure",
        ),
        (json!({"exposure": "years"}), over_20(), "mean's logarithm"),
        (
            json!({"loss": "poisson", "exposure": "claims"}),
            query.clone(),
            "names the target",
        ),
        (
            json!({"loss": "poisson", "exposure": "year"}),
            query.clone(),
            "\"year\" does not exist",
        ),
        (
            json!({"loss": "poisson", "target_scale": "standard"}),
            query.clone(),
            "target_scale",
        ),
        (
            json!({"loss": "poisson", "tweedie_variance_power": 1.5}),
            query.clone(),
            "tweedie_variance_power",
        ),
        (
            json!({"loss": "poisson", "label_smoothing": 0.1}),
            query.clone(),
            "label_smoothing",
        ),
        (
            json!({"loss": "poisson", "quantiles": [0.1]}),
            query.clone(),
            "quantiles",
        ),
        (json!({"levels": [0, 1, 2]}), query.clone(), "ordinal"),
    ] {
        let Err(error) = policies(options.clone()).run(&query) else {
            panic!("{options} was trained");
        };
        assert!(error.to_string().contains(expected), "{options}: {error}");
        assert!(error.hint().is_some(), "{options}: {error}");
    }
}

/// Grades that follow from two numbers.
fn grades(count: usize, texts: bool) -> Query {
    let (income, debt) = (drawn(count, 7919), drawn(count, 15_013));
    let chance = drawn(count, 48_271);
    let grade = |i: usize| {
        let noise = (chance[i] / (1.0 - chance[i])).ln();
        let latent = 4.0 * income[i] - 3.0 * debt[i] + noise;
        [-0.5, 0.5, 2.0].iter().filter(|cut| latent > **cut).count()
    };
    let query = Query::default()
        .number("income", Origin::Float, income.clone())
        .number("debt", Origin::Float, debt.clone());
    if !texts {
        let grades = (0..count).map(|i| grade(i) as f64).collect();
        return query.number("grade", Origin::Integer, grades);
    }
    let names = ["poor", "fair", "good", "best"];
    let grades = (0..count)
        .map(|i| Some(names[grade(i)].to_owned()))
        .collect();
    query.text("grade", grades)
}

#[test]
fn classes_in_order_are_learnt_by_their_order() {
    let mut training = Training::of("grade").options(json!({"loss": "ordinal"}));
    let outcome = training.run(&grades(2000, false)).unwrap();
    let said = "classification of \"grade\" in 4 classes in order, from \"0\" to \"3\"";
    assert_eq!(training.log.notices[0], said);
    let kappa = outcome.metrics["quadratic_weighted_kappa"]
        .as_f64()
        .unwrap();
    assert!(kappa > 0.4, "{}", outcome.metrics);
    assert_eq!(outcome.model.head(), Head::Ordinal { classes: 4 });
    let bytes = outcome.model.to_bytes().unwrap();
    let read = pg_neural::artifact::Model::from_bytes(&bytes).unwrap();
    assert_eq!(read.target, outcome.model.target);
    assert_eq!(read.architecture, outcome.model.architecture);

    let query = grades(2000, true);
    let with = |options: Value| Training::of("grade").options(options).run(&query);
    let levels = ["poor", "fair", "good", "best"];
    let named = with(json!({"loss": "ordinal", "levels": levels})).unwrap();
    assert_eq!(named.model.target.classes(), levels);
    for (options, expected) in [
        (json!({"loss": "ordinal"}), "say no order"),
        (
            json!({"loss": "ordinal", "levels": ["poor", "fair", "good"]}),
            "\"best\"",
        ),
        (json!({"levels": levels}), "loss ordinal"),
        (json!({"loss": "poisson"}), "is not a number"),
    ] {
        let Err(error) = with(options.clone()) else {
            panic!("{options} was trained");
        };
        assert!(error.to_string().contains(expected), "{options}: {error}");
        assert!(error.hint().is_some(), "{options}: {error}");
    }
}
