//! Whether dates are read with what comes round again, by trial.

use pg_neural::features::{Fitted, Origin};
use pg_neural::nn::Random;
use serde_json::json;

use crate::training::{Query, Training, bits, metric};

const ROWS: usize = 900;

/// Days in any order, and a number that depends on them so.
fn days(number: impl Fn(f64, f64) -> f64) -> Query {
    let mut random = Random::new(9, 0);
    let days: Vec<f64> = (0..ROWS)
        .map(|i| (19_000 + i * 677 % ROWS) as f64)
        .collect();
    let y = days
        .iter()
        .map(|day| number(*day, f64::from(random.normal_f32())));
    let y = y.collect();
    Query::default()
        .number("day", Origin::Date, days)
        .number("y", Origin::Float, y)
}

fn training() -> Training<'static> {
    let mut training = Training::of("y");
    training.arguments.epochs = Some(30);
    training
}

#[test]
fn a_weekday_that_tells_is_read() {
    let weekend = |day: f64| f64::from(u8::from((day as i64 + 3).rem_euclid(7) >= 5));
    let query = days(|day, noise| 3.0 * weekend(day) + 0.2 * noise);
    let mut trained = Vec::new();
    for threads in [1, 2] {
        let mut training = training();
        training.threads = threads;
        let outcome = training.run(&query).unwrap();
        let told = training.log.notices.join("\n");
        assert!(
            told.contains("\"day\" with its calendar: held-out rmse"),
            "{told}"
        );
        assert!(matches!(
            outcome.model.features.features[0].treatment,
            Fitted::Calendar(_)
        ));
        assert_eq!(outcome.model.training["trials"]["calendar"], true);
        assert!(metric(&outcome, "r2") > 0.9, "{}", outcome.metrics);
        trained.push(outcome);
    }
    assert_eq!(bits(&trained[0]), bits(&trained[1]));
    // What is said is not tried.
    let mut off = training();
    off.features = Some(json!({"day": {"type": "numeric", "calendar": false}}));
    let outcome = off.run(&query).unwrap();
    assert!(matches!(
        outcome.model.features.features[0].treatment,
        Fitted::Numeric(_)
    ));
    assert!(outcome.model.training["trials"].get("calendar").is_none());
    // A warm start keeps what there is.
    let mut again = training().after(&trained[0].model);
    again.options = json!({"warm_start": true});
    let again = again.run(&query).unwrap();
    assert_eq!(
        again.model.features.inputs(),
        trained[0].model.features.inputs()
    );
}

#[test]
fn a_weekday_that_told_before_and_misleads_of_late_is_not_read() {
    // The latest seventh of the days turns what weekends do to its opposite.
    let latest = 19_000.0 + ROWS as f64 * 0.85;
    let query = days(|day, noise| {
        let weekend = f64::from(u8::from((day as i64 + 3).rem_euclid(7) >= 5));
        let sign = if day < latest { 3.0 } else { -3.0 };
        sign * weekend + 0.2 * noise
    });
    let mut training = training();
    let outcome = training.run(&query).unwrap();
    let told = training.log.notices.join("\n");
    let expected = "\"day\" without its calendar: held-out rmse";
    assert!(told.contains(expected), "{told}");
    let treatment = &outcome.model.features.features[0].treatment;
    assert!(matches!(treatment, Fitted::Numeric(_)));
    assert_eq!(outcome.model.training["trials"]["calendar"], false);
}
