//! Traps that a training tells of: features that know the target, copies on both sides of the split, rows
//! that are alike with those near them. And that it says nothing of honest rows.

use pg_neural::features::Origin;
use pg_neural::nn::Random;
use pg_neural::training::Outcome;
use serde_json::{Value, json};

use crate::training::{Query, Training, loans};

struct Noise(Random);

impl Noise {
    fn new(seed: u64) -> Noise {
        Noise(Random::new(seed, 77))
    }

    fn normal(&mut self) -> f64 {
        f64::from(self.0.normal_f32())
    }

    fn below(&mut self, bound: u64) -> f64 {
        self.0.below(bound) as f64
    }
}

/// Trains for an epoch; gives what was said of traps, and what the version keeps of them.
fn told(query: &Query, target: &str, options: Value) -> (Vec<String>, Value) {
    let (lines, outcome) = trained(query, target, options);
    (lines, outcome.model.training["traps"].clone())
}

fn trained(query: &Query, target: &str, options: Value) -> (Vec<String>, Outcome) {
    let mut training = Training::of(target).options(options);
    training.architecture = Some("linear");
    training.arguments.epochs = Some(1);
    let outcome = training.run(query).unwrap();
    let said = training.log.notices.iter().chain(&training.log.warnings);
    let of_traps = |line: &&String| {
        ["alone tell", "alike", "rises from"]
            .iter()
            .any(|words| line.contains(words))
    };
    (said.filter(of_traps).cloned().collect(), outcome)
}

/// Two numbers that say something of a target of two classes, and what else a row has.
fn honest(rows: usize, seed: u64) -> (Query, Vec<bool>) {
    let mut noise = Noise::new(seed);
    let a: Vec<f64> = (0..rows).map(|_| noise.normal()).collect();
    let b: Vec<f64> = (0..rows).map(|_| noise.normal()).collect();
    let bad: Vec<bool> = (0..rows)
        .map(|row| a[row] - b[row] + noise.normal() > 1.0)
        .collect();
    let query = Query::default()
        .number("a", Origin::Float, a)
        .number("b", Origin::Float, b);
    (query, bad)
}

fn with_bad(query: Query, bad: &[bool]) -> Query {
    let bad = bad.iter().map(|&bad| f64::from(u8::from(bad))).collect();
    query.number("bad", Origin::Boolean, bad)
}

#[test]
fn a_feature_that_knows_the_classes_is_named() {
    let (query, bad) = honest(600, 1);
    let mut noise = Noise::new(2);
    let of = |value: &mut dyn FnMut(usize) -> f64| (0..600).map(value).collect::<Vec<f64>>();
    let number = of(&mut |row| noise.normal() + if bad[row] { 9.0 } else { 0.0 });
    let closed = of(&mut |row| {
        if bad[row] {
            row as f64 % 97.0
        } else {
            f64::NAN
        }
    });
    let words = |row: usize| Some(if bad[row] { "lost" } else { "open" }.to_string());
    // A customer of two rows each says nothing of other customers, whatever it remembers of its own.
    let customer = |row: usize| Some(format!("c{}", row / 2));
    let query = with_bad(
        query
            .number("recovered", Origin::Float, number)
            .number("closed", Origin::Float, closed)
            .text("status", (0..600).map(words).collect())
            .text("customer", (0..600).map(customer).collect()),
        &bad,
    );
    for (column, feature) in [("recovered", true), ("closed", true), ("status", true)] {
        let columns = ["a", "b", "customer", column, "bad"];
        let (lines, kept) = told(&query.select(&columns), "bad", json!({}));
        assert_eq!(lines.len(), usize::from(feature), "{lines:?}");
        let expected = format!("feature \"{column}\" (AUC ");
        assert!(lines[0].starts_with(&expected), "{lines:?}");
        assert!(lines[0].contains("alone tells the target \"bad\" almost perfectly"));
        assert!(lines[0].contains(&format!("features => '{{\"{column}\":\"ignore\"}}'")));
        assert_eq!(kept["features_alone"][0]["feature"], column);
        assert!(kept["features_alone"][0]["auc"].as_f64().unwrap() > 0.995);
    }
    let (lines, kept) = told(&query, "bad", json!({}));
    assert!(
        lines[0].starts_with("features \"recovered\" (AUC 1.0000), \"closed\" ("),
        "{lines:?}"
    );
    assert_eq!(kept["features_alone"].as_array().unwrap().len(), 3);
    // What is alone is what was asked to tell it.
    let (lines, kept) = told(&query.select(&["recovered", "bad"]), "bad", json!({}));
    assert_eq!((lines, kept), (Vec::new(), Value::Null));
    let (lines, kept) = told(
        &query.select(&["a", "b", "customer", "bad"]),
        "bad",
        json!({}),
    );
    assert_eq!((lines, kept), (Vec::new(), Value::Null));
}

#[test]
fn several_classes_and_numbers_must_all_be_told() {
    let mut noise = Noise::new(5);
    let rows = 900;
    let class = |row: usize| (row * 7 % 3) as f64;
    let x: Vec<f64> = (0..rows).map(|_| noise.normal()).collect();
    // One class apart from the others is an easy class, all of them apart are a leak.
    let one: Vec<f64> = (0..rows)
        .map(|row| noise.normal() + if class(row) == 0.0 { 20.0 } else { class(row) })
        .collect();
    let all: Vec<f64> = (0..rows)
        .map(|row| noise.normal() + 20.0 * class(row))
        .collect();
    let y: Vec<f64> = (0..rows).map(|row| 3.0 * x[row] + noise.normal()).collect();
    let billed: Vec<f64> = y.iter().map(|y| (y * 0.8).exp() + 0.001).collect();
    let query = Query::default()
        .number("x", Origin::Float, x)
        .number("one", Origin::Float, one)
        .number("all", Origin::Float, all)
        .number("billed", Origin::Float, billed)
        .number("class", Origin::Integer, (0..rows).map(class).collect())
        .number("y", Origin::Float, y);
    let of = |columns: &[&str], target| told(&query.select(columns), target, json!({})).0;
    assert_eq!(of(&["x", "one", "class"], "class"), Vec::<String>::new());
    assert!(of(&["x", "all", "class"], "class")[0].contains("feature \"all\" (AUC "));
    assert_eq!(of(&["x", "one", "y"], "y"), Vec::<String>::new());
    assert!(of(&["x", "billed", "y"], "y")[0].contains("feature \"billed\" (R² "));
}

#[test]
fn whole_numbers_that_rise_are_told() {
    let (query, bad) = honest(300, 3);
    let id: Vec<f64> = (0..300).map(|row| (row * row + 7 * row) as f64).collect();
    let same: Vec<f64> = (0..300).map(|row| (row / 2 * 1000) as f64).collect();
    let query = with_bad(
        query
            .number("id", Origin::Integer, id)
            .number("same", Origin::Integer, same),
        &bad,
    );
    let (lines, kept) = told(&query, "bad", json!({}));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("column \"id\" rises from each row to the next"));
    assert_eq!(kept["rising"], json!(["id"]));
}

/// Every row as often as `times` says.
fn repeated(rows: usize, times: impl Fn(usize) -> usize) -> Query {
    let (mut a, mut b, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut noise = Noise::new(8);
    let mut order: Vec<(f64, f64, f64, f64)> = Vec::new();
    for row in 0..rows {
        let (x, y) = (noise.normal(), noise.normal());
        let outcome = f64::from(u8::from(x - y + noise.normal() > 1.0));
        for _ in 0..times(row) {
            order.push((noise.normal(), x, y, outcome));
        }
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, x, y, outcome) in order {
        a.push(x);
        b.push(y);
        bad.push(outcome);
    }
    Query::default()
        .number("a", Origin::Float, a)
        .number("b", Origin::Float, b)
        .number("bad", Origin::Boolean, bad)
}

#[test]
fn copies_are_counted() {
    let twice = repeated(1000, |row| 1 + usize::from(row % 4 == 0));
    let (lines, kept) = told(&twice, "bad", json!({}));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("250 of 1250 rows are alike to another one"),
        "{lines:?}"
    );
    assert!(lines[0].contains("validation_group"));
    assert_eq!(kept["copies"], json!({"rows": 250, "held_out": 0}));
    // The user's split is not changed.
    let (lines, kept) = told(&twice, "bad", json!({"validation_split": "last"}));
    assert!(
        lines[0].starts_with("rows of both sides of the split are alike"),
        "{lines:?}"
    );
    assert!(lines[0].contains("validation_group"));
    assert!(kept["copies"]["held_out"].as_u64().unwrap() > 20, "{kept}");
    let (lines, _) = told(
        &repeated(1000, |row| 1 + usize::from(row == 5)),
        "bad",
        json!({}),
    );
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn copies_among_many_rows_are_told_by_a_sample() {
    let (lines, kept) = told(
        &repeated(60_000, |row| 1 + usize::from(row % 4 == 0)),
        "bad",
        json!({}),
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("rows of both sides of the split are alike"),
        "{lines:?}"
    );
    let copies = kept["copies"]["rows"].as_f64().unwrap();
    assert!((copies / 15_000.0 - 1.0).abs() < 0.1, "{copies}");
    let held_out = kept["copies"]["held_out"].as_f64().unwrap();
    // 30,000 rows of 75,000 are one of two, of which the other is trained on in 85 of 100.
    let expected = 0.15 * 75_000.0 * 0.4 * 0.85;
    assert!(
        (held_out / expected - 1.0).abs() < 0.2,
        "{held_out} {expected}"
    );
    assert_eq!(
        told(&repeated(60_000, |_| 1), "bad", json!({})).0,
        Vec::<String>::new()
    );
}

/// Rows of columns with few values are alike by chance.
#[test]
fn few_values_are_no_copies() {
    for rows in [1500, 60_000] {
        let mut noise = Noise::new(9);
        let mut column = |bound| (0..rows).map(|_| noise.below(bound)).collect::<Vec<f64>>();
        let levels = if rows > 50_000 { 40 } else { 12 };
        let (a, b, c) = (column(levels), column(levels), column(levels));
        let bad: Vec<bool> = (0..rows)
            .map(|row| a[row] + b[row] > levels as f64 + c[row] / 3.0)
            .collect();
        let again = a.clone();
        let query = Query::default()
            .number("a", Origin::Integer, a)
            .number("b", Origin::Integer, b)
            .number("c", Origin::Integer, c)
            .number("again", Origin::Integer, again);
        for options in [json!({}), json!({"validation_split": "last"})] {
            let (lines, _) = told(&with_bad(query.clone(), &bad), "bad", options);
            assert_eq!(lines, Vec::<String>::new());
        }
    }
    // Nor where each of them comes many times: a column of ages, and some of two or three values.
    let mut noise = Noise::new(10);
    let mut column = |bound| (0..8000).map(|_| noise.below(bound)).collect::<Vec<f64>>();
    let (age, sex, grade, smoker) = (column(70), column(2), column(4), column(3));
    let query = Query::default()
        .number("age", Origin::Integer, age)
        .number("sex", Origin::Boolean, sex)
        .number("grade", Origin::Integer, grade);
    let smokes: Vec<bool> = smoker.iter().map(|smokes| *smokes == 0.0).collect();
    let (lines, _) = told(&with_bad(query, &smokes), "bad", json!({}));
    assert_eq!(lines, Vec::<String>::new());
}

/// Rows of some days, whose target follows the season, and what each day has of its own.
fn days(rows: usize, own: f64, origin: Origin) -> Query {
    let mut noise = Noise::new(11);
    let of_days: Vec<f64> = (0..120).map(|_| noise.normal()).collect();
    let (mut x, mut at, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let day = noise.below(120);
        let value = noise.normal();
        let season = (day / 20.0).sin();
        let outcome = value + season + own * of_days[day as usize] + noise.normal();
        x.push(value);
        at.push(match origin {
            Origin::Timestamp => 86_400.0 * day + noise.below(86_400),
            _ => day,
        });
        late.push(f64::from(u8::from(outcome > 1.0)));
    }
    Query::default()
        .number("x", Origin::Float, x)
        .number("day", origin, at)
        .number("late", Origin::Boolean, late)
}

#[test]
fn days_that_are_alike_are_told_and_seasons_are_not() {
    for origin in [Origin::Date, Origin::Timestamp] {
        let (lines, kept) = told(&days(4000, 1.0, origin), "late", json!({}));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("by blocks of days of \"day\""),
            "{lines:?}"
        );
        assert!(lines[0].contains("validation_group") && lines[0].contains("\"last\""));
        let kept = &kept["held_out_by_blocks"][0];
        assert_eq!(
            (&kept["of"], &kept["differs"]),
            (&json!("day"), &json!(true))
        );
        let loss = |key: &str| kept[key].as_f64().unwrap();
        let difference = loss("loss_by_blocks") - loss("loss_by_random_rows");
        assert!(difference > 2.0 * loss("standard_error"), "{kept}");
        let (lines, kept) = told(&days(4000, 0.0, origin), "late", json!({}));
        assert_eq!(lines, Vec::<String>::new());
        assert_eq!(kept["held_out_by_blocks"][0]["differs"], false);
    }
    // Who holds out by groups or in order knows.
    for options in [
        json!({"validation_split": "last"}),
        json!({"validation_group": "day"}),
    ] {
        let (lines, kept) = told(&days(4000, 1.0, Origin::Date), "late", options);
        assert_eq!((lines, kept), (Vec::new(), Value::Null));
    }
}

/// Customers of four rows each, beside each other or not.
fn customers(rows: usize, beside: bool) -> Query {
    let mut noise = Noise::new(12);
    let customers = rows / 4;
    let own: Vec<[f64; 4]> = (0..customers)
        .map(|_| {
            [
                noise.normal(),
                noise.normal(),
                noise.normal(),
                noise.normal(),
            ]
        })
        .collect();
    let (mut columns, mut bad) = (vec![Vec::new(); 3], Vec::new());
    for row in 0..rows {
        let customer = if beside { row / 4 } else { row % customers };
        let [a, b, c, outcome] = own[customer];
        for (column, value) in columns.iter_mut().zip([a, b, c]) {
            column.push(value + 0.05 * noise.normal());
        }
        bad.push(outcome + 0.5 * a + 0.3 * noise.normal() > 0.8);
    }
    let mut query = Query::default();
    for (name, column) in ["a", "b", "c"].into_iter().zip(columns) {
        query = query.number(name, Origin::Float, column);
    }
    with_bad(query, &bad)
}

#[test]
fn customers_beside_each_other_are_told() {
    let (lines, kept) = told(&customers(3000, true), "bad", json!({}));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("by blocks of the query's order"),
        "{lines:?}"
    );
    assert_eq!(kept["held_out_by_blocks"][0]["of"], Value::Null);
    // In stretches of many rows as well.
    let (lines, _) = told(&customers(40_000, true), "bad", json!({}));
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (lines, _) = told(&customers(3000, false), "bad", json!({}));
    assert_eq!(lines, Vec::<String>::new());
}

/// A table in the order of one of its columns, or of the target, is none that is alike beyond that.
#[test]
fn a_sorted_table_is_honest() {
    let mut noise = Noise::new(13);
    let mut rows: Vec<[f64; 4]> = (0..2500)
        .map(|_| {
            let (price, size) = (noise.normal().exp(), noise.normal());
            let city = noise.below(30);
            [
                price,
                size,
                city,
                (3.0 * price).sin() + size + city % 7.0 / 2.0 + noise.normal(),
            ]
        })
        .collect();
    for by in 0..4 {
        rows.sort_by(|a, b| a[by].total_cmp(&b[by]));
        let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
        let city = column(2)
            .into_iter()
            .map(|city| Some(format!("c{city}")))
            .collect();
        let query = Query::default()
            .number("price", Origin::Float, column(0))
            .number("size", Origin::Float, column(1))
            .text("city", city)
            .number("y", Origin::Float, column(3));
        let (lines, _) = told(&query, "y", json!({}));
        assert_eq!(lines, Vec::<String>::new(), "by {by}");
    }
}

/// Nor one of many rows, of which stretches far apart are looked at.
#[test]
fn a_table_in_the_order_of_its_target_is_honest() {
    let mut noise = Noise::new(14);
    let mut rows: Vec<[f64; 3]> = (0..30_000)
        .map(|_| {
            let (carat, cut) = (noise.normal(), noise.below(4));
            [
                carat,
                cut,
                (carat.exp() * 100.0 + 20.0 * cut * noise.normal()).round(),
            ]
        })
        .collect();
    rows.sort_by(|a, b| a[2].total_cmp(&b[2]));
    let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
    let query = Query::default()
        .number("carat", Origin::Float, column(0))
        .number("cut", Origin::Integer, column(1))
        .number("price", Origin::Float, column(2));
    assert_eq!(told(&query, "price", json!({})).0, Vec::<String>::new());
}

#[test]
fn honest_rows_are_not_accused() {
    for seed in 20..40 {
        let (query, bad) = honest(700, seed);
        let mut noise = Noise::new(seed);
        let born = (0..700).map(|_| noise.below(15_000)).collect();
        let query = with_bad(query.number("born", Origin::Date, born), &bad);
        let (lines, _) = told(&query, "bad", json!({}));
        assert_eq!(lines, Vec::<String>::new(), "seed {seed}");
    }
    for target in ["bad", "amount", "grade"] {
        let query = loans(800).select(&["age", "income", "purpose", target]);
        let grade_is_age = target == "grade";
        let (lines, _) = told(&query, target, json!({}));
        // A grade that is cut from the age is told by it.
        assert_eq!(lines.len(), usize::from(grade_is_age), "{lines:?}");
    }
}

#[test]
fn columns_that_say_nothing_are_no_trap() {
    let (query, bad) = honest(400, 50);
    let of = |value: &dyn Fn(usize) -> f64| (0..400).map(value).collect::<Vec<f64>>();
    let wild = of(&|row| [f64::INFINITY, 1e300, f64::NEG_INFINITY, 0.0, -1e300][row * 7 % 5]);
    let never = of(&|row| if row == 3 { 1.0 } else { f64::NAN });
    let query = with_bad(
        query
            .number("wild", Origin::Float, wild.clone())
            .number("never", Origin::Float, never)
            .number("ever", Origin::Date, wild),
        &bad,
    );
    assert_eq!(told(&query, "bad", json!({})).0, Vec::<String>::new());
    let (few, bad) = honest(60, 51);
    let leak = bad.iter().map(|&bad| f64::from(u8::from(bad))).collect();
    let few = with_bad(few.number("leak", Origin::Float, leak), &bad);
    assert_eq!(told(&few, "bad", json!({})).0, Vec::<String>::new());
}

/// On any number of threads, in any memory.
#[test]
fn what_is_told_depends_on_neither_threads_nor_memory() {
    let query = days(3000, 1.0, Origin::Date);
    let run = |threads, memory| {
        let mut training = Training::of("late");
        training.architecture = Some("linear");
        training.threads = threads;
        training.memory = memory;
        let outcome = training.run(&query).unwrap();
        let said = [training.log.notices, training.log.warnings].concat();
        let said: Vec<String> = said
            .into_iter()
            .filter(|line| line.contains("alike"))
            .collect();
        assert_eq!(said.len(), 1);
        (said, outcome.model.training["traps"].clone())
    };
    let one = run(1, 64 << 20);
    assert!(one.1["held_out_by_blocks"][0]["differs"].as_bool().unwrap());
    assert_eq!(one, run(3, 64 << 20));
    assert_eq!(one, run(2, 100_000));
}

#[test]
fn looking_for_traps_can_be_cancelled() {
    let query = customers(1500, true);
    let mut training = Training::of("bad");
    training.architecture = Some("linear");
    training.arguments.epochs = Some(1);
    training.run(&query).unwrap();
    // Asked before the first epoch, wherever that is.
    for limit in (0..60).step_by(3) {
        let mut training = Training::of("bad");
        training.architecture = Some("linear");
        training.arguments.epochs = Some(1);
        training.log.stop_after = Some(limit);
        let error = training.run(&query).map(|_| ()).unwrap_err().to_string();
        let is_end = ["cancelled", "interrupted"]
            .iter()
            .any(|word| error.contains(word));
        assert!(is_end, "{limit}: {error}");
    }
}

/// Tables of tab-separated values in the folder that PGN_TABLES names, their targets in the last column, a
/// column `__fold` passed over: what is told of each.
#[test]
#[ignore = "a report on tables that are not here"]
fn report_of_tables() {
    let folder = std::env::var("PGN_TABLES").expect("PGN_TABLES");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    for path in files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "tsv"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let names = lines.next().unwrap();
        let rows: Vec<Vec<&str>> = lines.collect();
        let mut query = Query::default();
        for (place, name) in names
            .iter()
            .enumerate()
            .filter(|(_, name)| **name != "__fold")
        {
            let cells = || {
                rows.iter()
                    .map(|row| row[place])
                    .filter(|cell| !cell.is_empty())
            };
            let number = |cell: &str| cell.parse().unwrap_or(f64::NAN);
            let numbers = || rows.iter().map(|row| number(row[place])).collect();
            query = match () {
                _ if cells().all(|cell| cell.parse::<i64>().is_ok()) => {
                    query.number(name, Origin::Integer, numbers())
                }
                _ if cells().all(|cell| cell.parse::<f64>().is_ok()) => {
                    query.number(name, Origin::Float, numbers())
                }
                _ => query.text(
                    name,
                    rows.iter()
                        .map(|row| (!row[place].is_empty()).then(|| row[place].to_string()))
                        .collect(),
                ),
            };
        }
        let at = |name: &str| names.iter().position(|known| *known == name);
        if let (Some(month), Some(day), Ok(_)) =
            (at("month"), at("day"), std::env::var("PGN_DATES"))
        {
            let number = |cell: &str| cell.parse::<f64>().unwrap_or(f64::NAN);
            let days = rows
                .iter()
                .map(|row| 31.0 * number(row[month]) + number(row[day]));
            query = query.number("a date", Origin::Date, days.collect());
            let target = query.given.len() - 2;
            let (given, cells) = (query.given.remove(target), query.cells.remove(target));
            query.given.push(given);
            query.cells.push(cells);
        }
        let started = std::time::Instant::now();
        let (told, kept) = told(&query, names[names.len() - 1], json!({}));
        println!(
            "{}: {:?}, {told:#?} {kept}",
            path.display(),
            started.elapsed()
        );
    }
}
