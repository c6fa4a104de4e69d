//! Words that are not known, and those that may be meant.

use super::error::Error;

/// The known word most like `word`, if one is like it at all.
pub(crate) fn nearest(word: &str, known: &[&str]) -> Option<String> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|k| (strsim::jaro_winkler(&word, k), *k))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k.to_string())
}

/// The error of a name that is none of those known, such as `"cosin"`, which is no schedule.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    Error::Value {
        name: format!("\"{name}\""),
        problem: format!("is no {what} that is known"),
        hint: Some(match nearest(name, known) {
            Some(nearest) => format!(
                "Perhaps you mean \"{nearest}\"; known are {}.",
                known.join(", ")
            ),
            None => format!("Known are {}.", known.join(", ")),
        }),
    }
}
