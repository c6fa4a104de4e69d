//! Samples of rows: their sides, limits and bytes.

use super::sample::CAPACITY;
use super::{Known, RowHashes, RowTruth, Seen, SeenRows, Side, features_hash, row_hash};

fn hash(row: u64) -> u32 {
    row_hash(&[row as f32], RowTruth::Class("a"), &mut Vec::new())
}

#[test]
fn rows_are_known_by_side_and_come_back_from_bytes() {
    let mut seen = Seen::new(1);
    (0..1000).for_each(|row| {
        let side = match row % 3 {
            0 => Side::HeldOut,
            1 => Side::Trained,
            _ => Side::Fold(5),
        };
        seen.add(hash(row), side);
    });
    seen.settle();
    assert_eq!(seen.find(hash(3)), Known::Seen(Side::HeldOut));
    assert_eq!(seen.find(hash(4)), Known::Seen(Side::Trained));
    assert_eq!(seen.find(hash(5)), Known::Seen(Side::Fold(5)));
    assert_eq!(seen.find(hash(5000)), Known::New);
    assert_eq!(Seen::from_bytes(&seen.to_bytes()).as_ref(), Some(&seen));
    // Held out by one training and learnt in the next.
    let mut next = Seen::new(1);
    next.add(hash(3), Side::Trained);
    next.add(hash(5000), Side::HeldOut);
    next.settle();
    next.merge(&seen);
    assert_eq!(next.find(hash(3)), Known::Seen(Side::Trained));
    assert_eq!(next.find(hash(6)), Known::Seen(Side::HeldOut));
    assert_eq!(next.find(hash(5000)), Known::Seen(Side::HeldOut));
}

#[test]
fn of_many_rows_a_sample_is_known_and_never_a_wrong_side() {
    let mut seen = Seen::new(1);
    let rows = 10 * CAPACITY as u64;
    (0..rows).for_each(|row| seen.add(hash(row), Side::Trained));
    seen.settle();
    let known = (0..rows).filter(|&row| {
        let known = seen.find(hash(row));
        assert_ne!(known, Known::New);
        known == Known::Seen(Side::Trained)
    });
    assert!((CAPACITY - 100..=CAPACITY + 100).contains(&known.count()));
    let new = (rows..2 * rows).filter(|&row| seen.find(hash(row)) == Known::New);
    assert!(new.count() > CAPACITY / 2);
    assert!(seen.to_bytes().len() < 90_000);
}

#[test]
fn a_row_is_known_by_its_features_where_these_tell_rows_apart() {
    let hashes = |x: f32, truth: f64| {
        let mut buffer = Vec::new();
        RowHashes {
            row: row_hash(&[x], RowTruth::Numbers(&[truth]), &mut buffer),
            features: features_hash(&[x], &mut buffer),
            group: None,
        }
    };
    let mut apart = SeenRows::new(1, false);
    let mut alike = SeenRows::new(1, false);
    for row in 0..2000 {
        apart.add(hashes(row as f32, 1.0), Side::Trained);
        alike.add(hashes((row % 50) as f32, f64::from(row)), Side::Trained);
    }
    apart.settle(2000);
    alike.settle(2000);
    let trained = Known::Seen(Side::Trained);
    assert_eq!(apart.find(hashes(7.0, 1.0)), trained);
    assert_eq!(apart.find(hashes(7.0, 2.0)), trained);
    assert_eq!(apart.find(hashes(7.000_001, 2.0)), trained);
    assert_eq!(apart.find(hashes(2007.5, 1.0)), Known::New);
    assert_eq!(alike.find(hashes(7.0, 57.0)), trained);
    assert_eq!(alike.find(hashes(7.0, 0.5)), Known::New);
    for seen in [apart, alike] {
        let bytes = seen.to_bytes();
        assert_eq!(SeenRows::from_bytes(&bytes).as_ref(), Some(&seen));
        assert_eq!(SeenRows::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}

#[test]
fn of_an_incomplete_sample_a_row_that_is_not_found_is_unknown() {
    let hashes = |row: u32| RowHashes {
        row,
        features: row,
        group: Some(row),
    };
    let mut seen = SeenRows::new(1, true);
    seen.add(hashes(1), Side::Trained);
    seen.add(hashes(2), Side::HeldOut);
    seen.settle(2);
    let complete = seen.to_bytes();
    assert_eq!(seen.find(hashes(3)), Known::New);
    seen.complete = false;
    assert_eq!(seen.find(hashes(1)), Known::Seen(Side::Trained));
    assert_eq!(seen.find(hashes(2)), Known::Seen(Side::HeldOut));
    assert_eq!(seen.find(hashes(3)), Known::Unknown);
    let bytes = seen.to_bytes();
    assert_eq!(bytes[4..], complete);
    assert_eq!(SeenRows::from_bytes(&bytes).as_ref(), Some(&seen));
    for cut in 0..bytes.len() {
        assert_eq!(SeenRows::from_bytes(&bytes[..cut]), None, "{cut}");
    }
    // What follows goes on with what is not known.
    let mut next = SeenRows::new(1, false);
    next.add(hashes(4), Side::Trained);
    next.settle(1);
    next.merge(&seen);
    assert_eq!(next.find(hashes(1)), Known::Seen(Side::Trained));
    assert_eq!(next.find(hashes(4)), Known::Seen(Side::Trained));
    assert_eq!(next.find(hashes(5)), Known::Unknown);
}

#[test]
fn hostile_bytes_are_no_sample() {
    let mut seen = Seen::new(2);
    seen.add(7, Side::Trained);
    seen.add(9, Side::Trained);
    seen.settle();
    let bytes = seen.to_bytes();
    for cut in 0..bytes.len() {
        assert_eq!(
            Seen::from_bytes(&bytes[..cut]).is_some(),
            cut >= 16 && (cut - 16) % 5 == 0,
            "{cut}"
        );
    }
    let mut unordered = bytes;
    unordered.swap(16, 20);
    assert_eq!(Seen::from_bytes(&unordered), None);
}
