//! The SQL of released versions stays as it is, and leads to today's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Files of a folder by what stands between `pg_neural--` and `.sql`.
fn scripts(name: &str) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder(name)).expect("the folder");
    let names = files.map(|file| file.expect("a file").path());
    names
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let version = name.strip_prefix("pg_neural--")?.strip_suffix(".sql")?;
            Some((version.to_owned(), fs::read_to_string(&path).expect("SQL")))
        })
        .collect()
}

fn default_version() -> String {
    let control = fs::read_to_string(folder("pg_neural.control")).expect("the control file");
    let line = control
        .lines()
        .find_map(|line| line.strip_prefix("default_version = '"));
    line.expect("a version").trim_end_matches('\'').to_owned()
}

/// The script of CREATE EXTENSION, as scripts/environment.sh makes it.
fn today() -> String {
    let files = fs::read_dir(folder("sql")).expect("the folder");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(|first: char| first.is_ascii_digit()))
    });
    files.sort();
    let head = "\\echo Use \"CREATE EXTENSION pg_neural\" to load this file. \\quit\n";
    let texts = files
        .iter()
        .map(|path| fs::read_to_string(path).expect("SQL"));
    std::iter::once(head.to_owned()).chain(texts).collect()
}

/// What is wrong with the scripts: a release that changed, one from which no way leads to today's.
fn problems(
    version: &str,
    today: &str,
    released: &BTreeMap<String, String>,
    upgrades: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut problems = Vec::new();
    if released.get(version).is_some_and(|frozen| frozen != today) {
        problems.push(format!(
            "the SQL is not that of {version} any more, which is released: raise default_version and \
             write sql/upgrade/pg_neural--{version}--NEW.sql"
        ));
    }
    for old in released.keys().filter(|old| *old != version) {
        let mut reached = vec![old.as_str()];
        let mut at = 0;
        while at < reached.len() {
            let from = format!("{}--", reached[at]);
            let steps = upgrades.keys().filter_map(|step| step.strip_prefix(&from));
            let new: Vec<&str> = steps.filter(|step| !reached.contains(step)).collect();
            reached.extend(new);
            at += 1;
        }
        if !reached.contains(&version) {
            problems.push(format!(
                "no script of sql/upgrade leads from {old} to {version}"
            ));
        }
    }
    problems
}

#[test]
fn what_was_released_stays_and_leads_to_todays() {
    let (released, upgrades) = (scripts("sql/released"), scripts("sql/upgrade"));
    let problems = problems(&default_version(), &today(), &released, &upgrades);
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(default_version(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_would_be_wrong_is_seen() {
    let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        entries.iter().map(owned).collect()
    };
    let released = map(&[("0.2.0", "old"), ("0.3.0", "new")]);
    let none = map(&[]);
    assert_eq!(problems("0.3.0", "newer", &released, &none).len(), 2);
    let direct = map(&[("0.2.0--0.3.0", "")]);
    assert!(problems("0.3.0", "new", &released, &direct).is_empty());
    let steps = map(&[("0.2.0--0.2.1", ""), ("0.2.1--0.3.0", "")]);
    assert!(problems("0.3.0", "new", &released, &steps).is_empty());
    // A new version that is not released yet.
    assert_eq!(problems("0.4.0", "anything", &released, &steps).len(), 2);
}
