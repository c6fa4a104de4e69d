//! Features: fitting, encoding and what is left out.

mod arrays;
mod calendar;
mod category;
mod image;
mod numeric;
mod sequence;
mod target;
mod vector;

use pg_neural::features::{
    BitMask, Block, Column, Dictionary, Error, FeatureSet, FitRows, Fitted, Kind, LeftOut, MISSING,
    MemoryRows, Origin, Values, fit, parse_requests,
};
use pg_neural::nn::Crew;
use serde_json::{Value, json};

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
        column.kind = Kind::Category;
        self.columns.push(column);
        self.dictionaries.push(Some(dictionary));
        self.block.columns.push(Values::Category(codes));
        self
    }

    pub fn fit(&self, features: Value) -> Result<(FeatureSet, Vec<LeftOut>), Error> {
        let mask = BitMask::new(self.block.rows, true);
        self.fit_on(features, &mask, &[])
    }

    pub fn fit_on(
        &self,
        features: Value,
        mask: &BitMask,
        embedded: &[String],
    ) -> Result<(FeatureSet, Vec<LeftOut>), Error> {
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
fn what_is_wrong_in_features_is_named_with_the_nearest_known_word() {
    let columns = [Column::new("age", "integer", Origin::Integer)];
    let says = |request: Value| {
        let error = parse_requests(Some(&request), &columns).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        format!("{error}. {}", error.hint().unwrap())
    };
    assert!(says(json!({"agee": "numeric"})).contains("\"agee\". Perhaps you mean \"age\"."));
    assert!(says(json!({"age": "numerical"})).contains("Perhaps you mean \"numeric\"."));
    assert!(says(json!({"age": {"scael": "none"}})).contains("Perhaps you mean \"scale\"."));
    assert!(says(json!({"age": {"scale": "standart"}})).contains("Perhaps you mean \"standard\"."));
    assert!(says(json!({"age": {"missing": "medain"}})).contains("Perhaps you mean \"median\"."));
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

/// As stored versions have them: the order of the keys counts, too.
#[test]
fn what_a_version_keeps_is_written_as_it_was_read() {
    for treatment in [
        r#"{"type":"numeric","scale":"robust","center":1.5,"divisor":2.0,"missing":0.5,"low":-1.0,"high":3.0,"indicator":false,"clip":3.0}"#,
        r#"{"type":"numeric","scale":"none","center":0.0,"divisor":1.0,"missing":0.0,"low":0.0,"high":0.0,"indicator":true}"#,
        r#"{"type":"one_hot","levels":["b","a"]}"#,
        r#"{"type":"one_hot","levels":["b","a"],"exact":true}"#,
        r#"{"type":"index","levels":["b","a"],"units":4,"exact":true}"#,
        r#"{"type":"vector","scale":"minmax","center":[1.0],"divisor":[2.0],"missing":[1.0],"low":[0.0],"high":[2.0]}"#,
        r#"{"type":"vector","scale":"standard","center":[1.0],"divisor":[2.0],"missing":[1.0],"low":[0.0],"high":[2.0],"clip":1.0,"precision":"double"}"#,
        r#"{"type":"image","geometry":{"shape":[3,8,8],"channels_last":true,"resize":[4,4],"crop":[2,2]},"scale":255.0,"mean":[0.5],"std":[],"augment":{"horizontal":true,"vertical":false,"crop":1,"shift":0.5}}"#,
        r#"{"type":"sequence","length":9,"features":1,"scale":"none","center":[0.0],"divisor":[1.0],"precision":"double","tokens":{"known":8,"other":true}}"#,
        r#"{"type":"ignored","reason":"as asked"}"#,
    ] {
        let feature = format!(
            r#"{{"name":"x","sql_type":"text","origin":"text","treatment":{treatment},"profile":"none"}}"#
        );
        let text = format!(r#"{{"format":1,"features":[{feature}]}}"#);
        let set: FeatureSet = serde_json::from_str(&text).unwrap();
        set.validate().unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), text);
    }
}
