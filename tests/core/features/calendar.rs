//! Dates and timestamps: the day of the week, the month, the hour.

use super::Table;
use pg_neural::features::{Calendar, Cycle, Fitted, Origin};
use serde_json::{Value, json};

/// Where the ones are among the inputs behind the first one.
fn ones(row: &[f32]) -> Vec<usize> {
    let inputs = row.iter().enumerate().skip(1);
    assert!(inputs.clone().all(|(_, x)| [0.0, 1.0].contains(x)));
    inputs
        .filter(|(_, x)| **x == 1.0)
        .map(|(at, _)| at - 1)
        .collect()
}

#[test]
fn days_are_told_by_weekday_and_month_before_christ_too() {
    // 1970-01-01, 2000-02-29, 1969-12-31, 0001-12-31 BC, 2024-12-01, infinities.
    let days = [
        0.0,
        11_016.0,
        -1.0,
        -719_163.0,
        20_058.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let table = Table::default().number("d", Origin::Date, &days);
    let (set, _) = table.fit(json!({"d": {"calendar": true}})).unwrap();
    assert_eq!(set.width(), 1 + 7 + 12);
    let found: Vec<Vec<usize>> = table.encode(&set).iter().map(|row| ones(row)).collect();
    let (week, year) = (0, 7);
    let expected = [
        vec![week + 3, year],
        vec![week + 1, year + 1],
        vec![week + 2, year + 11],
        vec![week + 6, year + 11],
        vec![week + 6, year + 11],
        vec![],
        vec![],
    ];
    assert_eq!(found, expected);
    assert_eq!(
        set.features[0].describe(),
        "d: numeric, robust, day of the week, month"
    );
    assert_eq!(set.features[0].treatment_name(), "numeric");
    assert_eq!(set.owner_json()[0]["calendar"], json!(["week", "year"]));
    // A missing one has an indicator of its own where there are some.
    let table = Table::default().number("d", Origin::Date, &[0.0, f64::NAN, 5.0]);
    let (set, _) = table.fit(json!({"d": {"calendar": ["week"]}})).unwrap();
    let rows = table.encode(&set);
    assert_eq!(rows[1][1..], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(rows[2][1..], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn moments_are_told_by_their_hour() {
    // 1969-12-31 23:30, 1970-01-01 00:00 and 12:59:59.999999, far ones.
    let seconds = [-1800.0, 0.0, 46_799.999_999, 1e300, -1e300];
    let table = Table::default().number("t", Origin::Timestamp, &seconds);
    let (set, _) = table
        .fit(json!({"t": {"calendar": ["day", "week"]}}))
        .unwrap();
    let found: Vec<Vec<usize>> = table.encode(&set).iter().map(|row| ones(row)).collect();
    let (week, hour) = (0, 7);
    let expected = [
        vec![week + 2, hour + 23],
        vec![week + 3, hour],
        vec![week + 3, hour + 12],
    ];
    assert_eq!(found[..3], expected);
    assert!(found[3..].iter().all(Vec::is_empty));
    let (set, _) = table.fit(json!({"t": {"calendar": true}})).unwrap();
    assert_eq!(set.width(), 1 + 7 + 12 + 24);
    for off in [
        json!({"calendar": false}),
        json!({"calendar": []}),
        json!("numeric"),
    ] {
        let (set, _) = table.fit(json!({"t": off})).unwrap();
        assert!(matches!(set.features[0].treatment, Fitted::Numeric(_)));
    }
}

#[test]
fn what_is_no_calendar_is_refused() {
    let table = Table::default()
        .number("d", Origin::Date, &[0.0, 1.0])
        .number("x", Origin::Float, &[0.0, 1.0]);
    let error = |column: &str, calendar: Value| {
        let error = table
            .fit(json!({column: {"calendar": calendar}}))
            .unwrap_err();
        assert!(error.hint().is_some());
        error.to_string()
    };
    for (found, expected) in [
        (error("x", json!(true)), "goes with dates and timestamps"),
        (error("d", json!(["day"])), "a date has no hours"),
        (error("d", json!(["weak"])), "\"weak\""),
        (
            error("d", json!([7])),
            "\"calendar\" of column \"d\" is [7]",
        ),
        (
            error("d", json!("week")),
            "\"calendar\" of column \"d\" is \"week\"",
        ),
    ] {
        assert!(found.contains(expected), "{found}");
    }
    let (mut set, _) = table.fit(json!({"d": {"calendar": ["week"]}})).unwrap();
    for cycles in [
        vec![],
        vec![Cycle::Day],
        vec![Cycle::Week, Cycle::Week],
        vec![Cycle::Year, Cycle::Week],
    ] {
        let Fitted::Calendar(own) = &set.features[0].treatment else {
            panic!("no calendar");
        };
        let own = Calendar {
            cycles,
            ..own.clone()
        };
        set.features[0].treatment = own.into();
        assert!(set.validate().is_err());
    }
}
