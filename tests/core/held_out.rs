//! What a version knows of the rows before it, where they are more than it can keep.

use pg_neural::features::Origin;
use pg_neural::training::{Error, Outcome, SeenRows};
use serde_json::{Value, json};

use crate::training::{Cells, Query, Training};

const ROWS: usize = 40_000;

/// Rows of three numbers that tell them apart, of which every fourth is flagged.
fn table(rows: std::ops::Range<usize>) -> Query {
    let column = |of: &dyn Fn(usize) -> usize| rows.clone().map(|row| of(row) as f64).collect();
    let share = |factor: usize, modulus: usize| {
        let column: Vec<f64> = column(&|row| row * factor % modulus);
        column.iter().map(|x| x / modulus as f64).collect()
    };
    Query::default()
        .number("a", Origin::Float, share(7919, 100_003))
        .number("b", Origin::Float, share(104_729, 100_019))
        .number("c", Origin::Float, share(10_007, 9973))
        .number("y", Origin::Float, share(31, 1009))
        .number(
            "out",
            Origin::Boolean,
            column(&|row| usize::from(row % 4 == 0)),
        )
}

fn without_flag(rows: std::ops::Range<usize>) -> Query {
    table(rows).select(&["a", "b", "c", "y"])
}

/// A training of an epoch that goes on from an outcome.
fn go_on(from: &Outcome, query: &Query, options: Value) -> (Result<Outcome, Error>, Vec<String>) {
    let seen = SeenRows::from_bytes(&from.seen).unwrap();
    let mut options = options;
    options["warm_start"] = json!(true);
    let mut training = Training::of("y").after(&from.model).options(options);
    training.arguments.epochs = Some(1);
    training.seen = Some(&seen);
    let outcome = training.run(query);
    (outcome, std::mem::take(&mut training.log.warnings))
}

fn first(query: &Query, options: Value) -> Outcome {
    let mut training = Training::of("y").options(options);
    training.architecture = Some("linear");
    training.arguments.epochs = Some(1);
    training.run(query).unwrap()
}

fn flagged() -> Value {
    json!({"validation_split": "out"})
}

#[test]
fn flagged_rows_that_a_training_without_the_flag_has_learnt_are_refused() {
    let one = first(&table(0..ROWS), flagged());
    assert_eq!(one.rows_validated, ROWS / 4);
    // With the same flag in each version nothing is to be said.
    let (same, warnings) = go_on(&one, &table(0..ROWS), flagged());
    let same = same.unwrap();
    assert_eq!((same.rows_validated, warnings), (ROWS / 4, Vec::new()));
    // Rows that are new are learnt beyond the sample: flagged ones of the first version are not.
    let (grown, _) = go_on(&same, &without_flag(ROWS..2 * ROWS), json!({}));
    let (checked, warnings) = go_on(&grown.unwrap(), &table(0..ROWS), flagged());
    assert_eq!(
        (checked.unwrap().rows_validated, warnings),
        (ROWS / 4, Vec::new())
    );
    // Without the flag those beyond the sample are learnt, whoever goes on from it.
    let (two, _) = go_on(&same, &without_flag(0..ROWS), json!({}));
    let two = two.unwrap();
    assert!(two.rows_validated > 0);
    let (three, _) = go_on(&two, &without_flag(0..ROWS), json!({}));
    for later in [two, three.unwrap()] {
        let (refused, _) = go_on(&later, &table(0..ROWS), flagged());
        let message = refused.err().unwrap().to_string();
        assert!(
            message.contains("holds out 10000 rows, about 3"),
            "{message}"
        );
    }
}

#[test]
fn a_few_rows_that_look_alike_are_told_of_and_many_are_refused() {
    let one = first(&table(0..6000), flagged());
    // So many flagged rows have the features of rows that were learnt, and another target.
    let alike = |rows: usize, others: bool| {
        let mut query = table(0..6000);
        for column in 0..3 {
            if let Cells::Numbers(cells) = &mut query.cells[column] {
                (0..rows).for_each(|row| cells[4 * row] = cells[4 * row + 1] + 1e-9);
            }
        }
        match others {
            true => query,
            false => query.keep(|row| row >= 4 * rows || row % 4 == 0),
        }
    };
    let (none, warnings) = go_on(&one, &alike(0, true), flagged());
    assert_eq!((none.unwrap().rows_validated, warnings), (1500, Vec::new()));
    for others in [true, false] {
        let (few, warnings) = go_on(&one, &alike(2, others), flagged());
        assert_eq!(few.unwrap().rows_validated, 1500);
        assert!(
            warnings[0].contains("2 of 1500 rows held out are like rows"),
            "{warnings:?}"
        );
    }
    // Where the rows they are like are there, they are no others; where not, they may be those.
    let (many, warnings) = go_on(&one, &alike(200, true), flagged());
    assert_eq!(many.unwrap().rows_validated, 1500);
    assert!(
        warnings[0].contains("200 of 1500 rows held out are like rows"),
        "{warnings:?}"
    );
    let (many, _) = go_on(&one, &alike(200, false), flagged());
    let message = many.err().unwrap().to_string();
    assert!(
        message.contains("holds out 1500 rows, 200 of which"),
        "{message}"
    );
}
