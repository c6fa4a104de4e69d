//! Features: fitting, encoding and what is left out.

use pg_neural::features::{
    BitMask, Block, Column, Dictionary, Error, FeatureSet, FitRows, Fitted, MISSING, MemoryRows,
    Numbers, Numeric, Origin, Profile, Values, fit, parse_requests, storage_kind,
};
use pg_neural::nn::Crew;
use serde_json::{Value, json};
use std::iter::once;

fn never() -> impl FnMut() -> bool {
    || false
}

/// A table under construction.
#[derive(Default)]
pub struct Table {
    pub columns: Vec<Column>,
    pub dictionaries: Vec<Option<Dictionary>>,
    pub block: Block,
}

impl Table {
    pub fn number(mut self, name: &str, origin: Origin, values: &[f64]) -> Table {
        self.block.rows = values.len();
        self.columns
            .push(Column::new(name, "double precision", origin));
        self.dictionaries.push(None);
        self.block.columns.push(Values::Number(values.to_vec()));
        self
    }

    pub fn text(mut self, name: &str, origin: Origin, values: &[Option<&str>]) -> Table {
        let mut dictionary = Dictionary::new();
        let codes: Vec<u32> = values
            .iter()
            .map(|v| v.map_or(MISSING, |text| dictionary.intern(text)))
            .collect();
        self.block.rows = values.len();
        let mut column = Column::new(name, "text", origin);
        column.kind = pg_neural::features::Kind::Category;
        self.columns.push(column);
        self.dictionaries.push(Some(dictionary));
        self.block.columns.push(Values::Category(codes));
        self
    }

    pub fn fit(
        &self,
        features: Value,
    ) -> Result<(FeatureSet, Vec<pg_neural::features::LeftOut>), Error> {
        let mask = BitMask::new(self.block.rows, true);
        self.fit_on(features, &mask, &[])
    }

    pub fn fit_on(
        &self,
        features: Value,
        mask: &BitMask,
        embedded: &[String],
    ) -> Result<(FeatureSet, Vec<pg_neural::features::LeftOut>), Error> {
        let requests = parse_requests(Some(&features), &self.columns)?;
        let fitted = fit(
            &requests,
            &self.columns,
            embedded,
            &mut FitRows {
                rows: &mut MemoryRows::new(self.block.clone()),
                is_training: mask,
                dictionaries: &self.dictionaries,
                crew: None,
                interrupted: &mut never(),
            },
        )?;
        Ok((fitted.set, fitted.left_out))
    }

    /// All rows by the block encoder, checked against the row encoder, bit by bit.
    pub fn encode(&self, set: &FeatureSet) -> Vec<Vec<f32>> {
        let width = set.width();
        let mut out = vec![f32::NAN; width * self.block.rows];
        set.block_encoder(&self.dictionaries)
            .encode(&self.block, &mut out)
            .unwrap();
        let encoder = set.encoder();
        let mut row = vec![f32::NAN; width];
        for (r, expected) in out.chunks(width).enumerate() {
            for (i, values) in self
                .block
                .columns
                .iter()
                .enumerate()
                .take(set.features.len())
            {
                match values {
                    Values::Number(numbers) => encoder.number(i, numbers[r], &mut row),
                    Values::Category(codes) => {
                        let dictionary = self.dictionaries[i].as_ref().unwrap();
                        encoder.category(i, dictionary.text(codes[r]), &mut row);
                    }
                    Values::Integer(_)
                    | Values::Array(_)
                    | Values::Numbers(_)
                    | Values::Labels(_) => {}
                }
            }
            let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&row), bits(expected), "row {r}");
        }
        out.chunks(width).map(<[f32]>::to_vec).collect()
    }
}

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
fn one_hot_has_an_input_a_level_one_for_others_and_one_for_missing() {
    let values = [
        Some("b"),
        Some("a"),
        Some("b"),
        None,
        Some("c"),
        Some("a"),
        Some("b"),
    ];
    let table = Table::default().text("t", Origin::Enum, &values);
    let (set, _) = table.fit(json!({"t": {"levels": 2}})).unwrap();
    assert_eq!(set.features[0].levels().unwrap(), ["b", "a"]);
    assert_eq!(set.features[0].profile, Profile::Levels(vec![3, 2, 1, 1]));
    let rows = table.encode(&set);
    assert_eq!(rows[0], [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(rows[1], [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(rows[3], [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(rows[4], [0.0, 0.0, 1.0, 0.0]);
    let mut row = [0.0; 4];
    set.encoder().category(0, Some("never seen"), &mut row);
    assert_eq!(row, [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn an_embedded_category_is_its_levels_number() {
    let values = [Some("b"), Some("a"), Some("b"), None];
    let table = Table::default()
        .text("t", Origin::Enum, &values)
        .text("u", Origin::Enum, &values);
    let mask = BitMask::new(4, true);
    let request = json!({"u": {"encoding": "embedding", "units": 3}});
    let (set, _) = table.fit_on(request, &mask, &["t".to_owned()]).unwrap();
    assert_eq!(
        table.encode(&set),
        [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [3.0, 3.0]]
    );
    assert_eq!(set.embeddings(), [("u".to_owned(), 3)]);
    let input = &set.inputs()[1];
    assert_eq!(
        (input.name.as_str(), input.width(), input.vocabulary()),
        ("u", 1, Some(4))
    );
}

#[test]
fn only_training_rows_are_fitted() {
    let table = Table::default()
        .number("x", Origin::Float, &[0.0, 10.0, 1000.0])
        .text("t", Origin::Enum, &[Some("a"), Some("b"), Some("c")]);
    let mut mask = BitMask::new(3, true);
    mask.set(2, false);
    let request = json!({"x": {"scale": "minmax"}});
    let (set, _) = table.fit_on(request, &mask, &[]).unwrap();
    assert_eq!(set.features[1].levels().unwrap(), ["a", "b"]);
    assert_eq!(table.encode(&set)[2], [100.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn all_threads_together_fit_the_bits_of_one() {
    let rows = 20_000;
    let number = |f: fn(f64) -> f64| (0..rows).map(|i| f(f64::from(i))).collect::<Vec<f64>>();
    let words = ["north", "east", "south", "west"];
    let texts: Vec<Option<&str>> = (0..rows as usize)
        .map(|i| words.get(i * i % 5).copied())
        .collect();
    let table = Table::default()
        .number("wave", Origin::Float, &number(f64::sin))
        .number("gaps", Origin::Float, &number(|i| (i * 0.01).ln()))
        .number("id", Origin::Integer, &number(|i| i))
        .text("where", Origin::Text, &texts)
        .number("steps", Origin::Integer, &number(|i| i % 12.0));
    let requests = parse_requests(None, &table.columns).unwrap();
    let mut third = BitMask::new(rows as usize, true);
    (0..rows as usize)
        .step_by(3)
        .for_each(|row| third.set(row, false));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    for mask in [BitMask::new(rows as usize, true), third] {
        let fitted = |threads: Option<usize>| {
            let fitted = fit(
                &requests,
                &table.columns,
                &[],
                &mut FitRows {
                    rows: &mut MemoryRows::new(table.block.clone()),
                    is_training: &mask,
                    dictionaries: &table.dictionaries,
                    crew: threads.map(|threads| Crew {
                        threads,
                        ..Crew::from(&pool)
                    }),
                    interrupted: &mut never(),
                },
            )
            .unwrap();
            (serde_json::to_string(&fitted.set).unwrap(), fitted.left_out)
        };
        let alone = fitted(None);
        assert_eq!(alone.1.len(), 1, "{:?}", alone.1);
        for threads in 1..=3 {
            assert_eq!(fitted(Some(threads)), alone, "{threads} threads");
        }
    }
}

#[test]
fn constants_and_identifiers_are_left_out_unless_named() {
    let n = 60;
    let ids: Vec<f64> = (0..n).map(|i| 1000.0 + f64::from(i * 7 % n)).collect();
    let spread: Vec<f64> = (0..n).map(|i| f64::from(i) * 5.0).collect();
    let names: Vec<String> = (0..n).map(|i| format!("n{}", i % 31)).collect();
    let half: Vec<String> = (0..n).map(|i| format!("n{}", i % 30)).collect();
    fn some(texts: &[String]) -> Vec<Option<&str>> {
        texts.iter().map(|t| Some(t.as_str())).collect()
    }
    let table = Table::default()
        .number("id", Origin::Integer, &ids)
        .number("float_id", Origin::Float, &ids)
        .number("spread", Origin::Integer, &spread)
        .number("constant", Origin::Float, &[2.0; 60])
        .number("empty", Origin::Float, &[f64::NAN; 60])
        .text("name", Origin::Text, &some(&names))
        .text("half", Origin::Text, &some(&half))
        .text("label", Origin::Enum, &some(&names))
        .text("same", Origin::Text, &[Some("x"); 60]);
    let (set, notices) = table.fit(json!({})).unwrap();
    let ignored: Vec<&str> = set
        .features
        .iter()
        .filter(|f| matches!(f.treatment, Fitted::Ignored(_)))
        .map(|f| f.name.as_str())
        .collect();
    assert_eq!(ignored, ["id", "constant", "empty", "name", "same"]);
    assert_eq!(notices.len(), 5);
    assert_eq!(notices[0].column, "id");
    let named = json!({"id": "numeric", "constant": "numeric", "empty": "numeric",
        "name": "categorical", "same": "categorical"});
    let (set, notices) = table.fit(named).unwrap();
    assert!(notices.is_empty());
    assert!(set.features.iter().all(|f| f.width() > 0));
    table.encode(&set);
}

#[test]
fn a_number_can_be_categorical_and_a_text_cannot_be_numeric() {
    let columns = [
        Column::new("n", "integer", Origin::Integer),
        Column::new("t", "text", Origin::Text),
    ];
    let request = json!({"n": {"type": "categorical", "levels": [1, 2]}});
    let requests = parse_requests(Some(&request), &columns).unwrap();
    let kind = storage_kind(&requests[0], Origin::Integer);
    assert_eq!(kind, pg_neural::features::Kind::Category);
    let error = parse_requests(Some(&json!({"t": "numeric"})), &columns).unwrap_err();
    assert!(matches!(error, Error::Type { .. }));
    assert!(error.to_string().contains("column \"t\" of type text"));
}

#[test]
fn what_is_wrong_in_features_is_named_with_the_nearest_known_word() {
    let columns = [Column::new("age", "integer", Origin::Integer)];
    let says = |request: Value| {
        let error = parse_requests(Some(&request), &columns).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        format!("{error}. {}", error.hint().unwrap())
    };
    assert!(says(json!({"agee": "numeric"})).contains("\"agee\". Did you mean \"age\"?"));
    assert!(says(json!({"age": "numerical"})).contains("Did you mean \"numeric\"?"));
    assert!(says(json!({"age": {"scael": "none"}})).contains("Did you mean \"scale\"?"));
    assert!(says(json!({"age": {"scale": "standart"}})).contains("Did you mean \"standard\"?"));
    assert!(says(json!({"age": {"missing": "medain"}})).contains("Did you mean \"median\"?"));
    for wrong in [
        json!([]),
        json!({"age": 5}),
        json!({"age": {"type": 5}}),
        json!({"age": {"clip": -1}}),
        json!({"age": {"missing": [1]}}),
        json!({"age": {"type": "categorical", "levels": 0}}),
        json!({"age": {"type": "categorical", "levels": []}}),
        json!({"age": {"type": "categorical", "levels": ["a", "a"]}}),
        json!({"age": {"type": "categorical", "units": 0}}),
        json!({"age": {"type": "categorical", "encoding": "one_hot", "units": 3}}),
        json!({"age": {"type": "ignore", "scale": "none"}}),
    ] {
        says(wrong);
    }
}

#[test]
fn a_stored_set_reads_back_with_the_same_bits() {
    let values: Vec<f64> = (0..2000).map(|i| f64::from(i % 977) * 0.1 + 1e-3).collect();
    let table = Table::default().number("x", Origin::Float, &values).text(
        "t",
        Origin::Enum,
        &[Some("a"), None].repeat(1000),
    );
    let (set, _) = table.fit(json!({"x": {"scale": "standard"}})).unwrap();
    let text = serde_json::to_string(&set).unwrap();
    let back: FeatureSet = serde_json::from_str(&text).unwrap();
    back.validate().unwrap();
    assert_eq!(back, set);
}

#[test]
fn a_damaged_set_is_refused() {
    let table = Table::default()
        .number("x", Origin::Float, &[1.0, 2.0])
        .text("t", Origin::Enum, &[Some("a"), Some("b")]);
    let (set, _) = table.fit(json!({})).unwrap();
    let good = serde_json::to_value(&set).unwrap();
    let refused = |path: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = value;
        match serde_json::from_value::<FeatureSet>(bad) {
            Err(_) => {}
            Ok(set) => assert!(matches!(set.validate(), Err(Error::Damaged(_))), "{path}"),
        }
    };
    refused("/format", json!(2));
    refused("/features/1/name", json!("x"));
    refused("/features/0/treatment/divisor", json!(0));
    refused("/features/0/treatment/divisor", json!(-1));
    refused("/features/0/treatment/divisor", json!(1e-320));
    refused("/features/0/treatment/center", Value::Null);
    refused("/features/0/treatment/clip", json!(0));
    refused("/features/0/treatment/type", json!("unknown"));
    refused("/features/0/profile", json!({"levels": [1, 2]}));
    refused("/features/1/treatment/levels", json!(["a", "a"]));
    refused("/features/1/profile", json!({"levels": [1, 2]}));
}

#[test]
fn an_interruption_ends_the_fit() {
    let table = Table::default().number("x", Origin::Float, &[1.0, 2.0]);
    let requests = parse_requests(None, &table.columns).unwrap();
    let mut rows = MemoryRows::new(table.block.clone());
    let mask = BitMask::new(2, true);
    let fitted = fit(
        &requests,
        &table.columns,
        &[],
        &mut FitRows {
            rows: &mut rows,
            is_training: &mask,
            dictionaries: &table.dictionaries,
            crew: None,
            interrupted: &mut || true,
        },
    );
    assert!(matches!(fitted, Err(Error::Interrupted)));
    assert!(
        Error::from(std::io::Error::other("disk"))
            .to_string()
            .contains("disk")
    );
}

#[test]
fn a_full_dictionary_estimates_what_it_cannot_hold() {
    let mut dictionary = Dictionary::new();
    for i in 0..200_000 {
        dictionary.intern(&format!("text {i}"));
        dictionary.intern(&format!("text {}", i / 2));
    }
    assert!(dictionary.overflowed());
    assert_eq!(dictionary.len(), 65_536);
    let distinct = dictionary.distinct();
    assert!((distinct / 200_000.0 - 1.0).abs() < 0.04, "{distinct}");
    assert!(dictionary.memory() < 4 << 20);
}

#[test]
fn a_description_tells_a_grantee_nothing_that_was_fitted() {
    let table = Table::default()
        .number("x", Origin::Float, &[1.0, 2.0, f64::NAN])
        .number("c", Origin::Float, &[1.0; 3])
        .text("t", Origin::Enum, &[Some("secret"), Some("b"), None]);
    let (set, _) = table.fit(json!({"x": {"scale": "standard"}})).unwrap();
    let described: Vec<String> = set.features.iter().map(|f| f.describe()).collect();
    assert_eq!(
        described,
        [
            "x: numeric, standard, missing flagged",
            "c: left out, it is constant in the training rows",
            "t: one-hot, 2 levels"
        ]
    );
    assert_eq!(
        set.public_json(),
        json!([
            {"name": "x", "type": "double precision", "treatment": "numeric"},
            {"name": "c", "type": "double precision", "treatment": "ignore"},
            {"name": "t", "type": "text", "treatment": "categorical"},
        ])
    );
    let owner = set.owner_json();
    assert_eq!(owner[0]["center"], json!(1.5));
    assert_eq!(owner[0]["maximum"], json!(2.0));
    assert_eq!(owner[2]["levels"], json!(["b", "secret"]));
}

#[test]
fn levels_fixed_beforehand_survive_a_dictionary_that_overflows() {
    let columns = [Column::new("t", "text", Origin::Text)];
    let json = json!({"t": {"type": "categorical", "levels": ["late"]}});
    let requests = parse_requests(Some(&json), &columns).unwrap();
    let mut dictionary = requests[0].dictionary();
    let mut codes: Vec<u32> = (0..70_000)
        .map(|i| dictionary.intern(&i.to_string()))
        .collect();
    codes.push(dictionary.intern("late"));
    let table = Table {
        columns: columns.to_vec(),
        dictionaries: vec![Some(dictionary)],
        block: Block {
            rows: codes.len(),
            columns: vec![Values::Category(codes)],
        },
    };
    let (set, _) = table.fit(json).unwrap();
    assert_eq!(set.features[0].profile, Profile::Levels(vec![1, 70_000, 0]));
    let mut out = vec![0.0; 3 * 70_001];
    let encoder = set.block_encoder(&table.dictionaries);
    encoder.encode(&table.block, &mut out).unwrap();
    assert_eq!(out[3 * 69_999..], [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
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
    let reference: Value = serde_json::from_str(include_str!("features_reference.json")).unwrap();
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
