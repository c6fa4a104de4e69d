//! The order in which a file has the outputs of two classes.
//!
//! In memory the positive class's output is the last of two. A file has them in the order of the
//! classes, so that who reads it with the classes beside it takes none for the other, and tensors
//! that were imported come back as they came.

use std::ops::Range;

use crate::features::Target;
use crate::nn::{Head, Network};

/// Where the parameters of the outputs are that change places between memory and file: each range is
/// half the one output's and half the other's.
pub(super) fn swapped(network: &Network, target: &Target) -> Vec<Range<usize>> {
    let swaps = matches!(
        target,
        Target::Classes {
            positive: Some(0),
            outputs_as_classes: true,
            ..
        }
    );
    if !swaps || !has_two_outputs(network) {
        return Vec::new();
    }
    let last = network.architecture().layers.last();
    let Some(name) = last.and_then(|layer| layer.name.as_deref()) else {
        return Vec::new();
    };
    let of_output = |full: &str| {
        let (layer, own) = full.rsplit_once('.').unwrap_or_default();
        let prefix = layer.strip_suffix(name);
        matches!(own, "weight" | "bias")
            && prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
    };
    let parameters = network.member_parameters().flatten();
    parameters
        .filter(|parameter| of_output(&parameter.name))
        .map(|parameter| parameter.range.clone())
        .collect()
}

/// Whether two classes have an output each.
fn has_two_outputs(network: &Network) -> bool {
    network.head() == Head::Binary && network.output_units() == 2
}

/// Lets both outputs change places.
pub(super) fn swap(values: &mut [f32]) {
    let (first, second) = values.split_at_mut(values.len() / 2);
    first.swap_with_slice(second);
}

/// Brings the parameters of a network from a file's order into memory's, or back.
pub fn reorder(network: &Network, target: &Target, parameters: &mut [f32]) {
    for range in swapped(network, target) {
        if let Some(values) = parameters.get_mut(range) {
            swap(values);
        }
    }
}

/// The target, the outputs of whose network a file has in the order of the classes.
pub fn in_order_of_classes(mut target: Target, network: &Network) -> Target {
    if let Target::Classes {
        positive: Some(0),
        outputs_as_classes,
        ..
    } = &mut target
    {
        *outputs_as_classes = has_two_outputs(network);
    }
    target
}
