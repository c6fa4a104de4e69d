//! Sequences: taking in, fitting, encoding.

use super::arrays::{Cell, call, close, flat, nested, numbers};
use pg_neural::features::Fitted;
use pg_neural::nn::{InputForm, Rank};
use serde_json::{Value, json};

#[test]
fn short_sequences_stand_at_the_start_and_long_ones_lose_their_oldest_steps() {
    let table = numbers([flat(&[1.0, 2.0, 3.0, 4.0]), flat(&[5.0])]);
    let settings = json!({"type": "sequence", "length": 3, "scale": "none"});
    let (set, encoded) = table.fit(settings).unwrap();
    let form = InputForm::Sequence {
        steps: 3,
        features: 1,
        vocabulary: None,
    };
    assert_eq!(set.inputs()[0].form, form);
    assert_eq!(
        encoded[0],
        [3.0, 2.0, 3.0, 4.0],
        "the number of steps comes first"
    );
    assert_eq!(encoded[1], [1.0, 5.0, 0.0, 0.0]);
    // Without a length the longest row has the say.
    let (set, encoded) = table
        .fit(json!({"type": "sequence", "scale": "none"}))
        .unwrap();
    assert_eq!(encoded[0], [4.0, 1.0, 2.0, 3.0, 4.0]);
    let longer = flat(&[9.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(call(&set, &longer).unwrap(), encoded[0]);
    assert_eq!(
        set.features[0].describe(),
        "x: sequence of up to 4 numbers, not scaled"
    );
    assert_eq!(set.public_json()[0]["length"], 4);
}

#[test]
fn a_step_has_features_each_with_one_scale_over_all_steps() {
    let table = numbers([
        nested(&[2, 2], &[1.0, 100.0, 3.0, 300.0]),
        nested(&[1, 2], &[5.0, 800.0]),
    ])
    .rank(Rank::Sequence);
    let (set, encoded) = table.fit(Value::Null).unwrap();
    let (d, e) = ((8.0_f32 / 3.0).sqrt(), (260_000.0_f32 / 3.0).sqrt());
    close(&encoded[0], &[2.0, -2.0 / d, -300.0 / e, 0.0, -100.0 / e]);
    close(&encoded[1], &[1.0, 2.0 / d, 400.0 / e, 0.0, 0.0]);
    assert_eq!(
        set.features[0].describe(),
        "x: sequence of up to 2 × 2 numbers, standard"
    );
    for scale in ["minmax", "robust"] {
        let (_, encoded) = table
            .fit(json!({"type": "sequence", "scale": scale}))
            .unwrap();
        assert_eq!(encoded[1][3..], [0.0, 0.0], "{scale}");
    }
    let error = call(&set, &nested(&[1, 3], &[1.0, 2.0, 3.0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a sequence in column \"x\" has 3 numbers a step, but the column's sequences have 2"
    );
    let error = call(&set, &nested(&[1, 1, 2], &[1.0, 2.0])).unwrap_err();
    assert!(error.to_string().contains("3 dimensions"), "{error}");
}

#[test]
fn tokens_are_whole_numbers_below_the_vocabulary() {
    let table = numbers([flat(&[0.0, 3.0, 2.0]), flat(&[1.0])])
        .rank(Rank::Sequence)
        .embedded();
    let (set, encoded) = table.fit(Value::Null).unwrap();
    let form = InputForm::Sequence {
        steps: 3,
        features: 1,
        vocabulary: Some(5),
    };
    assert_eq!(set.inputs()[0].form, form);
    assert_eq!(
        encoded,
        [vec![3.0, 0.0, 3.0, 2.0], vec![1.0, 1.0, 0.0, 0.0]]
    );
    assert_eq!(
        call(&set, &flat(&[17.0])).unwrap(),
        [1.0, 4.0, 0.0, 0.0],
        "another token"
    );
    for (token, what) in [(-1.0, "-1"), (1.5, "1.5")] {
        let error = call(&set, &flat(&[token])).unwrap_err();
        assert!(
            error.to_string().contains(&format!("has {what} where")),
            "{error}"
        );
    }
    // An embedding that says how many it knows takes no others.
    let (set, _) = table
        .fit(json!({"type": "sequence", "vocabulary": 4}))
        .unwrap();
    assert_eq!(set.inputs()[0].vocabulary(), Some(4));
    let error = call(&set, &flat(&[4.0])).unwrap_err();
    assert!(error.to_string().contains("vocabulary is 4"), "{error}");
    let (message, _) = table.error(json!({"type": "sequence", "vocabulary": 3}));
    assert!(message.contains("the token 3"), "{message}");
    let pairs = numbers([nested(&[1, 2], &[1.0, 2.0])])
        .rank(Rank::Sequence)
        .embedded();
    let (message, _) = pairs.error(Value::Null);
    assert!(message.contains("cannot be embedded"), "{message}");
}

#[test]
fn how_rows_are_cut_into_blocks_does_not_change_what_is_fitted() {
    let cells = |count: usize| {
        (0..count).map(|i| {
            let step = |j: usize| ((i * 7 + j * 3) % 11) as f32;
            let length = 1 + i % 5;
            nested(&[length, 2], &(0..2 * length).map(step).collect::<Vec<_>>())
        })
    };
    let settings = json!({"type": "sequence", "scale": "robust"});
    // More rows than are read at once, and the statistics of a plain loop over them.
    let (set, _) = numbers(cells(9000)).fit(settings).unwrap();
    let mut firsts: Vec<f32> = cells(9000)
        .flat_map(|cell| match cell {
            Cell::Numbers(_, numbers) => numbers.into_iter().step_by(2).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect();
    firsts.sort_by(f32::total_cmp);
    let Fitted::Sequence(fitted) = &set.features[0].treatment else {
        panic!("a sequence")
    };
    let middle = f64::from(firsts[firsts.len() / 2]);
    assert_eq!((fitted.length, fitted.center[0]), (5, middle));
}
