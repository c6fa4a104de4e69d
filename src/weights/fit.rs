//! Tensors put where the network has its parameters.

use std::collections::HashMap;

use super::convert;
use super::error::Error;
use super::go_on::go_on;
use super::known;
use super::layout::{self, Arrangement, Flatten, Layout};
use super::rename::{Renamed, norm_layer, shown};
use crate::artifact::{Tensor, TensorFile};
use crate::features::FeatureSet;
use crate::nn::{Network, Pace, Parameter, ParameterKind};

/// Tensors of one fault that a message names.
const NAMED: usize = 8;
/// Renamings that a hint proposes.
const PROPOSED: usize = 4;

/// Tensors and what is known of them.
pub(super) struct Given<'a> {
    /// The file.
    pub(super) file: &'a TensorFile<'a>,
    /// Its tensors under the architecture's names.
    pub(super) tensors: &'a [Renamed<'a>],
    /// How the file's tensors lie, and flattened sequences.
    pub(super) layout: (Option<Layout>, Option<Flatten>),
    /// The last layer that the user wrote, if an output layer was put behind it.
    pub(super) before_output: Option<&'a str>,
    /// Asked whether to go on.
    pub(super) pace: &'a Pace<'a>,
}

/// Parameters that were read.
pub(super) struct Read {
    pub(super) parameters: Vec<f32>,
    /// The numbers of levels of embeddings whose tensors had vectors for the levels alone.
    pub(super) exact: Vec<usize>,
}

/// The network's parameters from the tensors, matched by name and shape.
///
/// An embedding of a categorical feature has two vectors more than the feature has levels, for other
/// levels and for missing values. Where the tensor has none for these they are zero. So is one of a
/// recurrent layer's two biases where the other alone is there, as other libraries have it.
///
/// # Errors
/// Every tensor that is missing, surplus, of another shape or type, or not finite, in one message.
pub(super) fn parameters(
    network: &Network,
    features: &FeatureSet,
    given: &Given<'_>,
) -> Result<Read, Error> {
    let pace = given.pace;
    let mut by_name: HashMap<&str, &Tensor<'_>> = HashMap::new();
    for renamed in given.tensors {
        go_on(pace, 1)?;
        by_name.insert(renamed.name.as_str(), renamed.tensor);
    }
    let expected: HashMap<&str, &Parameter> = network
        .parameters()
        .iter()
        .map(|p| (p.name.as_str(), p))
        .collect();
    let arrangement = Arrangement::new(
        given.layout,
        given.file,
        network,
        &features.inputs(),
        &by_name,
    )?;
    let mut faults = Faults {
        before_output: given.before_output,
        ..Faults::default()
    };
    for parameter in network.parameters() {
        match by_name.get(parameter.name.as_str()) {
            None if has_other_bias(parameter, &by_name) => {}
            None => faults.missing.push(parameter),
            Some(tensor) => {
                let shape = arrangement.shape(parameter, tensor);
                if zeros(parameter, &shape, features, &expected).is_none() {
                    faults.misshapen(parameter, tensor, {
                        let wanted = wanted(parameter, features);
                        arrangement.in_file(parameter, &wanted)
                    });
                } else if !convert::is_float(tensor.dtype) {
                    let (name, dtype) = (shown(&parameter.name), tensor.dtype);
                    faults
                        .wrong
                        .push(format!("{name} is of type {dtype} and not of floats"));
                }
            }
        }
    }
    for tensor in given.tensors {
        go_on(pace, 1)?;
        if !tensor.second && !expected.contains_key(tensor.name.as_str()) {
            faults.surplus.push(tensor);
        }
    }
    if let Some(layout) = faults.layout {
        let lies_so = |parameter: &&Parameter| {
            by_name
                .get(parameter.name.as_str())
                .is_some_and(|tensor| layout::is_ambiguous(layout, parameter, &tensor.shape))
        };
        faults.square = network.parameters().iter().filter(lies_so).collect();
    }
    faults.check(network, features, pace)?;
    // What was found covers them all, so that the file's own size bounds the memory, but for the
    // embeddings' two vectors each and the biases that are not there.
    let mut parameters = Vec::with_capacity(network.parameter_count());
    let mut exact = Vec::new();
    for parameter in network.parameters() {
        if let Some(tensor) = by_name.get(parameter.name.as_str()) {
            let shape = arrangement.shape(parameter, tensor);
            let before = zeros(parameter, &shape, features, &expected).unwrap_or(0);
            parameters.resize(parameter.range.start + before, 0.0);
            if pace.spend_values(parameter.range.len() * 4) {
                return Err(Error::Interrupted);
            }
            arrangement.append(parameter, tensor, &mut parameters);
            if parameter.kind == ParameterKind::Embedding && shape != parameter.shape {
                exact.extend(shape.first());
            }
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
        if let Some(why) = parameter.fault(read) {
            return Err(Error::invalid(
                format!("in the tensor {} {why}", shown(&parameter.name)),
                "Of each number its edges stand in a row, from the least to the largest.",
            ));
        }
        parameters.resize(parameter.range.end, 0.0);
    }
    Ok(Read { parameters, exact })
}

/// The zeros that stand before the values of a tensor of this shape, as others may stand behind it;
/// `None` if it does not fit the parameter.
///
/// Beside the embeddings of levels, it is the bias of a GRU's state that may be short: MLX has that of
/// the third gate alone.
fn zeros(
    parameter: &Parameter,
    shape: &[usize],
    features: &FeatureSet,
    expected: &HashMap<&str, &Parameter>,
) -> Option<usize> {
    if shape == parameter.shape || is_padded(parameter, shape, features) {
        return Some(0);
    }
    let ([size], [full]) = (shape, parameter.shape.as_slice()) else {
        return None;
    };
    let state = parameter.name.replace(".bias_hh_l", ".weight_hh_l");
    let is_gru = state != parameter.name
        && expected
            .get(state.as_str())
            .is_some_and(|state| state.shape == [3 * size, *size]);
    (is_gru && *full == 3 * size).then_some(2 * size)
}

/// Whether a bias of a recurrent layer is missing whose other one is there: the layer adds both up,
/// and libraries that have a single one have it in either place.
fn has_other_bias(parameter: &Parameter, by_name: &HashMap<&str, &Tensor<'_>>) -> bool {
    [(".bias_hh_l", ".bias_ih_l"), (".bias_ih_l", ".bias_hh_l")]
        .into_iter()
        .any(|(own, other)| {
            let name = parameter.name.replace(own, other);
            name != parameter.name && by_name.contains_key(name.as_str())
        })
}

/// Whether a tensor of this shape holds the vectors of an embedding's levels alone.
fn is_padded(parameter: &Parameter, shape: &[usize], features: &FeatureSet) -> bool {
    let ([rows, units], [expected_rows, expected_units]) = (shape, parameter.shape.as_slice())
    else {
        return false;
    };
    parameter.kind == ParameterKind::Embedding && units == expected_units && {
        features.embedded_levels()
    }
    .any(|(_, levels)| levels == *rows && levels + 2 == *expected_rows)
}

/// The shape that messages say a parameter has: of an embedding, without the two vectors that the
/// user does not know of.
fn wanted(parameter: &Parameter, features: &FeatureSet) -> Vec<usize> {
    match parameter.shape.as_slice() {
        [rows, units] if *rows > 2 && is_padded(parameter, &[rows - 2, *units], features) => {
            vec![rows - 2, *units]
        }
        shape => shape.to_vec(),
    }
}

/// What keeps tensors and network apart.
#[derive(Default)]
struct Faults<'a> {
    missing: Vec<&'a Parameter>,
    surplus: Vec<&'a Renamed<'a>>,
    wrong: Vec<String>,
    /// The layout in which a tensor of a wrong shape would have the right one.
    layout: Option<&'static str>,
    /// Those whose shape is right in that layout, too.
    square: Vec<&'a Parameter>,
    /// The last layer that the user wrote, if an output layer was put behind it.
    before_output: Option<&'a str>,
}

impl Faults<'_> {
    fn misshapen(&mut self, parameter: &Parameter, tensor: &Tensor<'_>, wanted: Vec<usize>) {
        let (name, shape) = (shown(&parameter.name), &tensor.shape);
        self.wrong
            .push(format!("{name} is {shape:?} and not {wanted:?}"));
        self.layout = self.layout.or(layout::fitting(parameter, shape));
    }

    fn check(
        &self,
        network: &Network,
        features: &FeatureSet,
        pace: &Pace<'_>,
    ) -> Result<(), Error> {
        let shaped = |name: &str, shape: &[usize]| format!("{} {shape:?}", shown(name));
        let missing = { self.missing.iter() }.map(|p| shaped(&p.name, &wanted(p, features)));
        let surplus = self
            .surplus
            .iter()
            .map(|t| shaped(&t.name, &t.tensor.shape));
        let square = self.square.iter().map(|p| shaped(&p.name, &p.shape));
        let mut parts = Vec::new();
        parts.extend(listed("missing:", missing));
        parts.extend(listed("surplus:", surplus));
        parts.extend(listed("misshapen:", self.wrong.iter().cloned()));
        parts.extend(listed(
            "of a shape that does not show that they, too, lie in another way:",
            square,
        ));
        if parts.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the weights do not fit the architecture: {}",
            parts.join("; ")
        );
        let hint = self.hint(network, features, pace);
        go_on(pace, 1)?;
        Err(Error::invalid(message, hint))
    }

    fn hint(&self, network: &Network, features: &FeatureSet, pace: &Pace<'_>) -> String {
        if let Some(layout) = self.layout {
            let what = match layout {
                "in_out" => {
                    "linear layers as [in, out] and convolutions as [height, width, in, out]"
                }
                _ => "convolutions as [out, height, width, in]",
            };
            return format!(
                "The file has {what}: options => '{{\"layout\": \"{layout}\"}}' turns all of them. \
                 Do not turn single ones."
            );
        }
        if let Some(prefix) = self.prefix() {
            return format!(
                "All names begin with {}: options => '{{\"rename\": {{{}: \"\"}}}}'.",
                shown(prefix),
                shown(prefix)
            );
        }
        if let Some(advice) = self.advice(network, known::is_needed) {
            return advice;
        }
        let proposals = self.proposals(pace);
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
        if let Some(advice) = self.advice(network, |_| true) {
            return advice;
        }
        if self.missing.is_empty() && self.wrong.is_empty() {
            return "Add the layers these belong to. Only what the network does not compute with, \
                    such as an optimizer's buffers or a head that is not used, may be left out: \
                    rename it to null."
                .into();
        }
        let last = network.architecture().layers.last();
        let of_last = |parameter: &&Parameter| {
            let name = last.and_then(|layer| layer.name.as_deref());
            name.is_some_and(|name| parameter.name.contains(&format!("{name}.")))
        };
        if let Some(written) = self
            .before_output
            .filter(|_| self.missing.iter().any(of_last))
        {
            return format!(
                "Layer {} is not as wide as the task needs, or has an activation that no output has, so \
                 that an output layer was put behind it: write it as {{\"type\": \"output\", …}}, with \
                 its activation if it has one.",
                shown(written)
            );
        }
        let shapes: Vec<String> = network
            .parameters()
            .iter()
            .take(NAMED)
            .map(|p| format!("{} {:?}", shown(&p.name), wanted(p, features)))
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

    /// What is known of the tensors that are surplus.
    fn advice(&self, network: &Network, wanted: fn(&str) -> bool) -> Option<String> {
        let is_encoder = |name: &str| {
            let mut layers = network.architecture().layers.iter();
            layers.any(|layer| {
                layer.name.as_deref() == Some(name)
                    && layer.kind.type_name() == "transformer_encoder"
            })
        };
        self.surplus.iter().find_map(|tensor| {
            let norm = known::norm_of(&tensor.name).filter(|encoder| is_encoder(encoder));
            match norm {
                Some(encoder) => Some(norm_layer(encoder)),
                None if wanted(&tensor.name) => known::advice(&tensor.name).map(str::to_owned),
                None => None,
            }
        })
    }

    /// What stands before the names of all tensors that are missing otherwise.
    fn prefix(&self) -> Option<&str> {
        let first = self.missing.first()?;
        let by_name: HashMap<&str, &Renamed<'_>> = { self.surplus.iter() }
            .map(|t| (t.name.as_str(), *t))
            .collect();
        let before = |tensor: &&&Renamed<'_>| {
            tensor.name.ends_with(&format!(".{}", first.name)) && tensor.tensor.shape == first.shape
        };
        let tensor = self.surplus.iter().find(before)?;
        let prefix = &tensor.name[..tensor.name.len() - first.name.len() - 1];
        let fits = |parameter: &&Parameter| {
            by_name
                .get(format!("{prefix}.{}", parameter.name).as_str())
                .is_some_and(|tensor| tensor.tensor.shape == parameter.shape)
        };
        (self.missing.len() == self.surplus.len() && self.missing.iter().all(fits))
            .then_some(prefix)
    }

    /// Layers whose tensors have the right shapes under another name.
    fn proposals(&self, pace: &Pace<'_>) -> Vec<(String, String)> {
        let mut proposals: Vec<(String, String)> = Vec::new();
        let mut taken = vec![false; self.surplus.len()];
        for parameter in &self.missing {
            // Of very many tensors, one is long looked for.
            if go_on(pace, 1 + self.surplus.len() / 8).is_err() {
                break;
            }
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
        proposals
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
