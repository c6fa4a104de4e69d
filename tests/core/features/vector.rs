//! Vectors: taking in, fitting, encoding.

use super::Table;
use super::arrays::{Cell, call, close, flat, nested, numbers};
use pg_neural::features::{Fitted, Origin, Profile};
use pg_neural::nn::InputForm;
use serde_json::{Value, json};

#[test]
fn each_number_of_a_vector_has_its_own_scale_and_mean() {
    let rows = [[1.0, 10.0], [3.0, 30.0], [5.0, 80.0]];
    let table = numbers(rows.iter().map(|row| flat(row)));
    let (set, encoded) = table
        .fit(json!({"type": "vector", "scale": "standard"}))
        .unwrap();
    assert_eq!(set.inputs()[0].form, InputForm::Numbers(2));
    let d = (8.0_f32 / 3.0).sqrt();
    let e = (2600.0_f32 / 3.0).sqrt();
    close(&encoded[0], &[-2.0 / d, -30.0 / e]);
    close(&encoded[2], &[2.0 / d, 40.0 / e]);
    // A missing number, or all of them, count as the mean; an infinite one as the extreme.
    close(&call(&set, &flat(&[f32::NAN, 40.0])).unwrap(), &[0.0, 0.0]);
    close(&call(&set, &Cell::Null).unwrap(), &[0.0, 0.0]);
    let infinite = [f32::INFINITY, f32::NEG_INFINITY];
    close(
        &call(&set, &flat(&infinite)).unwrap(),
        &[2.0 / d, -30.0 / e],
    );
    assert_eq!(set.features[0].describe(), "x: vector of 2, standard");
    let public = set.public_json();
    assert_eq!(public[0]["length"], 2);
    let Profile::Deciles { deciles, rows, .. } = &set.features[0].profile else {
        panic!("{:?}", set.features[0].profile)
    };
    assert_eq!(
        (deciles[0], deciles[10], *rows),
        (5.5, 42.5, 3),
        "the rows' means"
    );
}

#[test]
fn scales_of_vectors_are_those_of_numbers() {
    let values: Vec<f32> = (0..41).map(|i| (i * i % 37) as f32 - 5.0).collect();
    let vectors = numbers(values.iter().map(|&value| flat(&[value, 2.0 * value])));
    let plain = Table::default().number(
        "x",
        Origin::Float,
        &values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(),
    );
    for scale in ["standard", "minmax", "robust", "none"] {
        let (_, encoded) = vectors
            .fit(json!({"type": "vector", "scale": scale}))
            .unwrap();
        let (set, _) = plain.fit(json!({"x": {"scale": scale}})).unwrap();
        for (vector, number) in encoded.iter().zip(plain.encode(&set)) {
            let twice = if scale == "none" { 2.0 } else { 1.0 };
            close(vector, &[number[0], twice * number[0]]);
        }
    }
    let (set, _) = vectors.fit(Value::Null).unwrap();
    let Fitted::Vector(vector) = &set.features[0].treatment else {
        panic!("an array is a vector unless told otherwise")
    };
    assert_eq!((vector.scale.name(), vector.clip), ("robust", Some(3.0)));
}

#[test]
fn vectors_have_one_length() {
    let table = numbers([Cell::Null, flat(&[1.0, 2.0]), flat(&[1.0, 2.0, 3.0])]);
    let (message, hint) = table.error(json!("vector"));
    assert_eq!(
        message,
        "a vector in column \"x\" has 3 numbers, but the column's vectors have 2"
    );
    assert!(hint.contains("\"sequence\""));
    let (message, _) = numbers([flat(&[1.0])]).error(json!({"type": "vector", "length": 3}));
    assert!(
        message.contains("has 1 numbers") && message.contains("have 3"),
        "{message}"
    );
    let (message, _) = numbers([flat(&[])]).error(json!("vector"));
    assert_eq!(message, "column \"x\" has an empty array");
    let (message, _) = numbers([Cell::Null, Cell::Null]).error(json!("vector"));
    assert_eq!(message, "column \"x\" has no value in any row");
    // Of more dimensions, all numbers count.
    let table = numbers([
        nested(&[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        flat(&[4.0, 3.0, 2.0, 1.0]),
    ]);
    assert_eq!(table.fit(json!("vector")).unwrap().0.width(), 4);
}

#[test]
fn a_vector_that_never_changes_is_left_out_unless_named() {
    let table = numbers([flat(&[1.0, 2.0]), flat(&[1.0, 2.0])]);
    let (message, _) = table.error(Value::Null);
    assert!(message.starts_with("no feature is left to learn from: only 2 rows"));
    assert_eq!(table.fit(json!("vector")).unwrap().0.width(), 2);
}

#[test]
fn what_is_encoded_of_a_vector_is_finite() {
    let wild = [
        f32::MAX,
        -f32::MAX,
        f32::MIN_POSITIVE,
        0.0,
        f32::INFINITY,
        f32::NAN,
    ];
    let table = numbers(wild.iter().map(|&x| flat(&[x, -x])));
    for scale in ["standard", "minmax", "robust", "none"] {
        let treatment = json!({"type": "vector", "scale": scale, "clip": null});
        let (_, encoded) = table.fit(treatment).unwrap();
        assert!(
            encoded.concat().iter().all(|x| x.is_finite()),
            "{scale}: {encoded:?}"
        );
    }
}
