//! The target's task, classes and scale, and the split.

use pg_neural::features::{
    BitMask, Error, Kind, MemoryRows, Origin, Scale, Split, Target, TargetRequest, Task, Values,
    group_key, split,
};

use super::Table;

fn find(table: &Table, request: &TargetRequest) -> Result<Target, Error> {
    let mut rows = MemoryRows::new(table.block.clone());
    Target::find(
        request,
        &table.columns[0],
        0,
        table.dictionaries[0].as_ref(),
        &mut rows,
        &mut || false,
    )
}

fn fitted(table: &Table, request: &TargetRequest) -> Result<Target, Error> {
    let mut target = find(table, request)?;
    let mask = BitMask::new(table.block.rows, true);
    let mut rows = MemoryRows::new(table.block.clone());
    target.fit(
        0,
        table.dictionaries[0].as_ref(),
        &mut rows,
        &mask,
        &mut || false,
    )?;
    target.validate()?;
    Ok(target)
}

/// A column of numbers as a target's is read: integers as what they are.
fn numbers(origin: Origin, values: &[f64]) -> Table {
    let mut table = Table::default().number("y", origin, values);
    if origin == Origin::Integer {
        let integers = values.iter().map(|value| *value as i64).collect();
        table.block.columns[0] = Values::Integer(integers);
        table.columns[0].kind = Kind::Integer;
    }
    table
}

fn texts(values: &[&str]) -> Table {
    let values: Vec<Option<&str>> = values.iter().map(|v| Some(*v)).collect();
    Table::default().text("y", Origin::Text, &values)
}

#[test]
fn the_task_follows_from_type_and_values() {
    let task = |table: &Table| fitted(table, &TargetRequest::default()).unwrap().task();
    let twenty: Vec<f64> = (0..20).map(f64::from).collect();
    let twenty_one: Vec<f64> = (0..21).map(f64::from).collect();
    assert_eq!(
        task(&numbers(Origin::Integer, &twenty)),
        Task::Classification
    );
    assert_eq!(
        task(&numbers(Origin::Integer, &twenty_one)),
        Task::Regression
    );
    assert_eq!(
        task(&numbers(Origin::Float, &[0.0, 1.0, -0.0])),
        Task::Classification
    );
    assert_eq!(
        task(&numbers(Origin::Numeric, &[0.0, 2.0])),
        Task::Regression
    );
    assert_eq!(
        task(&numbers(Origin::Boolean, &[0.0, 1.0])),
        Task::Classification
    );
    assert_eq!(task(&texts(&["a", "b"])), Task::Classification);
    let regression = TargetRequest {
        task: Some(Task::Regression),
        ..Default::default()
    };
    let target = fitted(&numbers(Origin::Integer, &[0.0, 1.0]), &regression).unwrap();
    assert_eq!(target.task(), Task::Regression);
    assert!(matches!(
        fitted(&texts(&["a", "b"]), &regression),
        Err(Error::Type { .. })
    ));
    let date = numbers(Origin::Date, &[0.0, 1.0]);
    assert!(matches!(
        find(&date, &TargetRequest::default()),
        Err(Error::Type { .. })
    ));
}

#[test]
fn classes_sort_by_value_for_numbers_and_by_bytes_for_texts() {
    let classes = |table: &Table| {
        let target = fitted(table, &TargetRequest::default()).unwrap();
        target.classes().to_vec()
    };
    assert_eq!(
        classes(&numbers(Origin::Integer, &[10.0, 9.0, -1.0])),
        ["-1", "9", "10"]
    );
    assert_eq!(
        classes(&numbers(Origin::Boolean, &[1.0, 0.0])),
        ["false", "true"]
    );
    assert_eq!(classes(&texts(&["ä", "a", "B"])), ["B", "a", "ä"]);
    let mut table = texts(&["10", "9", "1.5"]);
    table.columns[0].origin = Origin::Numeric;
    assert_eq!(classes(&table), ["1.5", "9", "10"]);
}

#[test]
fn the_positive_class_goes_by_name_then_rarity_then_collation() {
    let positive = |table: &Table, wanted: Option<&str>| {
        let request = TargetRequest {
            positive_class: wanted.map(str::to_owned),
            ..Default::default()
        };
        let target = fitted(table, &request)?;
        Ok::<_, Error>(target.positive_class().map(str::to_owned))
    };
    let is = |table: &Table, class: &str| {
        assert_eq!(positive(table, None).unwrap().as_deref(), Some(class));
    };
    is(&numbers(Origin::Boolean, &[1.0, 1.0, 0.0]), "true");
    is(&numbers(Origin::Integer, &[1.0, 1.0, 0.0]), "1");
    is(&texts(&["yes", "yes", "no"]), "yes");
    is(&texts(&["good", "good", "bad"]), "bad");
    is(&texts(&["good", "bad"]), "good");
    is(&numbers(Origin::Integer, &[9.0, 10.0]), "9");
    let table = texts(&["good", "good", "bad"]);
    assert_eq!(
        positive(&table, Some("good")).unwrap().as_deref(),
        Some("good")
    );
    let error = positive(&table, Some("goood")).unwrap_err();
    assert!(
        error
            .hint()
            .unwrap()
            .starts_with("Perhaps you mean \"good\".")
    );
    assert_eq!(positive(&texts(&["a", "b", "c"]), None).unwrap(), None);
    assert!(positive(&texts(&["a", "b", "c"]), Some("a")).is_err());
}

#[test]
fn one_class_many_classes_and_missing_targets_are_errors() {
    let request = TargetRequest::default();
    let one = find(&texts(&["a", "a"]), &request);
    assert!(matches!(one, Err(Error::OneClass { .. })));
    assert!(matches!(find(&texts(&[]), &request), Err(Error::NoRows)));
    let many: Vec<String> = (0..1001).map(|i| format!("c{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = find(&texts(&many), &request).unwrap_err();
    assert!(error.to_string().contains("more than 1000 classes"));
    assert_eq!(
        find(&texts(&many[..1000]), &request)
            .unwrap()
            .classes()
            .len(),
        1000
    );
    for wrong in [f64::NAN, f64::INFINITY] {
        assert!(find(&numbers(Origin::Float, &[1.5, wrong]), &request).is_err());
    }
    let table = texts(&["a", "b"]);
    let mut target = find(&table, &request).unwrap();
    let mut mask = BitMask::new(2, true);
    mask.set(0, false);
    let mut rows = MemoryRows::new(table.block.clone());
    let fit = target.fit(
        0,
        table.dictionaries[0].as_ref(),
        &mut rows,
        &mask,
        &mut || false,
    );
    assert!(matches!(fit, Err(Error::OneClass { class, .. }) if class == "b"));
}

#[test]
fn labels_are_positive_or_not_for_two_classes_numbers_for_more_and_scaled_for_regression() {
    let labels = |table: &Table, request: &TargetRequest| {
        let target = fitted(table, request).unwrap();
        let labels = target.labels(table.dictionaries[0].as_ref()).unwrap();
        let values: Vec<f32> = (0..table.block.rows)
            .map(|row| labels.label(&table.block, 0, row).unwrap())
            .collect();
        (target, values)
    };
    let request = TargetRequest::default();
    assert_eq!(
        labels(&texts(&["good", "bad", "good"]), &request).1,
        [0.0, 1.0, 0.0]
    );
    assert_eq!(
        labels(&texts(&["c", "a", "b"]), &request).1,
        [2.0, 0.0, 1.0]
    );
    assert_eq!(
        labels(&numbers(Origin::Boolean, &[0.0, 1.0]), &request).1,
        [0.0, 1.0]
    );
    let values = [100.0, 200.0, 400.0, 1000.5];
    for scale in [Scale::Standard, Scale::Minmax, Scale::Robust, Scale::None] {
        let request = TargetRequest {
            scale: Some(scale),
            ..Default::default()
        };
        let (target, encoded) = labels(&numbers(Origin::Float, &values), &request);
        for (value, z) in values.iter().zip(&encoded) {
            assert!((target.decode(0, *z) - value).abs() < 1e-3, "{scale:?}");
        }
        let back: Target = serde_json::from_str(&serde_json::to_string(&target).unwrap()).unwrap();
        assert_eq!(back, target);
    }
}

fn stratified(table: &Table, fraction: f64, seed: u64) -> BitMask {
    let target = find(table, &TargetRequest::default()).unwrap();
    let labels = target.labels(table.dictionaries[0].as_ref()).unwrap();
    let mut rows = MemoryRows::new(table.block.clone());
    split(
        Split::Stratified,
        fraction,
        seed,
        &mut rows,
        Some((&labels, 0)),
        &mut || false,
    )
    .unwrap()
}

fn simple(table: &Table, how: Split, fraction: f64) -> BitMask {
    let mut rows = MemoryRows::new(table.block.clone());
    split(how, fraction, 7, &mut rows, None, &mut || false).unwrap()
}

#[test]
fn a_stratified_split_keeps_the_shares_and_a_row_of_each_class() {
    let mut values = vec!["a"; 700];
    values.extend(vec!["b"; 290]);
    values.extend(vec!["c"; 9]);
    values.push("d");
    let table = texts(&values);
    let mask = stratified(&table, 0.2, 1);
    let held = |class: &str| {
        (0..1000)
            .filter(|&r| values[r] == class && !mask.get(r))
            .count()
    };
    assert_eq!(
        [held("a"), held("b"), held("c"), held("d")],
        [140, 58, 2, 0]
    );
    assert_eq!(mask, stratified(&table, 0.2, 1));
    assert_ne!(mask, stratified(&table, 0.2, 2));
    assert_eq!(stratified(&texts(&["a", "b", "a"]), 0.01, 1).count(), 2);
    assert_eq!(stratified(&texts(&["a", "b"]), 0.5, 1).count(), 2);
    assert_eq!(stratified(&table, 0.0, 1).count(), 1000);
}

#[test]
fn random_last_and_flag_hold_out_what_they_say() {
    let flags: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 == 3))).collect();
    let table = numbers(Origin::Boolean, &flags);
    assert_eq!(simple(&table, Split::Random, 0.15).count(), 85);
    let last = simple(&table, Split::Last, 0.15);
    assert!((0..100).all(|row| last.get(row) == (row < 85)));
    let flag = simple(&table, Split::Flag { position: 0 }, 0.0);
    assert!((0..100).all(|row| flag.get(row) == (row % 10 != 3)));
    let mut rows = MemoryRows::new(table.block.clone());
    for wrong in [1.0, -0.1, f64::NAN] {
        assert!(split(Split::Random, wrong, 7, &mut rows, None, &mut || false).is_err());
    }
    assert_eq!(
        simple(&numbers(Origin::Float, &[1.0]), Split::Random, 0.5).count(),
        1
    );
    assert_eq!(
        simple(&numbers(Origin::Float, &[1.0; 2]), Split::Random, 0.01).count(),
        1
    );
}

#[test]
fn a_group_stays_on_one_side() {
    for groups in [2, 5, 300, 100_000] {
        let values: Vec<f64> = (0..200_000)
            .map(|i| group_key(&format!("g{}", i % groups)))
            .collect();
        let table = numbers(Origin::Float, &values);
        let mask = simple(&table, Split::Group { position: 0 }, 0.2);
        assert!((groups..200_000).all(|row| mask.get(row) == mask.get(row % groups)));
        let held = 1.0 - mask.count() as f64 / 200_000.0;
        let tolerance = if groups == 2 { 0.31 } else { 0.01 };
        assert!((held - 0.2).abs() < tolerance, "{groups} groups: {held}");
    }
    let one = numbers(Origin::Float, &[3.0; 10]);
    assert_eq!(simple(&one, Split::Group { position: 0 }, 0.2).count(), 10);
}
