//! What the weights say of a sequence that reads them: numbers a step, most steps, vocabulary.

use serde_json::{Map, Value};

use super::layout::Layout;
use super::rename::Renamed;
use crate::nn::{Architecture, EmbeddingSpec, LayerSpec, NAME, Pace};

/// The features' descriptions with the settings of sequences that are not given, but follow from the
/// shapes of the first weights behind them.
pub(super) fn completed(
    features: &Value,
    architecture: &Architecture,
    tensors: &[Renamed<'_>],
    layout: Option<Layout>,
    pace: &Pace<'_>,
) -> Value {
    let mut features = features.clone();
    let Some(list) = features.as_array_mut() else {
        return features;
    };
    let only = list.len() == 1;
    for feature in list.iter_mut().filter_map(Value::as_object_mut) {
        let text = |key: &str| feature.get(key).and_then(Value::as_str);
        let is_sequence = text("type").is_some_and(|kind| kind.eq_ignore_ascii_case("sequence"));
        let (Some(name), true) = (text("name").map(str::to_owned), is_sequence) else {
            continue;
        };
        for layer in architecture.first_readers(&name, only) {
            complete(
                feature,
                &layer,
                tensors,
                layout.unwrap_or(Layout::Pytorch),
                pace,
            );
        }
    }
    features
}

fn complete(
    feature: &mut Map<String, Value>,
    layer: &LayerSpec,
    tensors: &[Renamed<'_>],
    layout: Layout,
    pace: &Pace<'_>,
) {
    let name = layer.name.as_deref().unwrap_or_default();
    let shape = |own: &str| {
        let name = format!("{name}.{own}");
        let found = { tensors.iter() }.find(|tensor| {
            // Once it is to stop, so does whoever called this at its next look.
            pace.spend(NAME) || tensor.name.replace('/', ".") == name
        });
        found.map(|found| found.tensor.shape.as_slice())
    };
    // Of a matrix [out, in], the second size, or the first where it lies the other way round.
    let entering = |shape: &[usize]| match (shape, layout) {
        ([size, _], Layout::InOut) | ([_, size], _) => Some(*size),
        _ => None,
    };
    let mut set = |key: &str, value: Option<usize>| {
        let given = feature.get(key).is_some_and(|value| !value.is_null());
        if let (Some(value), false) = (value.filter(|value| *value > 0), given) {
            feature.insert(key.to_owned(), value.into());
        }
    };
    let kind = layer.kind.type_name();
    match kind {
        "embedding" => {
            let vectors = shape("weight").and_then(|shape| shape.first().copied());
            let own = layer.get::<EmbeddingSpec>();
            let own = own.and_then(|embedding| embedding.vocabulary);
            set("vocabulary", vectors.filter(|_| own.is_none()));
        }
        "rnn" | "lstm" | "gru" => {
            let own = [
                "weight_ih_l0",
                "Wx",
                "kernel",
                "lstm_cell.kernel",
                "simple_rnn_cell.kernel",
            ];
            let found = own.into_iter().find_map(shape);
            set("features", found.and_then(entering));
        }
        "dense" => {
            let found = ["weight", "kernel"].into_iter().find_map(shape);
            set("features", found.and_then(entering));
        }
        "conv1d" => {
            let found = ["weight", "kernel"].into_iter().find_map(shape);
            let of_group = match (found, layout) {
                (Some([_, size, _]), Layout::Pytorch | Layout::InOut)
                | (Some([_, _, size]), Layout::ChannelsLast) => Some(*size),
                _ => None,
            };
            let mut settings = Map::new();
            layer.kind.write(&mut settings);
            let groups = settings.get("groups").and_then(Value::as_u64).unwrap_or(1);
            set(
                "features",
                of_group.and_then(|size| size.checked_mul(groups as usize)),
            );
        }
        "positional_encoding" => {
            if let Some([steps, features]) = shape("weight") {
                set("length", Some(*steps));
                set("features", Some(*features));
            }
        }
        "multi_head_attention" | "transformer_encoder" => {
            let own = [
                "in_proj_weight",
                "self_attn.in_proj_weight",
                "layers.0.self_attn.in_proj_weight",
            ];
            let found = own.into_iter().find_map(shape);
            set(
                "features",
                found.and_then(|shape| shape.iter().min().copied()),
            );
        }
        _ => {}
    }
}
