//! What other libraries call the tensors of a layer.

use std::collections::HashSet;

use super::error::Error;
use super::go_on::go_on;
use super::rename::Renamed;
use crate::nn::Pace;

/// Keras's, Flax's, MLX's and Burn's names of what a layer has, with PyTorch's.
const SYNONYMS: &[(&str, &str)] = &[
    ("kernel", "weight"),
    ("gamma", "weight"),
    ("scale", "weight"),
    ("embeddings", "weight"),
    ("embedding", "weight"),
    ("alpha", "weight"),
    ("beta", "bias"),
    ("moving_mean", "running_mean"),
    ("mean", "running_mean"),
    ("moving_variance", "running_var"),
    ("var", "running_var"),
    ("kernel", "weight_ih_l0"),
    ("recurrent_kernel", "weight_hh_l0"),
    ("bias", "bias_ih_l0"),
    ("Wx", "weight_ih_l0"),
    ("Wh", "weight_hh_l0"),
    ("b", "bias_ih_l0"),
    ("bhn", "bias_hh_l0"),
];
/// What Keras calls the part of a recurrent layer that has its tensors.
const CELLS: [&str; 2] = [".lstm_cell", ".simple_rnn_cell"];

/// Gives tensors that no parameter is named after the name of the one that they are by their own
/// library's name, where there is such a one and nothing else has its name.
pub(super) fn translate<'a>(
    tensors: &mut [Renamed<'_>],
    parameters: impl Iterator<Item = &'a str>,
    pace: &Pace<'_>,
) -> Result<(), Error> {
    let expected: HashSet<&str> = parameters.collect();
    let mut taken: HashSet<String> = tensors
        .iter()
        .filter(|tensor| expected.contains(tensor.name.as_str()))
        .map(|tensor| tensor.name.clone())
        .collect();
    for tensor in tensors {
        go_on(pace, 1)?;
        if expected.contains(tensor.name.as_str()) {
            continue;
        }
        let name = tensor.name.replace('/', ".");
        let Some((module, leaf)) = name.rsplit_once('.') else {
            continue;
        };
        let module = { CELLS.iter() }
            .find_map(|cell| module.strip_suffix(cell))
            .unwrap_or(module);
        let ours = SYNONYMS
            .iter()
            .filter(|(theirs, _)| *theirs == leaf)
            .map(|(_, ours)| format!("{module}.{ours}"))
            .chain([format!("{module}.{leaf}")])
            .find(|name| expected.contains(name.as_str()) && !taken.contains(name));
        if let Some(name) = ours {
            taken.insert(name.clone());
            tensor.name = name;
        }
    }
    Ok(())
}
