//! Numbers: fitting and encoding.

use super::Table;
use pg_neural::features::{Fitted, Numbers, Numeric, Origin, Profile};
use serde_json::{Value, json};
use std::iter::once;

#[test]
fn standard_scaling_fills_missing_values_with_the_mean_and_indicates_them() {
    let table = Table::default().number("x", Origin::Float, &[1.0, 3.0, f64::NAN, 5.0, 7.0]);
    let (set, notices) = table.fit(json!({"x": {"scale": "standard"}})).unwrap();
    assert!(notices.is_empty());
    let d = 5_f32.sqrt();
    let rows = table.encode(&set);
    let expected = [-3.0 / d, -1.0 / d, 0.0, 1.0 / d, 3.0 / d];
    for (i, row) in rows.iter().enumerate() {
        assert!((row[0] - expected[i]).abs() < 1e-6);
        assert_eq!(row[1], if i == 2 { 1.0 } else { 0.0 });
    }
}

#[test]
fn without_missing_values_in_training_there_is_no_indicator_unless_asked_for() {
    let table = Table::default().number("x", Origin::Float, &[1.0, 3.0, 5.0]);
    let (set, _) = table.fit(json!({"x": "numeric"})).unwrap();
    assert_eq!(set.width(), 1);
    let mut row = [9.0];
    set.encoder().number(0, f64::NAN, &mut row);
    assert_eq!(row, [0.0], "the median");
    let (set, _) = table
        .fit(json!({"x": {"indicator": true, "missing": 5}}))
        .unwrap();
    let mut row = [9.0; 2];
    set.encoder().number(0, f64::NAN, &mut row);
    assert_eq!(row[1], 1.0);
    assert!(row[0] > 0.9);
}

#[test]
fn infinities_count_as_the_training_rows_extremes() {
    let values = [f64::INFINITY, 0.0, 10.0, f64::NEG_INFINITY];
    let table = Table::default().number("x", Origin::Float, &values);
    let (set, _) = table.fit(json!({"x": {"scale": "minmax"}})).unwrap();
    let rows: Vec<f32> = table.encode(&set).concat();
    assert_eq!(rows, [1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn no_number_encodes_to_something_infinite() {
    let values = [f64::MAX, -f64::MAX, 5e-324, 0.0, f64::MIN_POSITIVE, 1e300];
    for scale in ["standard", "minmax", "robust", "none"] {
        let table = Table::default().number("x", Origin::Float, &values);
        let (set, _) = table.fit(json!({"x": {"scale": scale}})).unwrap();
        set.validate().unwrap();
        assert!(
            table.encode(&set).concat().iter().all(|x| x.is_finite()),
            "{scale}"
        );
        let tiny = Table::default().number("x", Origin::Float, &[0.0, 5e-324, 1e-310]);
        let (set, _) = tiny.fit(json!({"x": {"scale": scale}})).unwrap();
        let mut row = [0.0];
        for x in values {
            set.encoder().number(0, x, &mut row);
            assert!(row[0].is_finite(), "{scale} {x}");
        }
    }
}

#[test]
fn a_large_table_is_sampled_the_same_however_it_is_stored() {
    let n = 300_000;
    let values: Vec<f64> = (0..n).map(|i| f64::from(i % 1000)).collect();
    let table = Table::default().number("x", Origin::Float, &values);
    let (set, _) = table.fit(json!({})).unwrap();
    let Fitted::Numeric(Numeric {
        center, divisor, ..
    }) = set.features[0].treatment
    else {
        panic!("not numeric");
    };
    assert!((center - 499.5).abs() < 5.0 && (divisor - 500.0).abs() < 8.0);
    let Profile::Deciles { deciles, rows, .. } = &set.features[0].profile else {
        panic!("no deciles");
    };
    assert_eq!(
        (deciles.len(), deciles[0], deciles[10], *rows),
        (11, 0.0, 999.0, 300_000)
    );
}

/// Numbers from `features_reference.py`.
#[test]
fn scaling_agrees_with_scikit_learn() {
    let reference: Value =
        serde_json::from_str(include_str!("../features_reference.json")).unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        let list = value.as_array().unwrap();
        list.iter()
            .map(|x| x.as_f64().unwrap_or(f64::NAN))
            .collect()
    };
    for case in reference.as_array().unwrap() {
        let table = Table::default().number("x", Origin::Float, &numbers(&case["values"]));
        let (set, _) = table.fit(json!({"x": case["settings"]})).unwrap();
        let width = set.width();
        let rows = table.encode(&set);
        for (row, expected) in rows.iter().zip(numbers(&case["encoded"])) {
            let error = (f64::from(row[0]) - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < 1e-6,
                "{}: {} is not {expected}",
                case["settings"],
                row[0]
            );
        }
        let missing = numbers(&case["values"]).iter().any(|x| x.is_nan());
        assert_eq!(width, if missing { 2 } else { 1 });
    }
}

#[test]
fn neighbouring_numbers_encoded_together_have_the_bits_of_one_by_one() {
    let column: Vec<f64> = (0..40).map(|i| f64::from(i * i) / 7.0 - 30.0).collect();
    for treatment in [
        json!({"type": "numeric", "scale": "robust"}),
        json!({"type": "numeric", "scale": "none"}),
    ] {
        let mut table = Table::default();
        let mut request = serde_json::Map::new();
        for i in 0..19 {
            let values: Vec<f64> = column.iter().map(|v| v * f64::from(i + 1)).collect();
            table = table.number(&format!("x{i}"), Origin::Float, &values);
            request.insert(format!("x{i}"), treatment.clone());
        }
        let (set, _) = table.fit(Value::Object(request)).unwrap();
        let encoder = set.encoder();
        assert_eq!(encoder.run_of_numbers(0), 19);
        assert_eq!(encoder.run_of_numbers(4), 15);
        let mut values: Vec<f64> = (0..19).map(|i| f64::from(i) * 13.7 - 80.0).collect();
        values[3] = f64::NAN;
        values[5] = f64::INFINITY;
        values[7] = f64::NEG_INFINITY;
        values[9] = 1e300;
        let (mut together, mut single) = (vec![9.0_f32; 19], vec![9.0_f32; 19]);
        let (few, most) = values.split_at(2);
        encoder.numbers(0, 2, once(few.into()), &mut together);
        encoder.numbers(2, 17, once(most.into()), &mut together);
        for (i, value) in values.iter().enumerate() {
            encoder.number(i, *value, &mut single);
        }
        let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&together), bits(&single));
        // The same for several rows at once, of which some values are not there.
        let rows: Vec<Vec<f64>> = (0..5)
            .map(|row| values.iter().map(|v| v * f64::from(row)).collect())
            .collect();
        let nulls: Vec<bool> = (0..19).map(|i| i % 6 == 2).collect();
        let given = rows.iter().map(|values| Numbers {
            values,
            nulls: &nulls,
        });
        let mut together = vec![9.0_f32; 5 * 19];
        encoder.numbers(0, 19, given, &mut together);
        for (row, together) in rows.iter().zip(together.chunks_exact(19)) {
            for (i, value) in row.iter().enumerate() {
                let value = if nulls[i] { f64::NAN } else { *value };
                encoder.number(i, value, &mut single);
            }
            assert_eq!(bits(together), bits(&single));
        }
    }
}
