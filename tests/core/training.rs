//! Trainings from typed rows to a model: what they learn, keep, refuse, and that their bits depend
//! on neither memory nor threads.

use pg_neural::artifact::Model;
use pg_neural::features::{
    self, Block, Dictionary, Fitted, MISSING, MemoryRows, Origin, Profile, Target, Task, Values,
};
use pg_neural::nn::{self, Crew, EpochReport, Random};
use pg_neural::training::{
    Arguments, Error, Given, Job, Kept, Observer, Options, Outcome, Plan, SeenRows, check, run,
};
use serde_json::{Value, json};

use crate::counted_rows::Counted;

/// A column of a query's result.
#[derive(Clone)]
pub enum Cells {
    Numbers(Vec<f64>),
    Texts(Vec<Option<String>>),
    NumberArrays(Vec<Vec<f64>>),
    /// Of so many numbers a step.
    Sequences(usize, Vec<Vec<f64>>),
    TextArrays(Vec<Vec<&'static str>>),
}

/// The result of a query.
#[derive(Clone, Default)]
pub struct Query {
    pub given: Vec<Given>,
    pub cells: Vec<Cells>,
}

impl Query {
    pub fn number(mut self, name: &str, origin: Origin, values: Vec<f64>) -> Query {
        self.given.push(Given {
            name: name.into(),
            sql_type: format!("{origin:?}").to_lowercase(),
            origin: Some(origin),
            element: None,
        });
        self.cells.push(Cells::Numbers(values));
        self
    }

    pub fn text(mut self, name: &str, values: Vec<Option<String>>) -> Query {
        self.given.push(Given {
            name: name.into(),
            sql_type: "text".into(),
            origin: Some(Origin::Text),
            element: None,
        });
        self.cells.push(Cells::Texts(values));
        self
    }

    /// A column of arrays whose elements are of this family.
    pub fn arrays(mut self, name: &str, element: Origin, cells: Cells) -> Query {
        self.given.push(Given {
            name: name.into(),
            sql_type: format!("{element:?}[]").to_lowercase(),
            origin: None,
            element: Some(element),
        });
        self.cells.push(cells);
        self
    }

    /// A column of sequences of so many numbers a step.
    pub fn sequences(mut self, name: &str, features: usize, rows: Vec<Vec<f64>>) -> Query {
        self.given.push(Given {
            name: name.into(),
            sql_type: "double precision[]".into(),
            origin: Some(Origin::NumberArray),
            element: Some(Origin::Float),
        });
        self.cells.push(Cells::Sequences(features, rows));
        self
    }

    /// The same rows with these columns only, in this order.
    pub fn select(&self, names: &[&str]) -> Query {
        let mut selected = Query::default();
        for name in names {
            let place = self.given.iter().position(|g| g.name == *name).unwrap();
            selected.given.push(self.given[place].clone());
            selected.cells.push(self.cells[place].clone());
        }
        selected
    }

    /// The rows of numbers whose places pass.
    pub fn keep(mut self, passes: impl Fn(usize) -> bool) -> Query {
        for cells in &mut self.cells {
            if let Cells::Numbers(numbers) = cells {
                let mut places = 0..;
                numbers.retain(|_| places.next().is_some_and(&passes));
            }
        }
        self
    }
}

/// Loans whose risk and amount follow from age, income and purpose.
pub fn loans(rows: usize) -> Query {
    let mut random = Random::new(5, 0);
    let mut query: [Vec<f64>; 7] = Default::default();
    let [ages, incomes, amounts, weights, flags, households, grades] = &mut query;
    let (mut purposes, mut bad) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let age = 18.0 + random.below(60) as f64;
        let income = 2000.0 + 500.0 * f64::from(random.normal_f32());
        let purpose = ["car", "house", "tv", "boat"][random.below(4) as usize];
        let risk = (40.0 - age) / 20.0
            + f64::from(purpose == "boat")
            + 0.5 * f64::from(random.normal_f32());
        ages.push(age);
        incomes.push(if row % 17 == 0 { f64::NAN } else { income });
        purposes.push((row % 23 != 0).then(|| purpose.to_string()));
        bad.push(Some(if risk > 0.3 { "yes" } else { "no" }.to_string()));
        amounts.push(100.0 * risk + 1000.0);
        weights.push(2.0);
        flags.push(f64::from(u8::from(row % 4 == 0)));
        households.push((row / 3) as f64);
        grades.push((age / 26.0).floor());
    }
    let [ages, incomes, amounts, weights, flags, households, grades] = query;
    Query::default()
        .number("age", Origin::Integer, ages)
        .number("income", Origin::Float, incomes)
        .text("purpose", purposes)
        .text("bad", bad)
        .number("amount", Origin::Float, amounts)
        .number("weight", Origin::Float, weights)
        .number("held_out", Origin::Boolean, flags)
        .number("household", Origin::Integer, households)
        .number("grade", Origin::Integer, grades)
}

fn risk(rows: usize) -> Query {
    loans(rows).select(&["age", "income", "purpose", "bad"])
}

/// Records what it is told, and asks to stop after so many questions or epochs.
#[derive(Default)]
pub struct Log {
    pub notices: Vec<String>,
    pub warnings: Vec<String>,
    epochs: usize,
    asked: usize,
    pub stop_after: Option<usize>,
    stop_after_epoch: Option<usize>,
    /// What was to be kept of the training, each time.
    pub kept: Vec<Vec<u8>>,
}

impl Observer for Log {
    fn interrupted(&mut self) -> bool {
        self.asked += 1;
        self.stop_after.is_some_and(|limit| self.asked > limit)
            || self
                .stop_after_epoch
                .is_some_and(|limit| self.epochs >= limit)
    }

    fn warning(&mut self, text: &str) {
        self.warnings.push(text.to_string());
    }

    fn notice(&mut self, text: &str) {
        self.notices.push(text.to_string());
    }

    fn epoch(&mut self, _: &EpochReport, _: usize) {
        self.epochs += 1;
    }

    fn keeps(&mut self) -> bool {
        true
    }

    fn keep(&mut self, kept: &Kept<'_>) {
        let mut bytes = Vec::new();
        let Ok(()) = kept.in_pieces(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<(), std::convert::Infallible>(())
        });
        self.kept.push(bytes);
    }
}

/// A training as `neural.train` is called.
pub struct Training<'a> {
    pub target: &'a str,
    pub task: Option<Task>,
    pub architecture: Option<&'a str>,
    pub features: Option<Value>,
    pub arguments: Arguments,
    pub options: Value,
    pub previous: Option<&'a Model>,
    pub seen: Option<&'a SeenRows>,
    pub memory: usize,
    pub threads: usize,
    in_place: bool,
    pub resume: Option<&'a [u8]>,
    pub log: Log,
    reads: usize,
}

impl<'a> Training<'a> {
    pub fn of(target: &'a str) -> Training<'a> {
        Training {
            target,
            task: None,
            architecture: None,
            features: None,
            arguments: Arguments {
                epochs: Some(6),
                seed: 3,
                ..Arguments::default()
            },
            options: json!({}),
            previous: None,
            seen: None,
            memory: 64 << 20,
            threads: 1,
            in_place: false,
            resume: None,
            log: Log::default(),
            reads: 0,
        }
    }

    pub fn options(mut self, options: Value) -> Training<'a> {
        self.options = options;
        self
    }

    pub fn after(mut self, previous: &'a Model) -> Training<'a> {
        self.previous = Some(previous);
        self
    }

    fn plan(&self, query: &Query, options: &Options) -> Result<Plan, Error> {
        let previous = self.previous.map(|model| &model.features);
        Plan::new(
            &query.given,
            self.target,
            self.features.as_ref(),
            self.task().or_else(|| options.implied_task()),
            options,
            previous,
        )
    }

    fn task(&self) -> Option<Task> {
        self.task
            .or_else(|| self.previous.map(|model| model.target.task()))
    }

    pub fn run(&mut self, query: &Query) -> Result<Outcome, Error> {
        let options = Options::parse(&self.options)?;
        let task = self.task().or_else(|| options.implied_task());
        check(
            &self.arguments,
            &options,
            self.architecture,
            task,
            self.previous,
        )?;
        let mut plan = self.plan(query, &options)?;
        let previous = self.previous.map(|model| &model.features);
        let kept = previous.filter(|_| options.goes_on());
        if kept.is_none() {
            plan.settle_arrays(self.architecture)?;
        }
        plan.settle_precision(kept);
        let mut intakes = plan.intakes(kept, self.memory);
        let mut block = Block::new(plan.reads.iter().map(|read| read.kind));
        let dictionaries = plan.reads.iter().map(|read| read.dictionary.clone());
        let mut dictionaries: Vec<Option<Dictionary>> = dictionaries.collect();
        for (i, read) in plan.reads.iter().enumerate() {
            let words = dictionaries[i].as_mut();
            match (&mut block.columns[i], &query.cells[read.place], words) {
                (Values::Number(to), Cells::Numbers(from), _) => to.extend(from),
                (Values::Integer(to), Cells::Numbers(from), _) => {
                    to.extend(from.iter().map(|number| *number as i64));
                }
                (Values::Category(to), Cells::Texts(from), Some(words)) => {
                    for text in from {
                        to.push(text.as_ref().map_or(MISSING, |text| words.intern(text)));
                    }
                }
                (Values::Category(to), Cells::Numbers(from), Some(words)) => {
                    to.extend(from.iter().map(|number| words.intern(&number.to_string())));
                }
                (Values::Numbers(to), Cells::NumberArrays(from), _) => {
                    from.iter().for_each(|row| to.push(row));
                }
                (Values::Numbers(to), Cells::Sequences(features, from), _) => {
                    let intake = intakes[i].as_mut().expect("what takes it in");
                    for row in from {
                        let dims = [row.len() / features, *features];
                        let dims = &dims[..if *features == 1 { 1 } else { 2 }];
                        to.open().extend_from_slice(row);
                        intake.array(dims, to).map_err(Error::Features)?;
                    }
                }
                (Values::Labels(to), Cells::TextArrays(from), Some(words)) => {
                    for row in from {
                        let codes = row.iter().map(|text| words.intern(text));
                        to.open().extend(codes);
                        to.close();
                    }
                }
                _ => panic!("column {i} is read as what it is not"),
            }
            block.rows = block.columns[i].len();
        }
        let shapes = intakes.iter().map(|intake| intake.as_ref()?.shape());
        plan.set_shapes(shapes.collect::<Vec<_>>().into_iter());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .unwrap();
        let job = Job {
            task,
            architecture: self.architecture,
            arguments: &self.arguments,
            options: &options,
            plan: &plan,
            previous: self.previous,
            seen: self.seen,
            sequences: None,
            dictionaries: &dictionaries,
            resume: self.resume,
            memory: self.memory,
            crew: Crew {
                threads: self.threads,
                ..Crew::from(&pool)
            },
        };
        let mut rows = Counted {
            rows: MemoryRows::new(block),
            in_place: self.in_place,
            reads: 0,
        };
        let outcome = run(&job, &mut rows, &mut self.log);
        self.reads = rows.reads;
        outcome
    }
}

pub fn metric(outcome: &Outcome, name: &str) -> f64 {
    outcome.metrics[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name} of {}", outcome.metrics))
}

pub fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "it went through".into(),
        Err(error) => {
            assert!(error.hint().is_some(), "no hint: {error}");
            error.to_string()
        }
    }
}

pub fn bits(outcome: &Outcome) -> Vec<u32> {
    outcome
        .model
        .parameters
        .iter()
        .map(|p| p.to_bits())
        .collect()
}

#[test]
fn two_classes_of_texts_are_learnt_and_described() {
    let mut training = Training::of("bad");
    training.arguments.validation = Some(0.15);
    let outcome = training.run(&risk(1500)).unwrap();
    assert!(metric(&outcome, "auc") > 0.8, "{}", outcome.metrics);
    assert_eq!(outcome.history.len(), 6);
    assert_eq!(training.log.epochs, 6);
    assert_eq!(outcome.rows_trained + outcome.rows_validated, 1500);
    assert_eq!(outcome.rows_validated, 225);
    assert_eq!(outcome.model.target.classes(), ["no", "yes"]);
    assert_eq!(outcome.model.target.positive_class(), Some("yes"));
    let notice = training.log.notices.join("\n");
    for part in [
        "classification of \"bad\"",
        "positive class \"yes\"",
        "age: numeric",
        "purpose: one-hot, 4 levels",
        "1275 rows to train on, 225 to validate (stratified, 15%)",
        "seed 3",
    ] {
        assert!(notice.contains(part), "{part} in {notice}");
    }
    let Profile::Deciles { deciles, rows, .. } = &outcome.model.scores else {
        panic!("{:?}", outcome.model.scores);
    };
    assert_eq!((deciles.len(), *rows), (11, 225));
    assert!(deciles.is_sorted());
    // What is stored comes back.
    let bytes = outcome.model.to_bytes().unwrap();
    assert_eq!(Model::from_bytes(&bytes).unwrap(), outcome.model);
}

#[test]
fn more_classes_numbers_and_quantiles_are_learnt() {
    let all = loans(1500);
    let classes = Training::of("grade")
        .run(&all.select(&["age", "income", "grade"]))
        .unwrap();
    assert_eq!(classes.model.target.classes(), ["0", "1", "2"]);
    assert!(metric(&classes, "accuracy") > 0.8, "{}", classes.metrics);

    let numbers = all.select(&["age", "income", "purpose", "amount"]);
    let mut training = Training::of("amount");
    training.arguments.epochs = Some(30);
    let regression = training.run(&numbers).unwrap();
    assert!(metric(&regression, "r2") > 0.6, "{}", regression.metrics);
    assert!(training.log.notices[0].starts_with("regression of \"amount\""));

    let mut training = Training::of("amount").options(json!({"quantiles": [0.1, 0.5, 0.9]}));
    training.arguments.epochs = Some(30);
    let quantiles = training.run(&numbers).unwrap();
    let Target::Regression { outputs, .. } = &quantiles.model.target else {
        panic!("not a regression");
    };
    assert_eq!(outputs.len(), 3);
    assert!(metric(&quantiles, "r2") > 0.5, "{}", quantiles.metrics);
}

#[test]
fn classes_and_rows_weigh_as_told() {
    let query = risk(1000);
    let score = |options: Value| {
        let outcome = Training::of("bad").options(options).run(&query).unwrap();
        let Profile::Deciles { deciles, .. } = &outcome.model.scores else {
            panic!("{:?}", outcome.model.scores);
        };
        deciles[5]
    };
    let plain = score(json!({}));
    assert!(score(json!({"class_weights": {"yes": 20}})) > plain);
    assert!(score(json!({"class_weights": {"no": 20}})) < plain);

    // A weight that all rows share changes nothing, and is no feature.
    let weighted = loans(1000).select(&["age", "income", "purpose", "bad", "weight"]);
    let with = Training::of("bad")
        .options(json!({"sample_weight": "weight"}))
        .run(&weighted)
        .unwrap();
    let without = Training::of("bad").run(&query).unwrap();
    assert_eq!(bits(&with), bits(&without));
    assert_eq!(with.model.features.features.len(), 3);

    let mut negative = weighted;
    if let Cells::Numbers(weights) = &mut negative.cells[4] {
        weights[7] = -1.0;
    }
    let refused = Training::of("bad")
        .options(json!({"sample_weight": "weight"}))
        .run(&negative);
    assert!(message(refused).contains("weight"));
}

#[test]
fn rows_are_held_out_as_told() {
    let all = loans(900);
    let sides = |columns: &[&str], validation: Option<f64>, options: Value| {
        let mut training = Training::of("bad").options(options);
        training.arguments.validation = validation;
        let outcome = training.run(&all.select(columns)).unwrap();
        assert_eq!(outcome.model.features.features.len(), 2);
        (outcome.rows_trained, outcome.rows_validated)
    };
    let by_flag = json!({"validation_split": "held_out"});
    assert_eq!(
        sides(&["age", "income", "bad", "held_out"], None, by_flag.clone()),
        (675, 225)
    );
    assert_eq!(
        sides(
            &["age", "income", "bad", "household"],
            Some(0.2),
            json!({"validation_group": "household"})
        ),
        (720, 180)
    );
    let last = json!({"validation_split": "last"});
    assert_eq!(sides(&["age", "income", "bad"], Some(0.1), last), (810, 90));
    assert_eq!(
        sides(&["age", "income", "bad"], Some(0.0), json!({})),
        (900, 0)
    );

    let mut both = Training::of("bad").options(by_flag);
    both.arguments.validation = Some(0.2);
    let columns = all.select(&["age", "bad", "held_out"]);
    assert!(message(both.run(&columns)).contains("validation must be NULL"));
    for options in [json!({"early_stopping": 3}), json!({"restore_best": true})] {
        let mut none = Training::of("bad").options(options);
        none.arguments.validation = Some(0.0);
        assert!(message(none.run(&columns)).contains("needs validation rows"));
    }
}

#[test]
fn bits_depend_on_neither_memory_nor_threads() {
    let query = risk(6000);
    let mut in_memory = Training::of("bad");
    in_memory.arguments.epochs = Some(3);
    in_memory.arguments.batch_size = Some(128);
    let expected = in_memory.run(&query).unwrap();
    for (threads, in_place) in [(2, false), (8, false), (1, true), (2, true), (8, true)] {
        let mut training = Training::of("bad");
        training.arguments = in_memory.arguments.clone();
        training.threads = threads;
        training.in_place = in_place;
        let outcome = training.run(&query).unwrap();
        assert_eq!(bits(&outcome), bits(&expected), "{threads} threads");
        assert_eq!(outcome.metrics, expected.metrics, "{threads} threads");
        let scores = |outcome: &Outcome| outcome.model.scores.clone();
        assert_eq!(scores(&outcome), scores(&expected), "{threads} threads");
        assert_eq!(outcome.data_hash, expected.data_hash, "{threads} threads");
    }
    // The least memory that is enough holds a part of the rows only.
    let mut memory = 16 << 10;
    let (read, reads) = loop {
        let mut training = Training::of("bad");
        training.arguments = in_memory.arguments.clone();
        training.memory = memory;
        match training.run(&query) {
            Ok(outcome) => break (outcome, training.reads),
            Err(Error::Memory { .. } | Error::Network(nn::Error::Memory { .. })) => {
                memory += memory / 16;
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(reads > 2 * in_memory.reads, "{reads} {}", in_memory.reads);
    assert_eq!(bits(&read), bits(&expected));
    assert_eq!(read.metrics, expected.metrics);
    assert_eq!(read.data_hash, expected.data_hash);
    let losses = |outcome: &Outcome| -> Vec<(f64, Option<f64>)> {
        let loss = |epoch: &EpochReport| (epoch.train_loss, epoch.validation_loss);
        outcome.history.iter().map(loss).collect()
    };
    assert_eq!(losses(&read), losses(&expected));
}

#[test]
fn the_hash_of_the_data_is_that_of_what_the_network_sees() {
    let hash = |query: &Query, change: &dyn Fn(&mut Training)| {
        let mut training = Training::of("bad");
        training.arguments.epochs = Some(1);
        change(&mut training);
        training.run(query).unwrap().data_hash
    };
    let query = risk(300);
    let expected = hash(&query, &|_| ());
    // How it is trained is no matter of the data; which rows are held out is.
    assert_eq!(hash(&query, &|t| t.arguments.epochs = Some(2)), expected);
    assert_eq!(
        hash(&query, &|t| t.arguments.batch_size = Some(7)),
        expected
    );
    assert_ne!(hash(&query, &|t| t.arguments.seed = 4), expected);
    assert_ne!(
        hash(&query, &|t| t.arguments.validation = Some(0.5)),
        expected
    );
    assert_ne!(
        hash(&query, &|t| t.options = json!({"members": 2})),
        expected
    );
    // A value, a target and the order count.
    let changed = |change: &dyn Fn(&mut Vec<f64>)| {
        let mut query = query.clone();
        let numbers = query.cells.iter_mut().find_map(|cells| match cells {
            Cells::Numbers(numbers) => Some(numbers),
            _ => None,
        });
        change(numbers.unwrap());
        hash(&query, &|t| t.arguments.validation = Some(0.0))
    };
    let all = changed(&|_| ());
    assert_ne!(changed(&|numbers| numbers[17] += 1.0), all);
    assert_ne!(changed(&|numbers| numbers.swap(3, 4)), all);
}

#[test]
fn a_later_version_keeps_the_signature() {
    let first = Training::of("bad").run(&risk(600)).unwrap().model;
    // The columns may come in another order; the calls' order stays.
    let other = risk(600).select(&["bad", "purpose", "age", "income"]);
    let second = Training::of("bad").after(&first).run(&other).unwrap().model;
    let names = |model: &Model| -> Vec<String> {
        let names = model.features.features.iter();
        names.map(|feature| feature.name.clone()).collect()
    };
    assert_eq!(names(&second), ["age", "income", "purpose"]);

    let all = loans(600);
    for (columns, part) in [
        (&["age", "income", "bad"][..], "\"purpose\""),
        (&["age", "income", "purpose", "weight", "bad"], "\"weight\""),
    ] {
        let refused = Training::of("bad").after(&first).run(&all.select(columns));
        assert!(matches!(
            refused,
            Err(Error::Signature(_) | Error::NewColumn { .. })
        ));
        assert!(message(refused).contains(part));
    }
    let mut typed = risk(600);
    typed.given[0].sql_type = "bigint".into();
    let wider = Training::of("bad").after(&first).run(&typed).unwrap().model;
    assert_eq!(
        wider.features.features[0].sql_type,
        first.features.features[0].sql_type
    );
    typed.given[0].sql_type = "date".into();
    typed.given[0].origin = Some(Origin::Date);
    assert!(message(Training::of("bad").after(&first).run(&typed)).contains("date"));
    let mut training = Training::of("bad").after(&first);
    training.task = Some(Task::Regression);
    assert!(matches!(training.run(&risk(600)), Err(Error::Signature(_))));
}

#[test]
fn a_later_version_keeps_the_positive_class() {
    // Here "no" is the rarer class, so that it is the positive one of the first version.
    let swap = |mut query: Query| {
        if let Cells::Texts(texts) = &mut query.cells[3] {
            for text in texts.iter_mut().flatten() {
                *text = if text == "yes" { "good" } else { "poor" }.into();
            }
        }
        query
    };
    let query = swap(risk(600));
    let first = Training::of("bad")
        .options(json!({"positive_class": "good"}))
        .run(&query)
        .unwrap()
        .model;
    assert_eq!(first.target.positive_class(), Some("good"));
    let second = Training::of("bad").after(&first).run(&query).unwrap().model;
    assert_eq!(second.target.positive_class(), Some("good"));
    let other = Training::of("bad")
        .options(json!({"positive_class": "poor"}))
        .after(&first)
        .run(&query);
    assert!(matches!(other, Err(Error::Signature(_))));
    let unknown = Training::of("bad").after(&first).run(&risk(600));
    assert!(matches!(unknown, Err(Error::Signature(_))));
}

#[test]
fn a_warm_start_goes_on_from_weights_scales_and_levels() {
    let warm = json!({"warm_start": true});
    let mut training = Training::of("bad");
    training.features = Some(json!({"age": {"type": "numeric", "scale": "minmax"}}));
    let first = training.run(&risk(600)).unwrap().model;

    let later = |options: Value| {
        let mut training = Training::of("bad").after(&first).options(options);
        training.arguments.epochs = Some(1);
        training.arguments.learning_rate = Some(1e-9);
        training
    };
    let mut other_rows = risk(900);
    if let Cells::Texts(purposes) = &mut other_rows.cells[2] {
        purposes.iter_mut().for_each(|p| *p = Some("plane".into()));
    }
    let second = later(warm.clone()).run(&other_rows).unwrap().model;
    let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
    assert!(first.parameters.iter().zip(&second.parameters).all(near));
    assert_eq!(first.architecture, second.architecture);
    for (a, b) in first
        .features
        .features
        .iter()
        .zip(&second.features.features)
    {
        assert_eq!(a.treatment, b.treatment);
    }
    // The profile is of the new rows, all of them of a level that is "other".
    let Profile::Levels(counts) = &second.features.features[2].profile else {
        panic!("{:?}", second.features.features[2].profile);
    };
    assert_eq!(counts[counts.len() - 2], 900);

    let mut architecture = later(warm.clone());
    architecture.architecture = Some("linear");
    assert!(message(architecture.run(&risk(600))).contains("warm_start"));
    let mut treated = later(warm.clone());
    treated.features = Some(json!({"age": "categorical"}));
    assert!(message(treated.run(&risk(600))).contains("\"age\", whose treatment"));
    assert!(
        message(later(json!({"warm_start": true, "dropout": 0.1})).run(&risk(600)))
            .contains("dropout")
    );

    let mut unknown = risk(600);
    if let Cells::Texts(texts) = &mut unknown.cells[3] {
        texts[5] = Some("perhaps".into());
    }
    assert!(message(later(warm).run(&unknown)).contains("\"perhaps\""));
}

#[test]
fn what_goes_on_from_unknown_rows_tells_its_own_and_knows_nothing_of_others() {
    let columns = ["age", "income", "purpose", "amount", "bad", "held_out"];
    let query = |rows: usize| loans(rows).select(&columns);
    let without_flag = |rows: usize| query(rows).select(&columns[..5]);
    let first = Training::of("bad").run(&without_flag(400)).unwrap().model;
    let later = |options: Value| {
        let mut training = Training::of("bad").after(&first).options(options);
        training.arguments.epochs = Some(1);
        training
    };
    let flagged = json!({"warm_start": true, "validation_split": "held_out"});
    let mut second = later(flagged.clone());
    let outcome = second.run(&query(400)).unwrap();
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (300, 100));
    assert!(second.log.warnings[0].contains("does not tell which rows"));
    let seen = SeenRows::from_bytes(&outcome.seen).unwrap();
    assert!(!seen.complete);

    let mut learnt = query(400);
    if let Cells::Numbers(flags) = &mut learnt.cells[5] {
        flags.iter_mut().for_each(|flag| *flag = 1.0 - *flag);
    }
    let mut third = later(flagged);
    third.seen = Some(&seen);
    assert!(message(third.run(&learnt)).contains("holds out 300 rows, 300 of which"));
    let outcome = third.run(&query(800)).unwrap();
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (600, 200));
    assert!(third.log.warnings[0].contains("does not tell all rows"));
    assert!(!SeenRows::from_bytes(&outcome.seen).unwrap().complete);
    // Without a flag what may have been learnt is not held out.
    let mut fourth = later(json!({"warm_start": true}));
    fourth.seen = Some(&seen);
    let outcome = fourth.run(&without_flag(800)).unwrap();
    assert_eq!((outcome.rows_trained, outcome.rows_validated), (700, 100));
}

#[test]
fn categories_are_embedded_and_levels_listed_when_asked_for() {
    let mut training = Training::of("bad");
    training.features = Some(json!({
        "purpose": {"type": "categorical", "encoding": "embedding", "units": 2,
                    "levels": ["plane", "car"]}
    }));
    let model = training.run(&risk(600)).unwrap().model;
    let Fitted::Index(index) = &model.features.features[2].treatment else {
        panic!("{:?}", model.features.features[2].treatment);
    };
    let levels = index.levels.join(" ");
    assert_eq!((levels.as_str(), index.units), ("plane car", Some(2)));
    let layers = model.architecture.to_json()["layers"].clone();
    let layers = layers.as_array().unwrap();
    let embedding = layers.iter().find(|layer| layer["type"] == "embedding");
    assert_eq!(embedding.unwrap()["vocabulary"], json!(4));
}

#[test]
fn an_ignored_column_is_no_feature() {
    let mut training = Training::of("bad");
    training.features = Some(json!({"income": "ignore", "purpose": {"type": "ignore"}}));
    let model = training.run(&risk(600)).unwrap().model;
    assert_eq!(model.features.features.len(), 1);
    assert!(
        training
            .log
            .notices
            .contains(&"ignored as asked: \"income\", \"purpose\"".into())
    );
    let later = Training::of("bad")
        .after(&model)
        .run(&risk(600).select(&["age", "bad"]));
    assert_eq!(later.unwrap().model.features.features.len(), 1);
}

#[test]
fn epochs_that_are_given_are_all_run_and_others_stop_early() {
    let mut given = Training::of("bad");
    given.arguments.epochs = Some(40);
    given.arguments.learning_rate = Some(0.1);
    assert_eq!(given.run(&risk(300)).unwrap().history.len(), 40);
    let mut free = Training::of("bad").options(json!({"early_stopping": 2}));
    free.arguments.epochs = Some(400);
    free.arguments.learning_rate = Some(0.1);
    assert!(free.run(&risk(300)).unwrap().history.len() < 400);
}

#[test]
fn what_cannot_be_learnt_is_refused() {
    assert!(matches!(
        Training::of("bad").run(&risk(0)),
        Err(Error::NoRows(_))
    ));
    let mut one = risk(50);
    if let Cells::Texts(texts) = &mut one.cells[3] {
        texts.iter_mut().for_each(|t| *t = Some("yes".into()));
    }
    assert!(matches!(
        Training::of("bad").run(&one),
        Err(Error::Features(features::Error::OneClass { .. }))
    ));
    let mut nan = loans(50).select(&["age", "amount"]);
    if let Cells::Numbers(amounts) = &mut nan.cells[1] {
        amounts[3] = f64::NAN;
    }
    assert!(message(Training::of("amount").run(&nan)).contains("missing"));
    assert!(matches!(
        Training::of("worse").run(&risk(50)),
        Err(Error::NoColumn { .. })
    ));
    assert!(message(Training::of("bad").run(&risk(50).select(&["bad"]))).contains("no feature"));
    let mut large = Training::of("bad");
    large.architecture = Some(r#"{"layers": [{"type": "dense", "units": 1000000}]}"#);
    large.memory = 1 << 20;
    assert!(matches!(
        large.run(&risk(50)),
        Err(Error::Network(nn::Error::Memory { .. }) | Error::Memory { .. })
    ));
    let mut wild = Training::of("amount").options(json!({"target_scale": "none"}));
    wild.arguments.optimizer = Some("sgd".into());
    wild.arguments.learning_rate = Some(1e30);
    assert!(matches!(
        wild.run(&loans(300).select(&["age", "income", "amount"])),
        Err(Error::Network(nn::Error::NotFinite { .. }))
    ));
}

#[test]
fn arguments_and_options_are_judged_before_the_rows() {
    let refused = |arguments: Arguments, options: Value, architecture: Option<&str>| {
        let options = Options::parse(&options);
        message(options.and_then(|o| check(&arguments, &o, architecture, None, None)))
    };
    let plain = Arguments::default;
    for (arguments, part) in [
        (
            Arguments {
                epochs: Some(0),
                ..plain()
            },
            "epochs",
        ),
        (
            Arguments {
                batch_size: Some(-1),
                ..plain()
            },
            "batch_size",
        ),
        (
            Arguments {
                learning_rate: Some(f64::NAN),
                ..plain()
            },
            "learning_rate",
        ),
        (
            Arguments {
                validation: Some(1.0),
                ..plain()
            },
            "validation",
        ),
        (
            Arguments {
                optimizer: Some("adamm".into()),
                ..plain()
            },
            "adamm",
        ),
    ] {
        let told = refused(arguments, json!({}), None);
        assert!(told.contains(part), "{part}: {told}");
    }
    for (options, part) in [
        (json!({"weight_dekay": 1}), "weight_dekay"),
        (json!({"schedule": "cosin"}), "cosin"),
        (json!({"loss": "mze"}), "mze"),
        (json!({"initializer": "gloro"}), "gloro"),
        (json!({"nesterov": true}), "nesterov"),
        (json!({"rho": 0.9}), "rho"),
        (json!([]), "options"),
    ] {
        let told = refused(plain(), options, None);
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(refused(plain(), json!({}), Some("tabula")).contains("tabula"));
    assert!(
        refused(
            plain(),
            json!({}),
            Some("{\"layers\": [{\"type\": \"dens\"}]}")
        )
        .contains("dens")
    );
    assert_eq!(refused(plain(), json!({}), None), "it went through");
}

#[test]
fn every_phase_can_be_interrupted() {
    let stopped = |stop: Log| {
        let mut training = Training::of("bad");
        training.arguments.epochs = Some(2);
        training.log = stop;
        let outcome = training.run(&risk(300));
        let reached = training.log.epochs;
        match outcome {
            Err(Error::Features(features::Error::Interrupted)) => Some((false, reached)),
            Err(Error::Network(nn::Error::Interrupted)) => Some((true, reached)),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        }
    };
    // Reading and fitting ask a number of times that does not depend on the time they take.
    let (mut before, mut asked) = (0, 0);
    while let Some((false, 0)) = stopped(Log {
        stop_after: Some(asked),
        ..Log::default()
    }) {
        before += 1;
        asked += 1;
    }
    assert!(before >= 4, "{before}");
    for epoch in [1, 2] {
        let log = Log {
            stop_after_epoch: Some(epoch),
            ..Log::default()
        };
        let (within, reached) = stopped(log).expect("an interruption");
        assert_eq!(reached, epoch);
        // After the last epoch comes the judgement.
        assert!(within || epoch == 2);
    }
}
