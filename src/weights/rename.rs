//! The tensors of a file under the architecture's names.

use std::collections::HashMap;

use super::error::Error;
use super::go_on::go_on;
use super::known;
use crate::artifact::{Tensor, TensorFile};
use crate::nn::Pace;

/// A tensor under the name that the architecture has for it.
pub(super) struct Renamed<'a> {
    pub(super) name: String,
    pub(super) tensor: &'a Tensor<'a>,
    /// Whether it is a second name of a tensor that the file holds once: nothing is missed if no
    /// parameter has it.
    pub(super) second: bool,
}

/// What the user calls a tensor or the beginning of its name, and what it is to be called: several
/// names give several parameters the same values, none leaves it out.
pub(super) type Rename = (String, Vec<String>);

/// Renames the tensors. A key is a tensor's whole name, or the beginning of one up to a dot or slash
/// (with or without it; the empty text is the beginning of all); the longest that fits counts.
///
/// Counters of batches, which no layer has a use for, are left out. A tensor that safetensors'
/// `save_model` found under several names, and wrote once, has all of them again: it writes the others
/// into the metadata.
///
/// # Errors
/// Two tensors of one name, a key that fits none, or a tensor that is left out though its module
/// computes with it.
pub(super) fn apply<'a>(
    file: &'a TensorFile<'a>,
    renames: &[Rename],
    pace: &Pace<'_>,
) -> Result<Vec<Renamed<'a>>, Error> {
    let keys: HashMap<&str, usize> = renames
        .iter()
        .enumerate()
        .map(|(i, (from, _))| (from.as_str(), i))
        .collect();
    let tensors = &file.tensors;
    let mut used = vec![false; renames.len()];
    let mut renamed: Vec<Renamed<'a>> = Vec::with_capacity(tensors.len());
    let mut names: HashMap<String, &str> = HashMap::with_capacity(tensors.len());
    let mut left_out: Vec<&str> = Vec::new();
    let own = tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor, false));
    for (from, tensor, second) in own.chain(tied(file, pace)?) {
        go_on(pace, 1)?;
        let found = longest(from, &keys);
        if let Some((at, _)) = found {
            used[at] = true;
        }
        let to: Vec<String> = match found {
            None => vec![from.to_owned()],
            Some((at, length)) => { renames[at].1.iter() }
                .map(|to| joined(to, &from[length..]))
                .collect(),
        };
        if to.is_empty() && !second {
            left_out.push(from);
        }
        for (place, name) in to.into_iter().enumerate() {
            if name == "num_batches_tracked" || name.ends_with(".num_batches_tracked") {
                continue;
            }
            match names.get(&name) {
                Some(_) if second => continue,
                Some(other) => {
                    return Err(Error::invalid(
                        format!(
                            "the tensors {} and {} are both named {} by option \"rename\"",
                            shown(other),
                            shown(from),
                            shown(&name)
                        ),
                        "Give them different names, or leave one out by renaming it to null.",
                    ));
                }
                None => names.insert(name.clone(), from),
            };
            let second = second || place > 0;
            renamed.push(Renamed {
                name,
                tensor,
                second,
            });
        }
    }
    if let Some(at) = used.iter().position(|used| !used) {
        let from = &renames[at].0;
        let names = tensors.iter().take(8).map(|tensor| shown(&tensor.name));
        return Err(Error::invalid(
            format!(
                "option \"rename\" names {}, which no tensor begins with",
                shown(from)
            ),
            format!(
                "The file's tensors are {}.",
                names.collect::<Vec<_>>().join(", ")
            ),
        ));
    }
    refuse_parts(&left_out, &renamed, pace)?;
    Ok(renamed)
}

/// The names that `save_model` took away from tensors that the file holds under another one.
fn tied<'a>(
    file: &'a TensorFile<'a>,
    pace: &Pace<'_>,
) -> Result<impl Iterator<Item = (&'a str, &'a Tensor<'a>, bool)> + use<'a>, Error> {
    let mut by_name: HashMap<&str, &Tensor<'_>> = HashMap::new();
    for tensor in &file.tensors {
        go_on(pace, 1)?;
        by_name.insert(tensor.name.as_str(), tensor);
    }
    Ok(file.metadata.iter().filter_map(move |(dropped, kept)| {
        let tensor = by_name.get(kept.as_str())?;
        let is_free = !by_name.contains_key(dropped.as_str());
        is_free.then_some((dropped.as_str(), *tensor, true))
    }))
}

/// Refuses that a part of a module is left out while others of its tensors are used.
fn refuse_parts(left_out: &[&str], renamed: &[Renamed<'_>], pace: &Pace<'_>) -> Result<(), Error> {
    let used = |beginning: &str| {
        let own = |renamed: &Renamed<'_>| renamed.tensor.name.starts_with(beginning);
        renamed.iter().any(own)
    };
    for name in left_out {
        go_on(pace, 1 + renamed.len() / 64)?;
        if known::is_needed(name) && used(known::module(name)) {
            return Err(Error::invalid(
                format!(
                    "option \"rename\" leaves out {}, with which the network computes",
                    shown(name)
                ),
                known::advice(name).unwrap_or("Keep it."),
            ));
        }
        let encoder = known::norm_of(name).filter(|encoder| used(&format!("{encoder}.layers.")));
        if let Some(encoder) = encoder {
            return Err(Error::invalid(
                format!(
                    "option \"rename\" leaves out {}, with which the network computes",
                    shown(name)
                ),
                norm_layer(encoder),
            ));
        }
    }
    Ok(())
}

/// The layer that an encoder's last norm is.
pub(super) fn norm_layer(encoder: &str) -> String {
    format!(
        "It is the encoder's last norm: put {{\"type\": \"layer_norm\", \"name\": \"{}.norm\"}} \
         behind it.",
        encoder.chars().take(64).collect::<String>()
    )
}

/// The longest key that the name is or begins with, as its place and how much of the name it takes.
fn longest(name: &str, keys: &HashMap<&str, usize>) -> Option<(usize, usize)> {
    if let Some(&at) = keys.get(name) {
        return Some((at, name.len()));
    }
    let ends = name.rmatch_indices(['.', '/']).map(|(end, _)| end);
    for end in ends {
        for length in [end + 1, end] {
            if let Some(&at) = keys.get(&name[..length]) {
                return Some((at, length));
            }
        }
    }
    keys.get("").map(|&at| (at, 0))
}

/// The new beginning and what is left of the name, with one dot between them. Behind a beginning that
/// ended at a slash the others become dots, too.
fn joined(to: &str, rest: &str) -> String {
    let rest = match rest.strip_prefix('/') {
        Some(rest) => rest.replace('/', "."),
        None => rest.strip_prefix('.').unwrap_or(rest).to_owned(),
    };
    match to {
        _ if rest.is_empty() => to.to_owned(),
        "" => rest,
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

    fn file<'a>(given: &[&str], metadata: &[(&str, &str)]) -> TensorFile<'a> {
        TensorFile {
            metadata: metadata
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            null_metadata: false,
            tensors: given
                .iter()
                .map(|name| Tensor {
                    name: (*name).to_owned(),
                    dtype: Dtype::F32,
                    shape: Vec::new(),
                    data: &[0; 4],
                })
                .collect(),
        }
    }

    fn of(file: &TensorFile<'_>, renames: &[(&str, &[&str])]) -> Result<Vec<String>, Error> {
        let renames: Vec<Rename> = renames
            .iter()
            .map(|(from, to)| {
                let to = to.iter().map(|to| (*to).to_owned());
                ((*from).to_owned(), to.collect())
            })
            .collect();
        let renamed = apply(file, &renames, &Pace::endless())?;
        Ok(renamed.into_iter().map(|renamed| renamed.name).collect())
    }

    fn names(given: &[&str], renames: &[(&str, Option<&str>)]) -> Result<Vec<String>, Error> {
        let to: Vec<(&str, Vec<&str>)> = renames
            .iter()
            .map(|(from, to)| (*from, to.iter().copied().collect()))
            .collect();
        let to: Vec<(&str, &[&str])> = to.iter().map(|(from, to)| (*from, to.as_slice())).collect();
        of(&file(given, &[]), &to)
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

    #[test]
    fn beginnings_end_at_slashes_too() {
        let given = ["layers/0/kernel", "layers/0/cell/bias", "layers/10/kernel"];
        let renames = [("layers/0", Some("fc1")), ("layers", Some("net"))];
        assert_eq!(
            names(&given, &renames).unwrap(),
            ["fc1.kernel", "fc1.cell.bias", "net.10.kernel"]
        );
    }

    #[test]
    fn one_tensor_may_have_several_names() {
        let given = file(&["embed.weight", "fc.weight"], &[]);
        let found = of(&given, &[("embed", &["embed", "head"])]).unwrap();
        assert_eq!(found, ["embed.weight", "head.weight", "fc.weight"]);
        // As save_model writes two that are one.
        let tied = file(
            &["embed.weight"],
            &[("head.weight", "embed.weight"), ("format", "pt")],
        );
        assert_eq!(of(&tied, &[]).unwrap(), ["embed.weight", "head.weight"]);
        let found = of(&tied, &[("head", &["out"]), ("embed", &[])]).unwrap();
        assert_eq!(found, ["out.weight"]);
    }

    #[test]
    fn what_a_module_computes_with_is_not_left_out() {
        for (given, from, part) in [
            (
                [
                    "fc.parametrizations.weight.original0",
                    "fc.parametrizations.weight.original1",
                    "fc.bias",
                ],
                "fc.parametrizations.weight.original0",
                "remove_parametrizations",
            ),
            (
                ["a.in_proj_weight", "a.bias_k", "a.bias_v"],
                "a.bias_k",
                "add_bias_kv",
            ),
            (
                [
                    "enc.layers.0.linear1.weight",
                    "enc.norm.weight",
                    "enc.norm.bias",
                ],
                "enc.norm",
                "\"name\": \"enc.norm\"",
            ),
        ] {
            let error = names(&given, &[(from, None)]).unwrap_err();
            assert!(error.hint().unwrap().contains(part), "{error}");
        }
        // A whole module may go.
        let given = ["aux.parametrizations.weight.original0", "fc.weight"];
        assert_eq!(names(&given, &[("aux", None)]).unwrap(), ["fc.weight"]);
    }
}
