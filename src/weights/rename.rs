//! The tensors of a file under the architecture's names.

use std::collections::HashMap;

use super::error::Error;
use crate::artifact::Tensor;

/// A tensor under the name that the architecture has for it.
pub(super) struct Renamed<'a> {
    pub(super) name: String,
    pub(super) tensor: &'a Tensor<'a>,
}

/// Renames the tensors. A key is a tensor's whole name, or the beginning of one up to a dot (with or
/// without it; the empty text is the beginning of all); the longest that fits counts.
///
/// Counters of batches, which no layer has a use for, are left out.
///
/// # Errors
/// Two tensors of one name, or a key that fits none.
pub(super) fn apply<'a>(
    tensors: &'a [Tensor<'a>],
    renames: &[(String, Option<String>)],
) -> Result<Vec<Renamed<'a>>, Error> {
    let keys: HashMap<&str, usize> = renames
        .iter()
        .enumerate()
        .map(|(i, (from, _))| (from.as_str(), i))
        .collect();
    let mut used = vec![false; renames.len()];
    let mut renamed: Vec<Renamed<'a>> = Vec::with_capacity(tensors.len());
    let mut names: HashMap<String, &str> = HashMap::with_capacity(tensors.len());
    for tensor in tensors {
        let found = longest(&tensor.name, &keys);
        if let Some((at, _)) = found {
            used[at] = true;
        }
        let name = match found.map(|(at, length)| (&renames[at].1, length)) {
            None => tensor.name.clone(),
            Some((None, _)) => continue,
            Some((Some(to), length)) => joined(to, &tensor.name[length..]),
        };
        if name == "num_batches_tracked" || name.ends_with(".num_batches_tracked") {
            continue;
        }
        if let Some(other) = names.insert(name.clone(), &tensor.name) {
            return Err(Error::invalid(
                format!(
                    "the tensors {} and {} are both named {} by option \"rename\"",
                    shown(other),
                    shown(&tensor.name),
                    shown(&name)
                ),
                "Give them different names, or leave one out by renaming it to null.",
            ));
        }
        renamed.push(Renamed { name, tensor });
    }
    match used.iter().position(|used| !used) {
        None => Ok(renamed),
        Some(at) => {
            let from = &renames[at].0;
            let names = tensors.iter().take(8).map(|tensor| shown(&tensor.name));
            Err(Error::invalid(
                format!(
                    "option \"rename\" names {}, which no tensor begins with",
                    shown(from)
                ),
                format!(
                    "The file's tensors are {}.",
                    names.collect::<Vec<_>>().join(", ")
                ),
            ))
        }
    }
}

/// The longest key that the name is or begins with, as its place and how much of the name it takes.
fn longest(name: &str, keys: &HashMap<&str, usize>) -> Option<(usize, usize)> {
    if let Some(&at) = keys.get(name) {
        return Some((at, name.len()));
    }
    let dots = name.rmatch_indices('.').map(|(dot, _)| dot);
    for dot in dots {
        for length in [dot + 1, dot] {
            if let Some(&at) = keys.get(&name[..length]) {
                return Some((at, length));
            }
        }
    }
    keys.get("").map(|&at| (at, 0))
}

/// The new beginning and what is left of the name, with one dot between them.
fn joined(to: &str, rest: &str) -> String {
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    match to {
        _ if rest.is_empty() => to.to_owned(),
        "" => rest.to_owned(),
        _ if to.ends_with('.') => format!("{to}{rest}"),
        _ => format!("{to}.{rest}"),
    }
}

/// A name as messages have it.
pub(super) fn shown(name: &str) -> String {
    format!("\"{}\"", name.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::Dtype;

    fn names(given: &[&str], renames: &[(&str, Option<&str>)]) -> Result<Vec<String>, Error> {
        let tensors: Vec<Tensor<'_>> = given
            .iter()
            .map(|name| Tensor {
                name: (*name).to_owned(),
                dtype: Dtype::F32,
                shape: Vec::new(),
                data: &[0; 4],
            })
            .collect();
        let renames: Vec<_> = renames
            .iter()
            .map(|(from, to)| ((*from).to_owned(), to.map(str::to_owned)))
            .collect();
        Ok(apply(&tensors, &renames)?
            .into_iter()
            .map(|r| r.name)
            .collect())
    }

    #[test]
    fn the_longest_key_counts_and_ends_at_a_dot() {
        let given = ["net.0.weight", "net.0.bias", "net.10.weight", "head"];
        let renames = [
            ("net", Some("body")),
            ("net.0", Some("fc1")),
            ("net.0.bias", Some("b")),
        ];
        let found = names(&given, &renames).unwrap();
        assert_eq!(found, ["fc1.weight", "b", "body.10.weight", "head"]);
    }

    #[test]
    fn prefixes_are_taken_away_and_put_before_all() {
        let given = ["model.fc1.weight", "model.fc1.bias"];
        for from in ["model", "model."] {
            let found = names(&given, &[(from, Some(""))]).unwrap();
            assert_eq!(found, ["fc1.weight", "fc1.bias"]);
        }
        let found = names(&["weight", "bias"], &[("", Some("output1"))]).unwrap();
        assert_eq!(found, ["output1.weight", "output1.bias"]);
    }

    #[test]
    fn null_and_counters_are_left_out() {
        let given = ["aux.weight", "bn.num_batches_tracked", "fc.weight"];
        assert_eq!(names(&given, &[("aux", None)]).unwrap(), ["fc.weight"]);
    }

    #[test]
    fn one_name_for_two_and_keys_that_fit_nothing_are_refused() {
        let clash = names(&["a.weight", "b.weight"], &[("a", Some("b"))]);
        assert!(clash.unwrap_err().to_string().contains("both named"));
        let unused = names(&["fc1.weight"], &[("fc", Some("dense1"))]);
        assert!(
            unused
                .unwrap_err()
                .to_string()
                .contains("no tensor begins with")
        );
    }
}
