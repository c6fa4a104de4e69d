//! Samples of rows: their sides, limits and bytes.

use super::sample::CAPACITY;
use super::{
    Known, Learnt, RowHashes, RowTruth, Seen, SeenRows, Side, Tally, features_hash, group_hash,
    row_hash,
};

/// Bytes of the hash and of what stands before it.
const HASH: usize = 36;

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
    apart.settle(2000, None);
    alike.settle(2000, None);
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
    seen.settle(2, None);
    let complete = seen.to_bytes();
    assert_eq!(seen.find(hashes(3)), Known::New);
    seen.complete = false;
    assert_eq!(seen.find(hashes(1)), Known::Seen(Side::Trained));
    assert_eq!(seen.find(hashes(2)), Known::Seen(Side::HeldOut));
    assert_eq!(seen.find(hashes(3)), Known::Unknown);
    let bytes = seen.to_bytes();
    assert_eq!(bytes[HASH + 4..], complete[HASH..]);
    assert_eq!(SeenRows::from_bytes(&bytes).as_ref(), Some(&seen));
    for cut in 0..bytes.len() {
        assert_eq!(SeenRows::from_bytes(&bytes[..cut]), None, "{cut}");
    }
    // Of any bit that has changed they are not taken, be it one of a side that could be another.
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SeenRows::from_bytes(&changed), None, "{bit}");
    }
    // Before there was a hash.
    assert_eq!(SeenRows::from_bytes(&bytes[HASH..]), Some(seen.clone()));
    // What follows goes on with what is not known.
    let mut next = SeenRows::new(1, false);
    next.add(hashes(4), Side::Trained);
    next.settle(1, None);
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

fn numbered(row: u32, truth: f64) -> RowHashes {
    let mut buffer = Vec::new();
    // Steps that hashes of features tell apart.
    let x = [(row % 256) as f32 / 256.0, (row / 256) as f32 / 512.0];
    RowHashes {
        row: row_hash(&x, RowTruth::Numbers(&[truth]), &mut buffer),
        features: features_hash(&x, &mut buffer),
        group: None,
    }
}

fn tally(seen: &SeenRows, rows: impl Iterator<Item = RowHashes>) -> Tally {
    let mut tally = Tally::default();
    rows.for_each(|hashes| tally.add(seen.look(hashes)));
    tally
}

/// What is told of rows, which must be an estimate, as a share of them.
fn estimated(seen: &SeenRows, rows: impl Iterator<Item = RowHashes>) -> f64 {
    let tally = tally(seen, rows);
    match tally.learnt() {
        Learnt::About(learnt) => learnt / tally.rows as f64,
        other => panic!("{other:?}"),
    }
}

/// A sample of the first rows, on these sides.
fn seen_of(rows: u32, side: impl Fn(u32) -> Side) -> SeenRows {
    let mut seen = SeenRows::new(1, false);
    (0..rows).for_each(|row| seen.add(numbered(row, 1.0), side(row)));
    seen.settle(rows as usize, None);
    seen
}

#[test]
fn the_share_of_learnt_rows_is_estimated_without_bias() {
    let seen = seen_of(40_000, |_| Side::Trained);
    let near = |found: f64, truth: f64| assert!((found - truth).abs() < 0.02, "{found} {truth}");
    let rows = |range: std::ops::Range<u32>| range.map(|row| numbered(row, 1.0));
    near(estimated(&seen, rows(20_000..60_000)), 0.5);
    near(estimated(&seen, rows(0..40_000)), 1.0);
    near(estimated(&seen, rows(36_000..76_000)), 0.1);
    near(estimated(&seen, rows(40_000..80_000)), 0.0);
    // Rows whose target was corrected.
    let corrected = (20_000..60_000).map(|row| numbered(row, 2.0));
    near(estimated(&seen, corrected), 0.5);
    // A version that has not kept the features of its own rows.
    let mut one_sided = seen_of(40_000, |_| Side::Trained);
    one_sided.features = Some(Seen::new(1));
    one_sided.features.as_mut().unwrap().settle();
    near(estimated(&one_sided, rows(20_000..60_000)), 0.5);
    // Of few rows nothing is estimated.
    let few = tally(&seen, rows(0..20)).learnt();
    assert!(matches!(few, Learnt::AtLeast(1..20)), "{few:?}");
    let small = seen_of(1000, |_| Side::Trained);
    assert_eq!(
        tally(&small, rows(500..1500)).learnt(),
        Learnt::Exactly(500)
    );
}

#[test]
fn rows_held_out_within_the_sample_only_tell_of_those_beyond() {
    let first = seen_of(40_000, |row| match row % 4 {
        0 => Side::HeldOut,
        _ => Side::Trained,
    });
    let flagged = || (0..40_000).step_by(4).map(|row| numbered(row, 1.0));
    assert_eq!(tally(&first, flagged()).learnt(), Learnt::About(0.0));
    // A training that holds out again what is known, and trains on all else.
    let mut learnt = 0;
    let mut second = SeenRows::new(1, false);
    for row in 0..40_000 {
        let hashes = numbered(row, 1.0);
        let side = match first.find(hashes) {
            Known::Seen(Side::HeldOut) => Side::HeldOutAlone,
            _ => Side::Trained,
        };
        learnt += u32::from(row % 4 == 0 && side == Side::Trained);
        second.add(hashes, side);
    }
    second.settle(40_000, Some(&first));
    second.merge(&first);
    let truth = f64::from(learnt) / 10_000.0;
    assert!(truth > 0.3);
    let told = estimated(&second, flagged());
    assert!((told - truth).abs() < 0.02, "{told} {truth}");
    // It outlives bytes, and further trainings that hold out the same.
    let mut third = SeenRows::from_bytes(&second.to_bytes()).unwrap();
    assert_eq!(third, second);
    third.merge(&first);
    assert_eq!(third, second);
    // Trained on after all.
    third.merge(&seen_of(40_000, |_| Side::Trained));
    assert!(estimated(&third, flagged()) > 0.99);
}

#[test]
fn sides_are_the_bytes_that_they_were() {
    let sides = [
        (255, Side::Trained),
        (254, Side::HeldOut),
        (253, Side::HeldOutAlone),
        (0, Side::Fold(0)),
        (63, Side::Fold(63)),
    ];
    for (byte, side) in sides {
        assert_eq!((side.code(), Side::of(byte)), (byte, side));
    }
}

#[test]
fn what_one_training_does_not_tell_is_not_taken_from_another() {
    // Features that tell rows apart in one training, and in the next, of copies, do not.
    let first = seen_of(1000, |_| Side::HeldOut);
    let mut copies = SeenRows::new(1, false);
    for row in 0..5000 {
        copies.add(numbered(row % 1000, f64::from(row)), Side::Trained);
    }
    copies.settle(5000, Some(&first));
    copies.merge(&first);
    assert!(copies.find(numbered(7, -1.0)).is_learnt());
    // Groups that only one of two trainings tells, of more rows than are known.
    let grouped = |row: u32| RowHashes {
        group: Some(group_hash(u64::from(row / 10))),
        ..numbered(row, 1.0)
    };
    for rows in [10_000, 40_000] {
        let mut first = SeenRows::new(1, true);
        (0..rows).for_each(|row| first.add(grouped(row), Side::HeldOut));
        first.settle(rows as usize, None);
        let mut second = seen_of(rows, |_| Side::Trained);
        second.merge(&first);
        let learnt = (0..rows).filter(|&row| match second.find(grouped(row)) {
            Known::Seen(Side::Trained) => true,
            Known::Beyond => false,
            other => panic!("{other:?}"),
        });
        assert!(learnt.count() >= 10_000);
    }
}
