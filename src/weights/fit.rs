//! Tensors put where the network has its parameters.

use std::collections::HashMap;

use super::convert;
use super::error::Error;
use super::rename::{Renamed, shown};
use crate::features::{FeatureSet, Fitted};
use crate::nn::{Network, Parameter, ParameterKind};

/// Tensors of one fault that a message names.
const NAMED: usize = 8;
/// Renamings that a hint proposes.
const PROPOSED: usize = 4;

/// The network's parameters from the tensors, matched by name and shape.
///
/// An embedding of a categorical feature has two vectors more than the feature has levels, for other
/// levels and for missing values. Where the tensor has none for these they are zero.
///
/// # Errors
/// Every tensor that is missing, surplus, of another shape or type, or not finite, in one message.
pub(super) fn parameters(
    network: &Network,
    features: &FeatureSet,
    tensors: &[Renamed<'_>],
) -> Result<Vec<f32>, Error> {
    let by_name: HashMap<&str, &Renamed<'_>> =
        tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let expected: HashMap<&str, &Parameter> = network
        .parameters()
        .iter()
        .map(|p| (p.name.as_str(), p))
        .collect();
    let padded = |parameter: &Parameter, shape: &[usize]| is_padded(parameter, shape, features);
    let mut faults = Faults::default();
    for parameter in network.parameters() {
        match by_name.get(parameter.name.as_str()) {
            None => faults.missing.push(parameter),
            Some(found) => {
                let shape = &found.tensor.shape;
                if *shape != parameter.shape && !padded(parameter, shape) {
                    let (name, expected) = (shown(&found.name), &parameter.shape);
                    faults
                        .wrong
                        .push(format!("{name} is {shape:?} and not {expected:?}"));
                } else if !convert::is_float(found.tensor.dtype) {
                    let (name, dtype) = (shown(&found.name), found.tensor.dtype);
                    faults
                        .wrong
                        .push(format!("{name} is of type {dtype} and not of floats"));
                }
            }
        }
    }
    faults.surplus = tensors
        .iter()
        .filter(|tensor| !expected.contains_key(tensor.name.as_str()))
        .collect();
    faults.check(network)?;
    // What was found covers them all, so that the file's own size bounds the memory, but for the
    // embeddings' two vectors each.
    let mut parameters = Vec::with_capacity(network.parameter_count());
    for parameter in network.parameters() {
        if let Some(found) = by_name.get(parameter.name.as_str()) {
            convert::append(found.tensor, &mut parameters);
        }
        let read = parameters.get(parameter.range.start..).unwrap_or_default();
        if !read.iter().all(|value| value.is_finite()) {
            return Err(Error::invalid(
                format!(
                    "the tensor {} has a value that is not finite",
                    shown(&parameter.name)
                ),
                "Weights must be numbers that f32 can hold: train the network again.",
            ));
        }
        parameters.resize(parameter.range.end, 0.0);
    }
    Ok(parameters)
}

/// Whether a tensor of this shape holds the vectors of an embedding's levels alone.
fn is_padded(parameter: &Parameter, shape: &[usize], features: &FeatureSet) -> bool {
    let ([rows, units], [expected_rows, expected_units]) = (shape, parameter.shape.as_slice())
    else {
        return false;
    };
    let levels = |levels: usize| levels == *rows && levels + 2 == *expected_rows;
    parameter.kind == ParameterKind::Embedding
        && units == expected_units
        && features
            .features
            .iter()
            .any(|feature| match &feature.treatment {
                Fitted::Index { levels: own, .. } => levels(own.len()),
                _ => false,
            })
}

/// What keeps tensors and network apart.
#[derive(Default)]
struct Faults<'a> {
    missing: Vec<&'a Parameter>,
    surplus: Vec<&'a Renamed<'a>>,
    wrong: Vec<String>,
}

impl Faults<'_> {
    fn check(&self, network: &Network) -> Result<(), Error> {
        let shaped = |name: &str, shape: &[usize]| format!("{} {shape:?}", shown(name));
        let missing = self.missing.iter().map(|p| shaped(&p.name, &p.shape));
        let surplus = self
            .surplus
            .iter()
            .map(|t| shaped(&t.name, &t.tensor.shape));
        let mut parts = Vec::new();
        parts.extend(listed("missing:", missing));
        parts.extend(listed("surplus:", surplus));
        parts.extend(listed("misshapen:", self.wrong.iter().cloned()));
        if parts.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the weights do not fit the architecture: {}",
            parts.join("; ")
        );
        Err(Error::invalid(message, self.hint(network)))
    }

    fn hint(&self, network: &Network) -> String {
        let mut proposals: Vec<(String, String)> = Vec::new();
        let mut taken = vec![false; self.surplus.len()];
        for parameter in &self.missing {
            let (layer, own) = parameter
                .name
                .rsplit_once('.')
                .unwrap_or(("", &parameter.name));
            let fits = |tensor: &Renamed<'_>| {
                let (_, name) = tensor.name.rsplit_once('.').unwrap_or(("", &tensor.name));
                name == own && tensor.tensor.shape == parameter.shape
            };
            let surplus = self.surplus.iter().enumerate();
            let Some((at, tensor)) = { surplus }.find(|(i, t)| !taken[*i] && fits(t)) else {
                continue;
            };
            taken[at] = true;
            let (from, _) = tensor.tensor.name.rsplit_once('.').unwrap_or_default();
            let proposal = (from.to_owned(), layer.to_owned());
            if !proposals.contains(&proposal) {
                proposals.push(proposal);
            }
        }
        if !proposals.is_empty() {
            let pairs: Vec<String> = proposals
                .iter()
                .take(PROPOSED)
                .map(|(from, to)| format!("{}: {}", shown(from), shown(to)))
                .collect();
            let more = if proposals.len() > PROPOSED {
                ", …"
            } else {
                ""
            };
            return format!(
                "Tensors of the same shape have other names: options => '{{\"rename\": {{{}{more}}}}}'.",
                pairs.join(", ")
            );
        }
        if self.missing.is_empty() && self.wrong.is_empty() {
            return "Add the layers these belong to, or leave them out: rename them to null."
                .into();
        }
        let shapes: Vec<String> = network
            .parameters()
            .iter()
            .take(NAMED)
            .map(|p| format!("{} {:?}", shown(&p.name), p.shape))
            .collect();
        let more = if network.parameters().len() > NAMED {
            ", …"
        } else {
            ""
        };
        format!(
            "The architecture has {}{more}. Correct its layers or features, or name the tensors by \
             option \"rename\".",
            shapes.join(", ")
        )
    }
}

/// The faults of one sort, the first of them by name.
fn listed(what: &str, faults: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let count = faults.len();
    let named: Vec<String> = faults.take(NAMED).collect();
    let more = match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (count > 0).then(|| format!("{what} {}{more}", named.join(", ")))
}
