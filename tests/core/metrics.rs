//! Metrics against scikit-learn's numbers, which fixtures/make_metrics_fixtures.py made.

use pg_neural::metrics::{self, Accumulator, Error, Errors, Probabilities, Quantiles, Ranking};
use serde_json::Value;

fn reference(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/metrics.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn numbers(case: &Value, key: &str) -> Vec<f64> {
    case[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn bools(case: &Value, key: &str) -> Vec<bool> {
    case[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_bool().unwrap())
        .collect()
}

fn classes(case: &Value, key: &str) -> Vec<u32> {
    case[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap() as u32)
        .collect()
}

fn assert_agrees<N: AsRef<str>>(case: &Value, found: &[(N, Option<f64>)]) {
    let expected = case["expected"].as_object().unwrap();
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(
        names,
        expected.keys().map(String::as_str).collect::<Vec<_>>()
    );
    for (name, value) in found {
        let (name, value) = (name.as_ref(), *value);
        let want = expected[name].as_f64();
        // Absolute near zero, as scikit-learn's own sums round there.
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
        assert!(
            value.zip(want).map_or(value == want, |(v, w)| near(v, w)),
            "{} of {}: {value:?}, scikit-learn says {want:?}",
            name,
            case["name"]
        );
    }
}

#[test]
fn metrics_of_several_outputs_agree_with_scikit_learn() {
    for case in reference("multi_output") {
        let (predicted, actual) = (numbers(&case, "predicted"), numbers(&case, "actual"));
        let outputs = case["outputs"].as_u64().unwrap() as usize;
        assert_agrees(
            &case,
            &metrics::multi_output(&predicted, &actual, outputs).unwrap(),
        );
    }
    assert!(metrics::multi_output(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 2).is_err());
    let none = metrics::multi_output::<f64>(&[], &[], 2).unwrap();
    assert!(none.iter().all(|(_, value)| value.is_none()));
}

#[test]
fn metrics_of_labels_agree_with_scikit_learn() {
    for case in reference("multi_label") {
        let (scores, labels) = (numbers(&case, "probabilities"), bools(&case, "labels"));
        let count = case["count"].as_u64().unwrap() as usize;
        let threshold = case["threshold"].as_f64().unwrap();
        assert_agrees(
            &case,
            &metrics::multi_label(&scores, &labels, count, threshold).unwrap(),
        );
    }
    assert!(matches!(
        metrics::multi_label(&[0.5, 1.5], &[true, false], 2, 0.5),
        Err(Error::NotAProbability { .. })
    ));
    assert!(metrics::multi_label(&[0.5; 3], &[true; 3], 2, 0.5).is_err());
}

#[test]
fn binary_metrics_agree_with_scikit_learn() {
    for case in reference("binary") {
        let (scores, labels) = (numbers(&case, "scores"), bools(&case, "labels"));
        let threshold = case["threshold"].as_f64().unwrap();
        let found = metrics::binary(&scores, &labels, threshold).unwrap();
        assert_agrees(&case, &found);
        let single = [
            metrics::log_loss(&scores, &labels).unwrap(),
            metrics::brier(&scores, &labels).unwrap(),
            metrics::auc(&scores, &labels).unwrap(),
            metrics::gini(&scores, &labels).unwrap(),
            metrics::ks(&scores, &labels).unwrap(),
        ];
        assert_eq!(
            single.to_vec(),
            found[4..].iter().map(|f| f.1).collect::<Vec<_>>()
        );
    }
}

#[test]
fn multiclass_metrics_agree_with_scikit_learn() {
    for case in reference("multiclass") {
        let count = case["classes"].as_u64().unwrap() as usize;
        let probabilities = numbers(&case, "probabilities");
        let found = metrics::multiclass(&probabilities, count, &classes(&case, "labels")).unwrap();
        assert_agrees(&case, &found);
    }
}

#[test]
fn quantiles_agree_with_scikit_learn_in_one_pass_and_in_parts() {
    for case in reference("quantiles") {
        let levels = numbers(&case, "quantiles");
        let (predicted, actual) = (numbers(&case, "predicted"), numbers(&case, "actual"));
        let mut parts = [Quantiles::new(&levels), Quantiles::new(&levels)];
        let mut whole = Quantiles::new(&levels);
        for (row, actual) in actual.iter().enumerate() {
            let own = predicted[row * levels.len()..][..levels.len()]
                .iter()
                .copied();
            whole.push(own.clone(), *actual);
            parts[row % 2].push(own, *actual);
        }
        let [mut merged, more] = parts;
        merged.merge(&more);
        assert_agrees(&case, &whole.finish());
        assert_agrees(&case, &merged.finish());
    }
    let none = Quantiles::new(&[0.5]).finish();
    assert!(none.iter().all(|(_, value)| value.is_none()));
}

#[test]
fn regression_metrics_agree_with_scikit_learn() {
    for case in reference("regression") {
        let (predicted, actual) = (numbers(&case, "predicted"), numbers(&case, "actual"));
        let found = metrics::regression(&predicted, &actual).unwrap();
        assert_agrees(&case, &found);
        assert_eq!(metrics::rmse(&predicted, &actual).unwrap(), found[1].1);
        assert_eq!(metrics::mae(&predicted, &actual).unwrap(), found[2].1);
        assert_eq!(metrics::r2(&predicted, &actual).unwrap(), found[3].1);
    }
}

#[test]
fn no_rows_give_no_metric() {
    let none: [f64; 0] = [];
    for (name, value) in metrics::binary(&none, &[], 0.5).unwrap() {
        assert_eq!(value, None, "{name}");
    }
    for (name, value) in metrics::multiclass(&none, 3, &[]).unwrap() {
        assert_eq!(value, None, "{name}");
    }
    for (name, value) in metrics::regression(&none, &[]).unwrap() {
        assert_eq!(value, None, "{name}");
    }
}

/// A small generator, so that the cases need no crate.
fn pseudo_random(rows: usize) -> impl Iterator<Item = f64> {
    let mut state = 88172645463325252u64;
    (0..rows).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn merged<A: Accumulator>(rows: &[(f64, A::Actual)], piece: usize, backwards: bool) -> A {
    let mut pieces: Vec<A> = rows
        .chunks(piece)
        .map(|chunk| {
            let mut state = A::default();
            chunk.iter().for_each(|&(p, a)| state.push(p, a).unwrap());
            A::from_words(&state.to_words())
        })
        .collect();
    if backwards {
        pieces.reverse();
    }
    let mut whole = A::default();
    pieces.iter().for_each(|piece| whole.merge(piece));
    whole
}

/// What a metric makes of what was gathered.
type Metric<A> = fn(&A) -> Option<f64>;

fn assert_merges<A: Accumulator>(rows: &[(f64, A::Actual)], metrics: &[(&str, Metric<A>)]) {
    let whole = merged::<A>(rows, rows.len(), false);
    for piece in [1, 7, 100, 999] {
        for backwards in [false, true] {
            let merged = merged::<A>(rows, piece, backwards);
            for (name, metric) in metrics {
                let (value, whole) = (metric(&merged).unwrap(), metric(&whole).unwrap());
                let apart = (value.to_bits() as i64).abs_diff(whole.to_bits() as i64);
                assert!(
                    apart <= 1,
                    "{name}: {value} in pieces of {piece}, {whole} at once"
                );
            }
        }
    }
}

#[test]
fn merging_changes_at_most_the_last_bit() {
    let scores: Vec<f64> = pseudo_random(5000).collect();
    let labelled: Vec<(f64, bool)> = scores
        .iter()
        .zip(pseudo_random(9000).skip(4000))
        .map(|(&s, u)| (s, u < s))
        .collect();
    let paired: Vec<(f64, f64)> = labelled
        .iter()
        .map(|&(s, l)| (1e6 * s, 1e6 * s + f64::from(l)))
        .collect();
    assert_merges::<Probabilities>(
        &labelled,
        &[
            ("log_loss", Probabilities::log_loss),
            ("brier", Probabilities::brier),
        ],
    );
    assert_merges::<Errors>(
        &paired,
        &[
            ("rmse", Errors::rmse),
            ("mae", Errors::mae),
            ("r2", Errors::r2),
        ],
    );
}

#[test]
fn ranking_does_not_depend_on_the_order() {
    let rows: Vec<(f64, bool)> = pseudo_random(3000)
        .zip(pseudo_random(6000).skip(3000))
        .map(|(s, u)| ((s * 50.0).floor(), u < s))
        .collect();
    let mut forwards = Ranking::default();
    rows.iter().for_each(|&(s, l)| forwards.push(s, l));
    let (mut first, mut second) = (Ranking::default(), Ranking::default());
    for (i, &(s, l)) in rows.iter().rev().enumerate() {
        if i % 3 == 0 {
            first.push(s, l)
        } else {
            second.push(s, l)
        }
    }
    second.merge(&first);
    assert_eq!(second.rows(), 3000);
    let whole = forwards.finish(|| ()).unwrap();
    assert_eq!(second.finish(|| ()), Some(whole));
    // Finishing again, or after further rows, still works on all rows.
    assert_eq!(forwards.finish(|| ()), Some(whole));
    forwards.merge(&second);
    assert_eq!(forwards.finish(|| ()).unwrap().auc, whole.auc);
}

#[test]
fn ranking_agrees_with_counting_every_pair() {
    let scores: Vec<f64> = pseudo_random(300).map(|s| (s * 20.0).floor()).collect();
    let labels: Vec<bool> = pseudo_random(600).skip(300).map(|u| u < 0.4).collect();
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (i, &a) in scores.iter().enumerate().filter(|&(i, _)| labels[i]) {
        for (_, &b) in scores
            .iter()
            .enumerate()
            .filter(|&(j, _)| j != i && !labels[j])
        {
            pairs += 1.0;
            wins += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    assert_eq!(metrics::auc(&scores, &labels).unwrap(), Some(wins / pairs));
}

#[test]
fn infinite_scores_rank_and_nan_shows() {
    let scores = [f64::NEG_INFINITY, -1.0, f64::INFINITY, 2.0];
    let labels = [false, false, true, true];
    assert_eq!(metrics::auc(&scores, &labels).unwrap(), Some(1.0));
    // Zero has no sign for a ranking.
    assert_eq!(
        metrics::auc(&[-0.0, 0.0], &[false, true]).unwrap(),
        Some(0.5)
    );
    for nan in [f64::NAN, -f64::NAN] {
        let scores = [0.1, nan, 0.3, 0.4];
        assert!(metrics::auc(&scores, &labels).unwrap().unwrap().is_nan());
        assert!(metrics::ks(&scores, &labels).unwrap().unwrap().is_nan());
        assert!(
            metrics::log_loss(&scores, &labels)
                .unwrap()
                .unwrap()
                .is_nan()
        );
        assert!(metrics::brier(&scores, &labels).unwrap().unwrap().is_nan());
        assert!(metrics::rmse(&scores, &[1.0; 4]).unwrap().unwrap().is_nan());
        assert!(metrics::r2(&scores, &[1.0; 4]).unwrap().unwrap().is_nan());
        assert!(
            metrics::r2(&[1.0, 2.0], &[nan, 1.0])
                .unwrap()
                .unwrap()
                .is_nan()
        );
    }
    let far = metrics::rmse(&[f64::INFINITY, 0.0], &[1.0, 0.0]).unwrap();
    assert_eq!(far, Some(f64::INFINITY));
    assert_eq!(
        metrics::mae(&[f64::MAX, f64::MAX], &[-f64::MAX, 0.0]).unwrap(),
        Some(f64::INFINITY)
    );
}

#[test]
fn what_is_not_a_probability_is_refused() {
    for score in [-0.1, 1.1, f64::INFINITY] {
        let error = metrics::log_loss(&[score], &[true]).unwrap_err();
        assert_eq!(error, Error::NotAProbability { score });
        assert!(metrics::brier(&[score], &[true]).is_err());
        assert!(metrics::binary(&[score], &[true], 0.5).is_err());
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_target_that_is_no_share_is_said_to_be_none() {
    for actual in [-0.5, 1.5, f64::INFINITY] {
        let mut shares = metrics::Shares::default();
        let error = shares.push(0.5, actual).unwrap_err();
        assert_eq!(error, Error::NotAShare { actual });
        assert!(error.to_string().contains("target"), "{error}");
        assert!(error.hint().is_some());
    }
    let mut shares = metrics::Shares::default();
    let error = shares.push(1.5, 0.5).unwrap_err();
    assert_eq!(error, Error::NotAProbability { score: 1.5 });
}

#[test]
fn numbers_without_a_deviance_are_refused() {
    for power in [1.0, 1.5, 2.0] {
        let mut means = metrics::Means::new(power);
        for actual in [-1.0, f64::INFINITY, f64::NEG_INFINITY] {
            let error = means.push(2.0, actual, 1.0, 1.0).unwrap_err();
            assert_eq!(error, Error::NoDeviance { actual });
        }
        assert!(means.push(2.0, 3.0, 1.0, 1.0).is_ok());
    }
}

#[test]
fn mismatched_sides_and_classes_are_errors() {
    assert!(metrics::auc(&[0.1, 0.2], &[true]).is_err());
    assert!(metrics::rmse(&[0.1], &[]).is_err());
    assert!(metrics::multiclass(&[0.1, 0.9, 0.3], 2, &[0]).is_err());
    assert!(metrics::multiclass(&[0.1, 0.9], 2, &[2]).is_err());
    assert!(metrics::multiclass(&[0.5f64; 2], 0, &[0]).is_err());
    assert!(metrics::confusion(&[0, 1], &[1], 2).is_err());
    assert!(metrics::confusion(&[0], &[2], 2).is_err());
}

#[test]
fn confusion_counts_actual_by_predicted() {
    let counts = metrics::confusion(&[0, 0, 1, 2, 2], &[0, 1, 1, 0, 2], 3).unwrap();
    assert_eq!(counts.count(0, 0), 1);
    assert_eq!(counts.count(0, 1), 1);
    assert_eq!(counts.count(2, 0), 1);
    assert_eq!(counts.count(1, 0), 0);
    assert_eq!(counts.rows(), 5);
    assert_eq!(counts.accuracy(), Some(0.6));
}
