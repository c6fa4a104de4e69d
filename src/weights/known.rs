//! Tensors of PyTorch's that no layer here has, and what they mean: those that the network computes
//! with must not be left out.

/// What to do about a tensor of this name.
pub(super) fn advice(name: &str) -> Option<&'static str> {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    if name.split('.').any(|part| part == "parametrizations") {
        return Some(
            "A parametrization (weight_norm, spectral_norm) computes the weight: remove it before \
             saving, torch.nn.utils.parametrize.remove_parametrizations(layer, \"weight\").",
        );
    }
    match leaf {
        "weight_g" | "weight_v" => Some(
            "weight_norm computes the weight from these: remove it before saving, \
             torch.nn.utils.remove_weight_norm(layer).",
        ),
        "weight_orig" | "weight_mask" | "weight_u" => Some(
            "Pruning or spectral_norm computes the weight from these: remove it before saving, \
             torch.nn.utils.prune.remove(layer, \"weight\") or remove_spectral_norm(layer).",
        ),
        "bias_k" | "bias_v" => Some(
            "The attention was made with add_bias_kv=True, which is not there: train it without.",
        ),
        "q_proj_weight" | "k_proj_weight" | "v_proj_weight" => Some(
            "The attention was made with kdim or vdim, which is not there: train it with keys and \
             values as wide as its queries.",
        ),
        _ if leaf.starts_with("weight_hr_l") => {
            Some("The LSTM was made with proj_size, which is not there: train it without.")
        }
        "running_mean" | "running_var" => {
            Some("A batch normalisation computes with it: add {\"type\": \"batch_norm\"}.")
        }
        "in_proj_weight" | "in_proj_bias" => {
            Some("An attention computes with it: add {\"type\": \"multi_head_attention\"}.")
        }
        _ => None,
    }
}

/// Whether the module that has this tensor computes with it, so that it is another one without.
pub(super) fn is_needed(name: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    name.split('.').any(|part| part == "parametrizations")
        || leaf.starts_with("weight_hr_l")
        || matches!(
            leaf,
            "weight_g"
                | "weight_v"
                | "weight_orig"
                | "weight_mask"
                | "bias_k"
                | "bias_v"
                | "q_proj_weight"
                | "k_proj_weight"
                | "v_proj_weight"
        )
}

/// What stands before the names of the tensors of the same module.
pub(super) fn module(name: &str) -> &str {
    match name.find("parametrizations.") {
        Some(at) => &name[..at],
        None => &name[..name.rfind('.').map_or(0, |dot| dot + 1)],
    }
}

/// The name of an `nn.TransformerEncoder` whose last norm this tensor would be.
pub(super) fn norm_of(name: &str) -> Option<&str> {
    let rest = name
        .strip_suffix(".norm.weight")
        .or_else(|| name.strip_suffix(".norm.bias"))?;
    (!rest.is_empty()).then_some(rest)
}
