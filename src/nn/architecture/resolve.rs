//! From an architecture as written to one in which nothing is left open: every layer named, the
//! output layer in place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Architecture, LayerSpec};
use crate::nearest::{nearest, perhaps};
use crate::nn::base::error::Error;
use crate::nn::kernels::activation::Activation;
use crate::nn::layer::head::Head;
use crate::nn::layers::{ActivationSpec, DenseSpec, DropoutSpec, InputSpec, OrdinalSpec};

/// What the activation of a recognised output layer may be written as: also as what the task needs.
fn usual(activation: Option<Activation>, needed: Option<Activation>) -> bool {
    activation == needed
        || matches!(
            activation,
            None | Some(Activation::Linear | Activation::Sigmoid | Activation::Softmax)
        )
}

/// Whether the activation that was written gives other numbers than the one the task needs: of a
/// single unit a softmax means nothing, and none says nothing.
fn contradicts(written: Option<Activation>, needed: Activation, units: usize) -> bool {
    match written {
        Some(Activation::Sigmoid) => {
            matches!(needed, Activation::Softmax | Activation::Exponential)
        }
        Some(Activation::Softmax) => match needed {
            Activation::Sigmoid => units > 1,
            needed => needed == Activation::Exponential,
        },
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
        if let Head::Ordinal { classes } = head {
            return architecture.end_in_order(classes);
        }
        architecture.join_last_activation(head);
        let last = architecture.layers.last();
        let recognised = last
            .and_then(LayerSpec::get::<DenseSpec>)
            .is_some_and(|last| {
                let needed = head.activation(head.units());
                last.is_output || could_be_output(last, head) && usual(last.activation, needed)
            });
        if !recognised {
            let output = LayerSpec::new(DenseSpec::output());
            architecture.layers.push(output);
            architecture = architecture.named()?;
        }
        let last = architecture.layers.len() - 1;
        for (i, layer) in architecture.layers.iter_mut().enumerate() {
            match layer.get::<DenseSpec>() {
                Some(output) if i == last => {
                    layer.kind = Arc::new(settled(output.clone(), head, layer.label())?);
                }
                Some(output) if output.is_output => {
                    return Err(misplaced(layer));
                }
                _ => {}
            }
        }
        Ok(architecture)
    }

    /// The named architecture with a layer of type `ordinal` at its end, in place of an output layer.
    fn end_in_order(mut self, classes: usize) -> Result<Architecture, Error> {
        let last = self.layers.len().saturating_sub(1);
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let Some(output) = layer.get::<DenseSpec>().filter(|own| own.is_output) else {
                continue;
            };
            if i < last {
                return Err(misplaced(layer));
            }
            layer.kind = Arc::new(OrdinalSpec {
                classes: None,
                kernel_initializer: output.kernel_initializer,
            });
        }
        if !self.layers.last().is_some_and(LayerSpec::is::<OrdinalSpec>) {
            self.layers.push(LayerSpec::new(OrdinalSpec {
                classes: None,
                kernel_initializer: None,
            }));
            self = self.named()?;
        }
        if let Some(layer) = self.layers.last_mut()
            && let Some(own) = layer.get::<OrdinalSpec>()
        {
            let given = own.classes.unwrap_or(classes);
            if given != classes {
                return Err(Error::layer(
                    layer.label(),
                    format!("has {given} classes, but the target has {classes}"),
                    "Leave \"classes\" out: it follows from the target.",
                ));
            }
            layer.kind = Arc::new(OrdinalSpec {
                classes: Some(classes),
                ..own.clone()
            });
        }
        Ok(self)
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
        let mut layers = written.layers.iter().rev();
        let last = layers.find(|layer| !layer.is::<DropoutSpec>());
        Ok(last.and_then(|layer| {
            let alone = layer.get::<ActivationSpec>().map(|own| own.0);
            let dense = layer.get::<DenseSpec>().filter(|dense| !dense.is_output);
            let activation = alone.or(dense.and_then(|dense| dense.activation))?;
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
        let Some(&ActivationSpec(activation @ (Activation::Sigmoid | Activation::Softmax))) =
            last.get()
        else {
            return;
        };
        let follows = match last.inputs.as_slice() {
            [] => true,
            [input] => *input == before.name(),
            _ => false,
        };
        let Some(own) = before.get::<DenseSpec>() else {
            return;
        };
        let linear = matches!(own.activation, None | Some(Activation::Linear));
        if !follows || !linear || !(own.is_output || could_be_output(own, head)) {
            return;
        }
        let joined = DenseSpec {
            activation: Some(activation),
            ..own.clone()
        };
        self.layers.pop();
        if let Some(last) = self.layers.last_mut() {
            last.kind = Arc::new(joined);
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
            if sources.is_empty() && i > 0 && !layer.is::<InputSpec>() {
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

/// Whether a layer is as wide as the task needs.
fn could_be_output(dense: &DenseSpec, head: Head) -> bool {
    dense.units.is_some_and(|units| head.accepts(units))
}

fn settled(output: DenseSpec, head: Head, label: String) -> Result<DenseSpec, Error> {
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
            if usual(output.activation, Some(needed))
                && !contradicts(output.activation, needed, units) =>
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
    Ok(DenseSpec {
        units: Some(units),
        activation: Some(activation),
        ..output
    })
}

fn misplaced(output: &LayerSpec) -> Error {
    Error::layer(
        output.label(),
        "the output layer must be the last",
        "Move it to the end, or make it a dense layer.",
    )
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
    Error::layer(
        layer.label(),
        format!("reads \"{input}\", which is no layer before it"),
        perhaps(
            nearest(&input, earlier.iter().copied()),
            "Name earlier layers in \"input\"; columns are selected by a layer of type input.",
        ),
    )
}
