//! Categories: fitting and encoding.

use super::Table;
use pg_neural::features::{
    BitMask, Block, Column, Dictionary, Error, Kind, Origin, Profile, Values, parse_requests,
    storage_kind,
};
use serde_json::json;

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
fn a_number_can_be_categorical_and_a_text_cannot_be_numeric() {
    let columns = [
        Column::new("n", "integer", Origin::Integer),
        Column::new("t", "text", Origin::Text),
    ];
    let request = json!({"n": {"type": "categorical", "levels": [1, 2]}});
    let requests = parse_requests(Some(&request), &columns).unwrap();
    let kind = storage_kind(&requests[0], Origin::Integer);
    assert_eq!(kind, Kind::Category);
    let error = parse_requests(Some(&json!({"t": "numeric"})), &columns).unwrap_err();
    assert!(matches!(error, Error::Type { .. }));
    assert!(error.to_string().contains("column \"t\" of type text"));
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
