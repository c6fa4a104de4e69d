//! In which precision the numbers of arrays are scaled.

use pg_neural::features::{Arrays, Block, FeatureSet, Intake, Kind, Values};
use serde_json::{Value, json};

fn told(treatment: &str, settings: &Value) -> FeatureSet {
    let mut feature = json!({"name": "x", "type": treatment, "sql_type": "double precision[]"});
    let settings = settings.as_object().unwrap().clone();
    feature.as_object_mut().unwrap().extend(settings);
    FeatureSet::told(&json!([feature]), &|_, _| None).unwrap()
}

/// The same features as a version of 0.1 has them, which says nothing of a precision.
fn as_of_0_1(set: &FeatureSet) -> FeatureSet {
    let mut json = serde_json::to_value(set).unwrap();
    let treatment = json["features"][0]["treatment"].as_object_mut().unwrap();
    assert_eq!(treatment.remove("precision"), Some(json!("double")));
    let set: FeatureSet = serde_json::from_value(json).unwrap();
    set.validate().unwrap();
    set
}

fn encode(set: &FeatureSet, numbers: &[f64]) -> Vec<f32> {
    let mut row = vec![f32::NAN; set.width()];
    let encoder = set.encoder();
    let dims = [numbers.len()];
    let mut intake = Intake::fitted(&set.features[0], 1 << 20);
    match set.features[0].kind() {
        Kind::Numbers => {
            let mut taken: Arrays<f64> = Arrays::new();
            taken.open().extend_from_slice(numbers);
            intake.array(&dims, &mut taken).unwrap();
            encoder.array(0, taken.get(0).unwrap(), &mut row).unwrap();
        }
        kind => {
            assert_eq!(kind, Kind::Array);
            let mut taken: Arrays<f32> = Arrays::new();
            taken.open().extend(numbers.iter().map(|&x| x as f32));
            intake.array(&dims, &mut taken).unwrap();
            encoder.array(0, taken.get(0).unwrap(), &mut row).unwrap();
        }
    }
    row
}

const OFFSET: f64 = 1_700_000_000.0;

#[test]
fn the_last_digits_of_large_numbers_count() {
    let vector = told("vector", &json!({"length": 2, "mean": OFFSET, "std": 0.25}));
    assert_eq!(encode(&vector, &[OFFSET + 0.5, OFFSET - 3.0]), [2.0, -12.0]);
    let sequence = told("sequence", &json!({"length": 3, "mean": OFFSET}));
    let steps = [OFFSET + 0.5, OFFSET - 3.0, OFFSET + 17.0, OFFSET];
    assert_eq!(encode(&sequence, &steps), [3.0, -3.0, 17.0, 0.0]);
}

#[test]
fn blocks_have_the_bits_of_calls_in_either_precision() {
    let vector = told(
        "vector",
        &json!({"length": 3, "mean": [0.1, 3e8, -7], "std": [0.3, 2, 1e-3]}),
    );
    let rows: Vec<[f64; 3]> = (0..300)
        .map(|i| {
            let x = f64::from(i);
            match i % 7 {
                3 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY],
                _ => [x.sin(), 3e8 + x.cos(), -7.0 + x * 1e-6],
            }
        })
        .collect();
    for set in [vector.clone(), as_of_0_1(&vector)] {
        for is_double in [true, false] {
            let (mut doubles, mut singles) = (Arrays::<f64>::new(), Arrays::<f32>::new());
            for row in &rows {
                doubles.push(row);
                singles.push(&row.map(|x| x as f32));
            }
            let values = match is_double {
                true => Values::Numbers(doubles),
                false => Values::Array(singles),
            };
            let block = Block {
                rows: rows.len(),
                columns: vec![values],
            };
            let mut out = vec![0.0; rows.len() * set.width()];
            set.block_encoder(&[None]).encode(&block, &mut out).unwrap();
            for (row, encoded) in rows.iter().zip(out.chunks(3)) {
                let called = match is_double {
                    true => encode(&set, row),
                    false => encode(&set, &row.map(|x| f64::from(x as f32))),
                };
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&called), bits(encoded));
            }
        }
    }
}

#[test]
fn versions_of_0_1_are_scaled_in_single_precision() {
    let (mean, std) = ([0.1, 16_777_216.0, 123.456], [0.3, 1.0, 7.7]);
    let settings = json!({"length": 3, "mean": mean, "std": std});
    let set = as_of_0_1(&told("vector", &settings));
    let text = serde_json::to_string(&set).unwrap();
    assert!(!text.contains("\"precision\""), "{text}");
    for i in 0..1000 {
        let x = f64::from(i);
        let row = [x.sin(), 16_777_216.0 + x, 120.0 + x * 0.013];
        let expected: Vec<f32> = (0..3)
            .map(|i| (row[i] as f32 - mean[i] as f32) * (1.0 / std[i] as f32))
            .collect();
        assert_eq!(encode(&set, &row), expected);
    }
}

#[test]
fn scales_that_the_precision_cannot_hold_are_refused() {
    let set = told("vector", &json!({"length": 1}));
    for (center, divisor) in [
        (json!(1e300), json!(1.0)),
        (json!(0.0), json!(1e-300)),
        (json!(0.0), json!(1e300)),
    ] {
        for precision in ["single", "double"] {
            let mut json = serde_json::to_value(&set).unwrap();
            let treatment = json["features"][0]["treatment"].as_object_mut().unwrap();
            treatment.insert("center".to_owned(), json!([center]));
            treatment.insert("divisor".to_owned(), json!([divisor]));
            treatment.insert("precision".to_owned(), json!(precision));
            let set: FeatureSet = serde_json::from_value(json).unwrap();
            assert_eq!(
                set.validate().is_ok(),
                precision == "double",
                "{center} {divisor}"
            );
        }
    }
}
