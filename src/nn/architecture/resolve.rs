//! From an architecture as written to one in which nothing is left open: every layer named, the
//! output layer in place.

use std::collections::{HashMap, HashSet};

use super::{Architecture, DenseSpec, LayerKind, LayerSpec};
use crate::nn::base::error::{Error, nearest};
use crate::nn::kernels::activation::Activation;

/// The task's demand on a network's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Numbers.
    Regression {
        /// How many a row.
        outputs: usize,
    },
    /// Two classes: one unit with the positive class's logit, or two with one each (negative,
    /// positive) where the user wrote a last layer of two units.
    Binary,
    /// Three classes or more, one logit each.
    Multiclass {
        /// Number of classes.
        classes: usize,
    },
    /// Labels any number of which apply, one logit each.
    MultiLabel {
        /// Number of labels.
        labels: usize,
    },
}

impl Head {
    /// Width of the output layer that is appended.
    pub fn units(self) -> usize {
        match self {
            Head::Regression { outputs } => outputs,
            Head::Binary => 1,
            Head::Multiclass { classes } => classes,
            Head::MultiLabel { labels } => labels,
        }
    }

    /// Whether a last layer of this width fits the task.
    pub fn accepts(self, units: usize) -> bool {
        units == self.units() || (self == Head::Binary && units == 2)
    }

    /// Activation of the output layer; `None` where the user's own choice stands.
    fn activation(self, units: usize) -> Option<Activation> {
        match self {
            Head::Regression { .. } => None,
            Head::Binary if units == 1 => Some(Activation::Sigmoid),
            Head::Binary | Head::Multiclass { .. } => Some(Activation::Softmax),
            Head::MultiLabel { .. } => Some(Activation::Sigmoid),
        }
    }
}

/// What the activation of a recognised output layer may be written as.
fn usual(activation: Option<Activation>) -> bool {
    matches!(
        activation,
        None | Some(Activation::Linear | Activation::Sigmoid | Activation::Softmax)
    )
}

/// Whether the activation that was written gives other numbers than the one the task needs: of a
/// single unit a softmax means nothing, and none says nothing.
fn contradicts(written: Option<Activation>, needed: Activation, units: usize) -> bool {
    match written {
        Some(Activation::Sigmoid) => needed == Activation::Softmax,
        Some(Activation::Softmax) => needed == Activation::Sigmoid && units > 1,
        _ => false,
    }
}

impl Architecture {
    /// The architecture with every layer named, an output layer at the end, and the output
    /// layer's units and activation those of the task. Resolving twice changes nothing.
    ///
    /// # Errors
    /// Two layers of one name, an output layer that is not the last or not as wide as the task
    /// needs.
    pub fn resolve(&self, head: Head) -> Result<Architecture, Error> {
        let mut architecture = self.named()?;
        architecture.join_last_activation(head);
        let recognised = match architecture.layers.last().map(|last| &last.kind) {
            Some(LayerKind::Output(_)) => true,
            Some(LayerKind::Dense(dense)) => {
                dense.units.is_some_and(|units| head.accepts(units)) && usual(dense.activation)
            }
            _ => false,
        };
        if !recognised {
            architecture
                .layers
                .push(LayerSpec::new(LayerKind::Output(DenseSpec::new(
                    None, None,
                ))));
            architecture = architecture.named()?;
        }
        let last = architecture.layers.len() - 1;
        for (i, layer) in architecture.layers.iter_mut().enumerate() {
            let label = layer.label();
            match &mut layer.kind {
                LayerKind::Output(_) if i != last => {
                    return Err(Error::layer(
                        label,
                        "the output layer must be the last",
                        "Move it to the end, or make it a dense layer.",
                    ));
                }
                LayerKind::Output(output) | LayerKind::Dense(output) if i == last => {
                    settle(output, head, label)?;
                }
                _ => {}
            }
        }
        Ok(architecture)
    }

    /// The layer with a sigmoid or softmax, told as messages name it, behind which an output layer is
    /// appended: its author may have meant it for the output, with other units than the task needs.
    ///
    /// # Errors
    /// As for [`Architecture::resolve`].
    pub fn appended_behind(&self, head: Head) -> Result<Option<(String, Activation)>, Error> {
        let mut written = self.named()?;
        let resolved = self.resolve(head)?;
        written.join_last_activation(head);
        if resolved.layers.len() == written.layers.len() {
            return Ok(None);
        }
        let dropout = |layer: &&LayerSpec| matches!(layer.kind, LayerKind::Dropout { .. });
        let last = written.layers.iter().rev().find(|layer| !dropout(layer));
        Ok(last.and_then(|layer| {
            let activation = match &layer.kind {
                LayerKind::Activation(activation) => *activation,
                LayerKind::Dense(dense) => dense.activation?,
                _ => return None,
            };
            matches!(activation, Activation::Sigmoid | Activation::Softmax)
                .then(|| (layer.label(), activation))
        }))
    }

    /// Takes a sigmoid or softmax that is the last layer, behind a linear layer as wide as the task
    /// needs, for that layer's activation: PyTorch writes the output in two.
    fn join_last_activation(&mut self, head: Head) {
        let [.., before, last] = self.layers.as_slice() else {
            return;
        };
        let LayerKind::Activation(activation @ (Activation::Sigmoid | Activation::Softmax)) =
            last.kind
        else {
            return;
        };
        let follows = match last.inputs.as_slice() {
            [] => true,
            [input] => *input == before.name(),
            _ => false,
        };
        let own = match &before.kind {
            LayerKind::Output(dense) => dense,
            LayerKind::Dense(dense) if dense.units.is_some_and(|units| head.accepts(units)) => {
                dense
            }
            _ => return,
        };
        if !follows || !matches!(own.activation, None | Some(Activation::Linear)) {
            return;
        }
        self.layers.pop();
        if let Some(LayerKind::Dense(dense) | LayerKind::Output(dense)) =
            self.layers.last_mut().map(|layer| &mut layer.kind)
        {
            dense.activation = Some(activation);
        }
    }

    /// The architecture with every layer named.
    ///
    /// # Errors
    /// Two layers of one name.
    pub fn named(&self) -> Result<Architecture, Error> {
        let mut places: HashMap<&'static str, usize> = HashMap::new();
        let mut names = HashSet::new();
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            let kind = layer.kind.type_name();
            let place = places.entry(kind).or_insert(0);
            *place += 1;
            let name = layer.name.get_or_insert_with(|| format!("{kind}{place}"));
            if !names.insert(name.clone()) {
                return Err(Error::architecture(
                    format!("two layers are named \"{name}\""),
                    "Give every layer a name of its own; one without a name is named after its \
                     type and its place among that type.",
                ));
            }
        }
        Ok(Architecture {
            layers,
            members: self.members,
        })
    }

    /// Of every layer, the places of the layers it reads; empty for one that reads the network's
    /// columns.
    ///
    /// # Errors
    /// An input that is unknown, the layer itself or a later one; a layer that nothing reads.
    pub(in crate::nn) fn edges(&self) -> Result<Vec<Vec<usize>>, Error> {
        let names: Vec<&str> = self.layers.iter().map(LayerSpec::name).collect();
        let places: HashMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(i, name)| (*name, i))
            .collect();
        let mut read = vec![false; names.len()];
        let mut edges = Vec::with_capacity(names.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let mut sources = Vec::with_capacity(layer.inputs.len().max(1));
            for input in &layer.inputs {
                match places.get(input.as_str()) {
                    Some(&place) if place < i => sources.push(place),
                    Some(_) => {
                        return Err(Error::layer(
                            layer.label(),
                            format!("reads \"{input}\", which does not come before it"),
                            "A layer can read earlier layers only; change their order.",
                        ));
                    }
                    None => return Err(unknown_input(layer, input, &names[..i])),
                }
            }
            if sources.is_empty() && i > 0 && !matches!(layer.kind, LayerKind::Input { .. }) {
                sources.push(i - 1);
            }
            for &source in &sources {
                read[source] = true;
            }
            edges.push(sources);
        }
        match (0..names.len().saturating_sub(1)).find(|i| !read[*i]) {
            Some(unread) => Err(Error::layer(
                self.layers[unread].label(),
                "no other layer reads it",
                "Name it in the \"input\" of a later layer, or remove it.",
            )),
            None => Ok(edges),
        }
    }
}

impl LayerSpec {
    /// The name, empty if there is none yet.
    pub(in crate::nn) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// How messages name the layer.
    pub(in crate::nn) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("layer \"{name}\""),
            None => format!("a layer of type {}", self.kind.type_name()),
        }
    }
}

fn settle(output: &mut DenseSpec, head: Head, label: String) -> Result<(), Error> {
    let units = output.units.unwrap_or(head.units());
    if !head.accepts(units) {
        return Err(Error::layer(
            label,
            format!("has {units} units, but the task needs {}", head.units()),
            "Leave \"units\" of the output layer out: it follows from the task.",
        ));
    }
    let activation = match head.activation(units) {
        Some(needed)
            if usual(output.activation) && !contradicts(output.activation, needed, units) =>
        {
            needed
        }
        Some(needed) => {
            return Err(Error::layer(
                label,
                format!(
                    "has the activation {}, but the task needs {}",
                    output.activation.unwrap_or_default().name(),
                    needed.name()
                ),
                "Leave \"activation\" of the output layer out: it follows from the task.",
            ));
        }
        None => output.activation.unwrap_or_default(),
    };
    output.units = Some(units);
    output.activation = Some(activation);
    Ok(())
}

fn unknown_input(layer: &LayerSpec, input: &str, earlier: &[&str]) -> Error {
    let input: String = input.chars().take(64).collect();
    if earlier.is_empty() {
        return Error::layer(
            layer.label(),
            format!("reads \"{input}\", but it is the first layer"),
            "The first layer reads the columns; leave its \"input\" out.",
        );
    }
    let close = nearest(&input, earlier.iter().copied());
    Error::layer(
        layer.label(),
        format!("reads \"{input}\", which is no layer; the nearest is \"{close}\""),
        "Name earlier layers in \"input\"; columns are selected by a layer of type input.",
    )
}
