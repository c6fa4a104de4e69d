//! Columns that hold many numbers: what vectors, images and sequences have in common.

use pg_neural::features::{
    Arrays, BitMask, Block, Column, Error, FeatureSet, FitRows, Fitted, Intake, MemoryRows, Origin,
    Tokens, Values, fit, parse_requests,
};
use pg_neural::nn::Rank;
use serde_json::{Value, json};

/// Memory that a decoded image may take.
pub(super) const MEMORY: usize = 1 << 20;

/// What a row of the column holds.
#[derive(Clone)]
pub(super) enum Cell {
    Null,
    Numbers(Vec<usize>, Vec<f32>),
    Bytes(Vec<u8>),
}

pub(super) fn flat(numbers: &[f32]) -> Cell {
    Cell::Numbers(vec![numbers.len()], numbers.to_vec())
}

pub(super) fn nested(dims: &[usize], numbers: &[f32]) -> Cell {
    Cell::Numbers(dims.to_vec(), numbers.to_vec())
}

pub(super) fn take(intake: &mut Intake, cell: &Cell, into: &mut Arrays) -> Result<(), Error> {
    match cell {
        Cell::Null => intake.missing(into),
        Cell::Numbers(dims, numbers) => {
            into.open().extend_from_slice(numbers);
            intake.array(dims, into)
        }
        Cell::Bytes(bytes) => intake.bytes(bytes, into),
    }
}

/// A table of one column.
pub(super) struct OneColumn {
    origin: Origin,
    rank: Rank,
    embedded: bool,
    cells: Vec<Cell>,
}

pub(super) fn numbers(cells: impl IntoIterator<Item = Cell>) -> OneColumn {
    OneColumn {
        origin: Origin::NumberArray,
        rank: Rank::Any,
        embedded: false,
        cells: cells.into_iter().collect(),
    }
}

pub(super) fn bytes<'a>(cells: impl IntoIterator<Item = &'a [u8]>) -> OneColumn {
    OneColumn {
        origin: Origin::Bytes,
        rank: Rank::Any,
        embedded: false,
        cells: cells.into_iter().map(|b| Cell::Bytes(b.to_vec())).collect(),
    }
}

impl OneColumn {
    pub fn rank(mut self, rank: Rank) -> OneColumn {
        self.rank = rank;
        self
    }

    pub fn embedded(mut self) -> OneColumn {
        self.embedded = true;
        self
    }

    /// Fits the treatment on all rows, and encodes them.
    pub fn fit(&self, treatment: Value) -> Result<(FeatureSet, Vec<Vec<f32>>), Error> {
        let sql_type = match self.origin {
            Origin::Bytes => "bytea",
            _ => "real[]",
        };
        let mut column = Column::new("x", sql_type, self.origin);
        let features = match treatment {
            Value::Null => json!({}),
            treatment => json!({"x": treatment}),
        };
        let mut requests = parse_requests(Some(&features), std::slice::from_ref(&column))?;
        requests[0].set_rank(self.origin, self.rank);
        let mut intake = Intake::new(&requests[0], &column, MEMORY);
        let mut arrays = Arrays::new();
        for cell in &self.cells {
            take(&mut intake, cell, &mut arrays)?;
        }
        column.shape = intake.shape();
        let block = Block {
            rows: arrays.len(),
            columns: vec![Values::Array(arrays)],
        };
        let embedded: Vec<String> = self.embedded.then(|| "x".to_owned()).into_iter().collect();
        let set = fit(
            &requests,
            &[column],
            &embedded,
            &mut FitRows {
                rows: &mut MemoryRows::new(block.clone()),
                is_training: &BitMask::new(block.rows, true),
                dictionaries: &[None],
                crew: None,
                interrupted: &mut || false,
            },
        )?
        .set;
        let width = set.width();
        let mut out = vec![f32::NAN; width * block.rows];
        set.block_encoder(&[None]).encode(&block, &mut out)?;
        let rows: Vec<Vec<f32>> = out.chunks(width).map(<[f32]>::to_vec).collect();
        // A call takes each row in and encodes it by itself, from what was stored.
        let stored: FeatureSet =
            serde_json::from_str(&serde_json::to_string(&set).unwrap()).unwrap();
        stored.validate().unwrap();
        assert_eq!(stored, set);
        for (cell, row) in self.cells.iter().zip(&rows) {
            let called = call(&stored, cell)?;
            let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&called), bits(row));
        }
        Ok((set, rows))
    }

    pub fn error(&self, treatment: Value) -> (String, String) {
        let error = self.fit(treatment).expect_err("an error");
        (error.to_string(), error.hint().unwrap_or_default())
    }
}

pub(super) fn call(set: &FeatureSet, cell: &Cell) -> Result<Vec<f32>, Error> {
    let mut intake = Intake::fitted(&set.features[0], MEMORY);
    let mut taken = Arrays::new();
    take(&mut intake, cell, &mut taken)?;
    let mut row = vec![f32::NAN; set.width()];
    set.encoder().array(0, taken.get(0).unwrap(), &mut row)?;
    Ok(row)
}

pub(super) fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{i}: {a} and {b}");
    }
}

#[test]
fn what_is_in_no_image_or_sequence_is_an_error() {
    for (what, cells) in [
        ("NULL or NaN", vec![flat(&[1.0, f32::NAN])]),
        ("an infinite number", vec![flat(&[f32::INFINITY, 0.0])]),
        ("is NULL", vec![flat(&[1.0, 2.0]), Cell::Null]),
    ] {
        for treatment in [
            json!({"type": "image", "shape": [1, 1, 2]}),
            json!("sequence"),
        ] {
            let (message, hint) = numbers(cells.clone()).error(treatment);
            assert!(
                message.contains(what) && message.contains("column \"x\""),
                "{message}"
            );
            assert!(hint.contains("WHERE"), "{hint}");
        }
    }
    let (message, _) = numbers([flat(&[])]).error(json!("sequence"));
    assert_eq!(message, "a sequence in column \"x\" has no steps");
    let (message, _) = numbers([flat(&[])]).error(json!("image"));
    assert_eq!(message, "an image in column \"x\" is empty");
}

#[test]
fn settings_are_checked() {
    let table = numbers([flat(&[1.0])]);
    for (treatment, message) in [
        (
            json!({"type": "image", "shpe": [1, 2, 2]}),
            "unknown setting of column \"x\": \"shpe\"",
        ),
        (
            json!({"type": "image", "shape": [1, 0, 2]}),
            "setting \"shape\" of column \"x\" is [1,0,2]",
        ),
        (
            json!({"type": "image", "shape": [4096, 4096, 4096]}),
            "setting \"shape\"",
        ),
        (json!({"type": "image", "scale": 0}), "setting \"scale\""),
        (json!({"type": "image", "std": [1, 0]}), "setting \"std\""),
        (
            json!({"type": "image", "data_format": "nhwc"}),
            "setting \"data_format\"",
        ),
        (
            json!({"type": "image", "augment": true}),
            "setting \"augment\"",
        ),
        (
            json!({"type": "image", "augment": {"spin": 1}}),
            "unknown setting of column \"x\": \"spin\"",
        ),
        (
            json!({"type": "image", "augment": {"flip": "diagonal"}}),
            "setting \"flip\"",
        ),
        (
            json!({"type": "image", "augment": {"shift": -1}}),
            "setting \"shift\"",
        ),
        (
            json!({"type": "sequence", "length": 0}),
            "setting \"length\"",
        ),
        (json!({"type": "vector", "scale": 3}), "setting \"scale\""),
        (
            json!({"type": "sequence", "vocabulary": 9}),
            "goes with an embedding",
        ),
        (json!("text"), "cannot be treated as \"text\""),
        (json!("numeric"), "cannot be treated as \"numeric\""),
        (json!("categorical"), "cannot be treated as \"categorical\""),
    ] {
        let (given, _) = table.error(treatment.clone());
        assert!(given.contains(message), "{treatment}: {given}");
    }
    let (message, hint) = bytes([[1_u8].as_slice()]).error(json!("vector"));
    assert!(
        message.contains("bytea cannot be treated as \"vector\""),
        "{message}"
    );
    assert!(hint.contains("\"image\""));
}

#[test]
fn damaged_descriptions_are_refused() {
    let vectors = numbers([flat(&[1.0, 2.0]), flat(&[2.0, 3.0])]);
    let images = numbers([nested(&[2, 2], &[0.0, 1.0, 2.0, 3.0])]);
    let sequences = numbers([flat(&[0.0, 1.0])]).rank(Rank::Sequence);
    let tokens = numbers([flat(&[0.0, 1.0])]).rank(Rank::Sequence).embedded();
    let settings = json!({"type": "image", "augment": {"flip": true, "crop": 1}});
    for (table, treatment, changes) in [
        (
            &vectors,
            json!("vector"),
            vec![
                ("center", json!([])),
                ("center", json!([0.0])),
                ("divisor", json!([1.0, 0.0])),
                ("divisor", json!([1.0, 1e-320])),
                ("low", json!([1.0])),
                ("clip", json!(0.0)),
            ],
        ),
        (
            &images,
            settings,
            vec![
                ("geometry", json!({"shape": null})),
                ("geometry", json!({"shape": [1, 0, 2]})),
                ("geometry", json!({"shape": [1_u64 << 40, 1_u64 << 40, 2]})),
                (
                    "geometry",
                    json!({"shape": [1, 2, 2], "crop": [4_000_000_000_u64, 2]}),
                ),
                ("scale", json!(0.0)),
                ("mean", json!([1.0, 2.0])),
                ("std", json!([-1.0])),
                ("augment", json!({"shift": -2.0})),
            ],
        ),
        (
            &sequences,
            json!("sequence"),
            vec![
                ("length", json!(0)),
                ("length", json!(1_u64 << 60)),
                ("features", json!(2)),
                ("divisor", json!([0.0])),
                ("tokens", json!({"known": 0, "other": false})),
            ],
        ),
        (
            &tokens,
            json!("sequence"),
            vec![("tokens", json!({"known": 1_u64 << 60, "other": true}))],
        ),
    ] {
        let (set, _) = table.fit(treatment).unwrap();
        let whole = serde_json::to_value(&set).unwrap();
        for (key, value) in changes {
            let mut other = whole.clone();
            assert!(
                other["features"][0]["treatment"].get(key).is_some() || key == "tokens",
                "{key}"
            );
            other["features"][0]["treatment"][key] = value.clone();
            let read: Result<FeatureSet, _> = serde_json::from_value(other);
            let refused = read.is_err() || read.is_ok_and(|set| set.validate().is_err());
            assert!(refused, "{key}: {value}");
        }
    }
    assert_eq!(
        Tokens {
            known: 3,
            other: true
        }
        .vocabulary(),
        4
    );
}

#[test]
fn what_is_told_needs_no_rows() {
    let told = |sql_type: &str, treatment: &str, settings: Value, embedded| {
        let mut feature = json!({"name": "x", "type": treatment, "sql_type": sql_type});
        let settings = settings.as_object().unwrap().clone();
        feature.as_object_mut().unwrap().extend(settings);
        let set = FeatureSet::told(&json!([feature]), &|_, _| embedded);
        set.map(|mut set| set.features.remove(0).treatment)
    };
    let array = "real[]";
    let settings = json!({"length": 2, "mean": [1, 2], "std": 4});
    let Ok(Fitted::Vector(vector)) = told(array, "vector", settings, None) else {
        panic!("a vector")
    };
    let (center, divisor) = (vector.center, vector.divisor);
    assert_eq!((center, divisor), (vec![1.0, 2.0], vec![4.0, 4.0]));
    let settings = json!({"shape": [3, 4, 4], "mean": [0.1, 0.2, 0.3]});
    let Ok(Fitted::Image(image)) = told("bytea", "image", settings, None) else {
        panic!("an image")
    };
    assert_eq!((image.scale, image.mean.len()), (255.0, 3));
    let Ok(Fitted::Sequence(sequence)) =
        told(array, "sequence", json!({"length": 5}), Some(Some(9)))
    else {
        panic!("a sequence")
    };
    assert_eq!(sequence.tokens.map(Tokens::vocabulary), Some(9));
    for (treatment, settings, embedded, fault) in [
        ("vector", json!({}), None, "\"length\""),
        (
            "vector",
            json!({"length": 2, "mean": [1]}),
            None,
            "\"mean\"",
        ),
        (
            "vector",
            json!({"length": 2, "scale": "robust"}),
            None,
            "\"scale\"",
        ),
        ("image", json!({}), None, "\"shape\""),
        (
            "image",
            json!({"shape": [1, 2, 2], "std": "fit"}),
            None,
            "\"std\"",
        ),
        (
            "sequence",
            json!({"length": 2}),
            Some(None),
            "\"vocabulary\"",
        ),
        (
            "sequence",
            json!({"length": 2, "lenght": 2}),
            None,
            "\"lenght\"",
        ),
    ] {
        let error = told(array, treatment, settings, embedded).unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
    for (sql_type, treatment) in [("real", "vector"), (array, "numeric"), ("bytea", "vector")] {
        let error = told(sql_type, treatment, json!({"length": 2}), None).unwrap_err();
        assert!(matches!(error, Error::Type { .. }), "{error}");
    }
}
