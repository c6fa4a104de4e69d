//! What training gives when nothing is said but the target: from a table's texts to predictions.

use std::borrow::Cow;

use pg_neural::features::{
    Block, Dictionary, Kind, MISSING, MemoryRows, Origin, RawRows, Values, storage_kind,
};
use pg_neural::nn::{Crew, EpochReport, Predictor, Random};
use pg_neural::training::{
    Arguments, Error, Given, Job, Judge, Observer, Options, Outcome, Plan, Truth, run,
};
use serde_json::{Value, json};

/// A table as a query gives it, with the target's column last.
pub struct Table {
    names: Vec<String>,
    /// Numbers, or texts where the type is text.
    origins: Vec<Origin>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn from_csv(text: &str) -> Table {
        let mut lines = text.lines().map(fields);
        let names = lines.next().expect("a header");
        let rows: Vec<Vec<String>> = lines.collect();
        let origins = (0..names.len())
            .map(|column| {
                let integers = rows.iter().all(|row| row[column].parse::<i64>().is_ok());
                if integers {
                    Origin::Integer
                } else {
                    Origin::Text
                }
            })
            .collect();
        Table {
            names,
            origins,
            rows,
        }
    }

    fn from_numbers(columns: usize, origin: Origin, rows: impl Iterator<Item = Vec<f64>>) -> Table {
        let mut names: Vec<String> = (1..columns).map(|i| format!("x{i}")).collect();
        names.push("y".into());
        let mut origins = vec![Origin::Float; columns];
        origins[columns - 1] = origin;
        let text = |row: Vec<f64>| row.iter().map(f64::to_string).collect();
        Table {
            names,
            origins,
            rows: rows.map(text).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    fn given(&self) -> Vec<Given> {
        let sql_type = |origin| match origin {
            Origin::Text => "text",
            Origin::Integer => "integer",
            _ => "double precision",
        };
        self.names
            .iter()
            .zip(&self.origins)
            .map(|(name, &origin)| Given {
                name: name.clone(),
                sql_type: sql_type(origin).into(),
                origin: Some(origin),
                element: None,
            })
            .collect()
    }

    /// The chosen rows as they are read for a plan.
    fn read(&self, plan: &Plan, chosen: &[usize]) -> (Block, Vec<Option<Dictionary>>) {
        let mut block = Block {
            rows: chosen.len(),
            columns: Vec::new(),
        };
        let mut dictionaries = Vec::new();
        for read in &plan.reads {
            let texts = chosen
                .iter()
                .map(|&row| self.rows[row][read.place].as_str());
            match read.kind {
                Kind::Number => {
                    let number = |text: &str| text.parse().unwrap_or(f64::NAN);
                    block
                        .columns
                        .push(Values::Number(texts.map(number).collect()));
                    dictionaries.push(None);
                }
                Kind::Integer => {
                    let number = |text: &str| text.parse().unwrap();
                    block
                        .columns
                        .push(Values::Integer(texts.map(number).collect()));
                    dictionaries.push(None);
                }
                Kind::Category => {
                    let mut words = Dictionary::new();
                    let code = |text: &str| match text {
                        "" => MISSING,
                        text => words.intern(text),
                    };
                    block
                        .columns
                        .push(Values::Category(texts.map(code).collect()));
                    dictionaries.push(Some(words));
                }
                Kind::Array | Kind::Numbers | Kind::Labels => {
                    unreachable!("the table has no arrays")
                }
            }
        }
        (block, dictionaries)
    }
}

/// The fields of a line of CSV.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => fields.last_mut().expect("a field").push(letter),
        }
    }
    fields
}

struct Silent;

impl Observer for Silent {
    fn interrupted(&mut self) -> bool {
        false
    }

    fn warning(&mut self, _: &str) {}

    fn notice(&mut self, _: &str) {}

    fn epoch(&mut self, _: &EpochReport, _: usize) {}
}

/// How a training is asked for.
#[derive(Clone, Default)]
pub struct Wish {
    pub architecture: Option<&'static str>,
    pub arguments: Arguments,
    pub options: Option<Value>,
    /// Bytes; none: plenty.
    pub memory: Option<usize>,
    /// None: two.
    pub threads: Option<usize>,
}

pub struct Fitted {
    plan: Plan,
    pub outcome: Outcome,
}

/// Trains on the chosen rows; the target is the last column.
pub fn train(table: &Table, chosen: &[usize], wish: &Wish) -> Fitted {
    try_train(table, chosen, wish).expect("a model")
}

fn try_train(table: &Table, chosen: &[usize], wish: &Wish) -> Result<Fitted, Error> {
    let options = Options::parse(&wish.options.clone().unwrap_or(json!({}))).expect("options");
    let target = table.names.last().expect("a target");
    let plan = Plan::new(&table.given(), target, None, None, &options, None).expect("a plan");
    for (request, column) in plan.requests.iter().zip(&plan.features) {
        assert_eq!(storage_kind(request, column.origin), column.kind);
    }
    let (block, dictionaries) = table.read(&plan, chosen);
    let threads = wish.threads.unwrap_or(2);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads");
    let job = Job {
        task: None,
        architecture: wish.architecture,
        arguments: &wish.arguments,
        options: &options,
        plan: &plan,
        previous: None,
        seen: None,
        sequences: None,
        dictionaries: &dictionaries,
        resume: None,
        memory: wish.memory.unwrap_or(1 << 30),
        crew: Crew {
            threads,
            ..Crew::from(&pool)
        },
    };
    let outcome = run(&job, &mut MemoryRows::new(block), &mut Silent)?;
    Ok(Fitted { plan, outcome })
}

impl Fitted {
    /// Judges the model on the chosen rows.
    pub fn judge(&self, table: &Table, chosen: &[usize]) -> Vec<(Cow<'static, str>, Option<f64>)> {
        let (block, dictionaries) = table.read(&self.plan, chosen);
        let model = &self.outcome.model;
        let network = model.network().expect("a network");
        let predictor = Predictor::new(&network, &model.parameters).expect("a predictor");
        let encoder = model.features.block_encoder(&dictionaries);
        let mut x = vec![0.0; block.rows * encoder.width()];
        encoder.encode(&block, &mut x).expect("encoded rows");
        let units = predictor.output_units();
        let mut out = vec![0.0; block.rows * units];
        predictor.forward(&x, block.rows, &mut out, &mut predictor.scratch());
        let at = self.plan.at.target;
        let words = dictionaries[at].as_ref();
        let labels = model.target.labels(words).expect("labels");
        let mut judge = Judge::new(&model.target);
        let mut rows = MemoryRows::new(block);
        let mut block = Block::default();
        rows.read(0, chosen.len(), &mut block).expect("rows");
        for (row, outputs) in out.chunks_exact(units).enumerate() {
            let truth = match labels.class(&block, at, row) {
                Some(class) => Truth::Class(class),
                None => Truth::Number(block.columns[at].number(row).expect("a number")),
            };
            judge.push(outputs, truth).expect("a judged row");
        }
        judge.finish(|| ())
    }
}

pub fn metric(metrics: &[(Cow<'static, str>, Option<f64>)], name: &str) -> f64 {
    let found = metrics.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, value)| *value).expect("the metric")
}

/// Cross-validation: each row's fold, every class spread evenly.
fn folds(table: &Table, folds: usize, seed: u64) -> Vec<usize> {
    let target = table.names.len() - 1;
    let mut order: Vec<usize> = (0..table.len()).collect();
    Random::new(seed, 0).shuffle(&mut order);
    if table.origins[target] != Origin::Float {
        order.sort_by_key(|&row| &table.rows[row][target]);
    }
    let mut fold = vec![0; order.len()];
    for (place, row) in order.into_iter().enumerate() {
        fold[row] = place % folds;
    }
    fold
}

/// The mean of a metric over the held-out folds of some shuffles; `of` folds, of which the first
/// `tried` are.
fn cross_validated(
    table: &Table,
    wish: &Wish,
    name: &str,
    shuffles: u64,
    of: usize,
    tried: usize,
) -> f64 {
    let mut values = Vec::new();
    for shuffle in 0..shuffles {
        let fold = folds(table, of, shuffle);
        for held_out in 0..tried {
            let (test, training): (Vec<usize>, Vec<usize>) =
                (0..table.len()).partition(|&row| fold[row] == held_out);
            let mut wish = wish.clone();
            wish.arguments.seed = shuffle;
            values.push(metric(
                &train(table, &training, &wish).judge(table, &test),
                name,
            ));
        }
    }
    values.iter().sum::<f64>() / values.len() as f64
}

fn german_credit() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/german_credit.csv");
    Table::from_csv(&std::fs::read_to_string(path).expect("the data"))
}

/// Five-fold cross-validation without any option.
#[test]
fn credit_risk_is_told_without_options() {
    let table = german_credit();
    assert_eq!((table.len(), table.names.len()), (1000, 21));
    let auc = cross_validated(&table, &Wish::default(), "auc", 1, 5, 5);
    assert!(auc >= 0.775, "AUC {auc:.4}");
}

#[test]
fn a_small_table_is_learnt_by_members_that_each_hold_out_a_fold() {
    let table = german_credit();
    let all: Vec<usize> = (0..table.len()).collect();
    let wish = Wish {
        options: Some(json!({"members": 8})),
        ..Wish::default()
    };
    let fitted = train(&table, &all, &wish);
    let outcome = &fitted.outcome;
    assert_eq!(outcome.model.architecture.members, 8);
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (1000, 1000));
    // Of rows that a member was not trained on, not of those it knows.
    let auc = outcome.metrics["auc"].as_f64().expect("an AUC");
    assert!((0.74..0.83).contains(&auc), "AUC {auc:.4}");
    assert!(metric(&fitted.judge(&table, &all), "auc") > auc + 0.01);
    let bytes = outcome.model.to_bytes().expect("an artifact");
    let read = pg_neural::artifact::Model::from_bytes(&bytes).expect("the model");
    assert_eq!(read, outcome.model);
}

/// The metrics stay those of the members, of rows that each had left out.
#[test]
fn one_network_learns_from_the_members_and_takes_their_place() {
    let table = german_credit();
    let all: Vec<usize> = (0..table.len()).collect();
    let fitted = train(&table, &all, &Wish::default());
    let outcome = &fitted.outcome;
    assert_eq!(outcome.model.architecture.members, 1);
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (1000, 1000));
    let student = &outcome.model.training["student"];
    assert_eq!(student["members"], 8);
    let loss = |key: &str| student[key].as_f64().expect("a loss");
    assert!(loss("held_out_loss") <= 1.01 * loss("held_out_loss_of_a_member"));
    let auc = outcome.metrics["auc"].as_f64().expect("an AUC");
    assert!((0.74..0.83).contains(&auc), "AUC {auc:.4}");
    // It has met every row: a version that goes on from it holds none of them out.
    let seen = pg_neural::training::SeenRows::from_bytes(&outcome.seen).expect("the rows");
    assert!(!seen.rows.has_folds());
    let bytes = outcome.model.to_bytes().expect("an artifact");
    let read = pg_neural::artifact::Model::from_bytes(&bytes).expect("the model");
    assert_eq!(read, outcome.model);
}

/// Of three classes it learns each one's share.
#[test]
fn one_network_learns_the_shares_of_several_classes() {
    let mut random = Random::new(7, 10);
    let rows: Vec<Vec<f64>> = (0..600)
        .map(|row| {
            let class = row % 3;
            let mut near = |at: f64| at + f64::from(random.normal_f32());
            let (x, y) = (near(f64::from(class)), near(f64::from(class * class) / 2.0));
            vec![x, y, f64::from(class)]
        })
        .collect();
    let table = Table::from_numbers(3, Origin::Integer, rows.into_iter());
    let all: Vec<usize> = (0..table.len()).collect();
    let wish = |members: Value| Wish {
        options: Some(members),
        ..Wish::default()
    };
    let fitted = train(&table, &all, &wish(json!({})));
    let members = train(&table, &all, &wish(json!({"members": 8})));
    let training = &fitted.outcome.model.training;
    assert_eq!(training["student"]["members"], 8, "{training}");
    assert_eq!(fitted.outcome.model.architecture.members, 1);
    // The metrics are those of the same members.
    assert_eq!(fitted.outcome.metrics, members.outcome.metrics);
    let loss = |fitted: &Fitted| metric(&fitted.judge(&table, &all), "log_loss");
    let (own, theirs) = (loss(&fitted), loss(&members));
    assert!((own - theirs).abs() < 0.02, "{own} {theirs}");
}

/// Numbers are bent where the rows held out say so: a target that turns, and one that does not.
#[test]
fn numbers_are_bent_where_that_tells_more() {
    let mut random = Random::new(7, 9);
    let mut rows = |turns: bool| -> Vec<Vec<f64>> {
        let mut row = || {
            let x: Vec<f64> = (0..4).map(|_| f64::from(random.normal_f32())).collect();
            let noise = f64::from(random.normal_f32());
            let y = match turns {
                true => 3.0 * (4.0 * x[0]).sin() + f64::from(x[1] > 0.5) + 0.2 * noise,
                false => x[0] - 0.5 * x[1] + 0.2 * x[2] + noise,
            };
            [x, vec![y]].concat()
        };
        (0..1200).map(|_| row()).collect()
    };
    for turns in [true, false] {
        let table = Table::from_numbers(5, Origin::Float, rows(turns).into_iter());
        let all: Vec<usize> = (0..table.len()).collect();
        let model = train(&table, &all, &Wish::default()).outcome.model;
        let written = model.architecture.to_json().to_string();
        assert_eq!(written.contains("piecewise_linear"), turns, "{written}");
        let trials = &model.training["trials"];
        assert_eq!(trials["numbers_bent"], turns);
        let loss = |key: &str| trials[key].as_f64().expect("a loss");
        let (bent, straight) = (loss("held_out_loss_bent"), loss("held_out_loss_straight"));
        assert_eq!(bent < straight, turns, "{bent} {straight}");
    }
}

/// A number that its features tell is learnt without what keeps noise from being learnt, and one
/// network stands in for the members; where little is told, dropout and decay stay.
#[test]
fn a_number_is_learnt_lightly_where_that_tells_more() {
    let told = friedman(1000);
    let mut random = Random::new(7, 11);
    let noise = Table::from_numbers(
        8,
        Origin::Float,
        (0..600).map(|_| {
            let mut row: Vec<f64> = (0..7).map(|_| f64::from(random.normal_f32())).collect();
            row.push(0.3 * row[0] + f64::from(random.normal_f32()));
            row
        }),
    );
    for (table, is_light) in [(&told, true), (&noise, false)] {
        let all: Vec<usize> = (0..table.len()).collect();
        let model = train(table, &all, &Wish::default()).outcome.model;
        let trials = &model.training["trials"];
        assert_eq!(trials["light"], is_light, "{trials}");
        let loss = |key: &str| trials[key].as_f64().expect("a loss");
        let (light, usual) = (
            loss("held_out_loss_light"),
            loss("held_out_loss_regularized"),
        );
        assert_eq!(light < usual, is_light, "{light} {usual}");
        if is_light {
            let written = model.architecture.to_json().to_string();
            assert!(!written.contains("0.15"), "{written}");
            assert_eq!(model.training["student"]["members"], 8, "{trials}");
        }
        // Who says how strongly is not overruled.
        for said in [json!({"dropout": 0.1}), json!({"weight_decay": 0.1})] {
            let mut wish = Wish {
                options: Some(said),
                ..Wish::default()
            };
            wish.arguments.epochs = Some(1);
            let model = train(table, &all, &wish).outcome.model;
            assert!(model.training["trials"]["light"].is_null());
        }
    }
}

/// Beyond 10,000 rows there are fewer members, and beyond 100,000 one network.
#[test]
fn a_larger_table_is_learnt_by_four_members() {
    let table = moons(10_200);
    let all: Vec<usize> = (0..table.len()).collect();
    let mut wish = Wish::default();
    wish.arguments.epochs = Some(2);
    let outcome = train(&table, &all, &wish).outcome;
    let model = &outcome.model;
    assert_eq!(
        (outcome.rows_trained, outcome.rows_validated),
        (10_200, 10_200)
    );
    let stored = model.architecture.members;
    let student = &model.training["student"];
    assert!(stored == 4 || student["members"] == 4, "{stored} {student}");
}

/// However few rows can be held at once, and by however many threads.
#[test]
fn the_choices_of_the_default_do_not_depend_on_memory_or_threads() {
    let table = friedman(700);
    let all: Vec<usize> = (0..table.len()).collect();
    let mut wish = Wish::default();
    wish.arguments.epochs = Some(4);
    wish.arguments.batch_size = Some(64);
    let plenty = train(&table, &all, &wish).outcome;
    let trials = plenty.model.training.to_string();
    assert!(trials.contains("numbers_bent"), "{trials}");
    wish.threads = Some(1);
    // The least that will do, less than all encoded rows take.
    let little = (10..).find_map(|steps| {
        wish.memory = Some(steps * 100_000);
        try_train(&table, &all, &wish).ok()
    });
    let little = little.expect("a model").outcome.model;
    assert_eq!(little.parameters, plenty.model.parameters);
    assert_eq!(little.training, plenty.model.training);
}

#[test]
fn what_is_said_of_members_and_validation_is_done() {
    let table = german_credit();
    let some: Vec<usize> = (0..200).collect();
    let done = |rows: &[usize], architecture, validation, options| {
        let mut wish = Wish {
            architecture,
            options: Some(options),
            ..Wish::default()
        };
        wish.arguments.validation = validation;
        wish.arguments.epochs = Some(1);
        let outcome = train(&table, rows, &wish).outcome;
        let members = outcome.model.architecture.members;
        (members, outcome.rows_trained, outcome.rows_validated)
    };
    let three = Some(r#"{"members": 3, "layers": [{"type": "dense", "units": 4}]}"#);
    assert_eq!(done(&some, None, None, json!({})), (8, 200, 200));
    assert_eq!(done(&some, None, None, json!({"members": 1})), (1, 170, 30));
    assert_eq!(done(&some, None, Some(0.25), json!({})), (1, 150, 50));
    assert_eq!(
        done(&some, None, Some(0.25), json!({"members": 4})),
        (4, 150, 50)
    );
    assert_eq!(
        done(&some, None, Some(0.0), json!({"members": 2})),
        (2, 200, 0)
    );
    let last = json!({"validation_split": "last"});
    assert_eq!(done(&some, None, None, last), (1, 170, 30));
    assert_eq!(
        done(&some, Some("mlp_10_10"), None, json!({})),
        (1, 170, 30)
    );
    assert_eq!(done(&some, three, None, json!({})), (3, 200, 200));
    assert_eq!(
        done(&some, three, None, json!({"members": 2})),
        (2, 200, 200)
    );
    assert_eq!(done(&some[..40], None, None, json!({})), (1, 34, 6));
}

/// However few rows can be held at once, and by however many threads.
#[test]
fn folds_do_not_depend_on_memory_or_threads() {
    let table = german_credit();
    let all: Vec<usize> = (0..table.len()).collect();
    let mut wish = Wish {
        options: Some(json!({"members": 3})),
        ..Wish::default()
    };
    wish.arguments.epochs = Some(2);
    wish.arguments.batch_size = Some(32);
    let plenty = train(&table, &all, &wish).outcome;
    wish.threads = Some(1);
    // The least that will do, less than all encoded rows take.
    let little = (10..).find_map(|steps| {
        wish.memory = Some(steps * 100_000);
        try_train(&table, &all, &wish).ok()
    });
    let little = little.expect("a model").outcome;
    assert_eq!(little.model.parameters, plenty.model.parameters);
    assert_eq!(little.metrics, plenty.metrics);
    assert_eq!(little.validation_loss, plenty.validation_loss);
}

/// Two half circles, with noise, and eight columns of nothing else.
fn moons(rows: usize) -> Table {
    let mut random = Random::new(7, 1);
    let rows = (0..rows).map(move |row| {
        let class = row % 2;
        let angle = std::f64::consts::PI * random.uniform_f64();
        let (x, y) = match class {
            0 => (angle.cos(), angle.sin()),
            _ => (1.0 - angle.cos(), 0.5 - angle.sin()),
        };
        let mut normal = || f64::from(random.normal_f32());
        let mut row = vec![x + 0.25 * normal(), y + 0.25 * normal()];
        row.extend((0..8).map(|_| normal()));
        row.push(class as f64);
        row
    });
    Table::from_numbers(11, Origin::Integer, rows)
}

/// Friedman's first function of five of ten columns.
fn friedman(rows: usize) -> Table {
    let mut random = Random::new(7, 2);
    let rows = (0..rows).map(move |_| {
        let mut row: Vec<f64> = (0..10).map(|_| random.uniform_f64()).collect();
        let y = 10.0 * (std::f64::consts::PI * row[0] * row[1]).sin()
            + 20.0 * (row[2] - 0.5).powi(2)
            + 10.0 * row[3]
            + 5.0 * row[4];
        row.push(y + f64::from(random.normal_f32()));
        row
    });
    Table::from_numbers(11, Origin::Float, rows)
}

/// Credits whose risk follows from products, waves and levels of skewed columns, some missing.
fn credits(rows: usize) -> Table {
    let mut random = Random::new(7, 3);
    let region: Vec<f64> = (0..12)
        .map(|_| 0.5 * f64::from(random.normal_f32()))
        .collect();
    let purpose: Vec<f64> = (0..6)
        .map(|_| 0.5 * f64::from(random.normal_f32()))
        .collect();
    let mut row = || {
        let mut normal = || f64::from(random.normal_f32());
        let (income, loan) = ((10.0 + 0.7 * normal()).exp(), (9.0 + normal()).exp());
        let (noise, skewed) = (normal(), (1.5 * normal()).exp());
        let mut uniform = || random.uniform_f64();
        let age = 18.0 + 62.0 * uniform();
        // The beta distribution of 1.5 and 3.
        let used = loop {
            let x = uniform();
            if 0.29 * uniform() < x.sqrt() * (1.0 - x) * (1.0 - x) {
                break x;
            }
        };
        // Poisson's distribution of mean 0.5.
        let (mut late, mut left) = (0.0, uniform() - 0.6065);
        let mut share: f64 = 0.6065;
        while left > 0.0 {
            late += 1.0;
            share *= 0.5 / late;
            left -= share.max(1e-9);
        }
        let employed = -6.0 * (1.0 - uniform()).ln();
        let r = (12.0 * uniform()) as usize;
        let p = (6.0 * uniform()) as usize;
        let house = match uniform() {
            u if u < 0.5 => 0,
            u if u < 0.9 => 1,
            _ => 2,
        };
        let risk = 1.2 * (loan / income + 0.05).ln()
            + if used > 0.5 { 0.8 * late } else { 0.0 }
            + 0.6 * ((age - 45.0) / 18.0).powi(2)
            - 0.15 * employed.min(10.0)
            + region[r]
            + if house == 1 { 2.0 * purpose[p] } else { 0.0 }
            + if house == 0 {
                0.0
            } else {
                1.5 * (4.0 * used).sin()
            }
            + if age < 30.0 && p == 2 { 0.4 } else { 0.0 };
        let bad = uniform() < 1.0 / (1.0 + (-(risk + 0.1)).exp());
        let income = if uniform() < 0.005 {
            100.0 * income
        } else {
            income
        };
        let mut some = |share: f64, text: String| match uniform() < share {
            true => String::new(),
            false => text,
        };
        vec![
            some(0.08, income.to_string()),
            loan.to_string(),
            age.to_string(),
            some(0.05, used.to_string()),
            late.to_string(),
            some(0.15, employed.to_string()),
            noise.to_string(),
            skewed.to_string(),
            format!("r{r}"),
            some(0.1, format!("p{p}")),
            format!("h{house}"),
            u8::from(bad).to_string(),
        ]
    };
    let mut origins = vec![Origin::Float; 8];
    origins.extend([Origin::Text, Origin::Text, Origin::Text, Origin::Integer]);
    Table {
        names: (1..=12).map(|i| format!("c{i}")).collect(),
        origins,
        rows: (0..rows).map(|_| row()).collect(),
    }
}

/// What the defaults reach on some tables, and how long a training takes.
#[test]
#[ignore = "a report, not a test; it takes minutes"]
fn report_of_the_defaults() {
    let plain = Wish::default();
    let tables = [
        ("german credit", german_credit(), "auc", 5, 5, 5),
        ("moons 1k", moons(1000), "auc", 1, 5, 5),
        ("friedman 1k", friedman(1000), "r2", 1, 5, 5),
        ("credits 3k", credits(3000), "auc", 1, 5, 5),
        ("credits 20k", credits(20_000), "auc", 1, 5, 2),
    ];
    for (title, table, name, shuffles, of, tried) in tables {
        let started = std::time::Instant::now();
        let mean = cross_validated(&table, &plain, name, shuffles, of, tried);
        let each = started.elapsed().as_secs_f64() / (shuffles as usize * tried) as f64;
        println!("{title}: {name} {mean:.4}, {each:.2} s a training");
    }
    let table = german_credit();
    let all: Vec<usize> = (0..table.len()).collect();
    let model = train(&table, &all, &plain).outcome.model;
    let network = model.network().expect("a network");
    let predictor = Predictor::new(&network, &model.parameters).expect("a predictor");
    let x = vec![0.5; 1024 * predictor.input_width()];
    let (mut out, mut scratch) = (vec![0.0; 1024], predictor.scratch());
    for rows in [1, 1024] {
        let started = std::time::Instant::now();
        let times = 20_480 / rows;
        (0..times).for_each(|_| predictor.forward(&x, rows, &mut out, &mut scratch));
        let each = started.elapsed().as_secs_f64() / (times * rows) as f64;
        println!("a prediction, {rows} at once: {:.2} us a row", 1e6 * each);
    }
}
