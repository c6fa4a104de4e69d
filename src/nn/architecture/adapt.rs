//! Architectures fitted to their features and options: embeddings in front, dropout between.

use std::collections::HashSet;

use super::{Architecture, LayerKind, LayerSpec};
use crate::nn::base::error::Error;
use crate::nn::layer::spec::Rank;

impl Architecture {
    /// As what the network wants to read a feature with many numbers a row: what the first layer
    /// behind it that is not content with any shape asks for.
    pub fn input_rank(&self, feature: &str) -> Rank {
        let Some((layers, readers)) = self.readers() else {
            return Rank::Any;
        };
        let names_it = |layer: &LayerSpec| match &layer.kind {
            LayerKind::Input { features } => features
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| name == feature)),
            _ => false,
        };
        let mut next: Vec<usize> = (0..layers.len())
            .filter(|&i| names_it(&layers[i]) || (i == 0 && layers[i].inputs.is_empty()))
            .filter(|&i| names_it(&layers[i]) || !matches!(layers[i].kind, LayerKind::Input { .. }))
            .collect();
        let mut seen = vec![false; layers.len()];
        while let Some(place) = next.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            match &layers[place].kind {
                kind if kind.rank() != Rank::Any => return kind.rank(),
                // These leave the shape, or act on every step alike; what is behind them decides.
                LayerKind::Input { .. }
                | LayerKind::Dense(_)
                | LayerKind::Dropout { .. }
                | LayerKind::Scale { .. }
                | LayerKind::Activation(_)
                | LayerKind::Add
                | LayerKind::Multiply
                | LayerKind::Concat => next.extend(&readers[place]),
                LayerKind::Typed(spec) if spec.keeps_shape() => next.extend(&readers[place]),
                _ => {}
            }
        }
        Rank::Any
    }

    /// The layers, named, that read a feature, up to the first of each path that does not give its
    /// values on as they are. `only` says that there is no other feature, so that it need not be
    /// named.
    pub fn first_readers(&self, feature: &str, only: bool) -> Vec<LayerSpec> {
        let Some((layers, readers)) = self.readers() else {
            return Vec::new();
        };
        let reads_it = |(place, layer): (usize, &LayerSpec)| match &layer.kind {
            LayerKind::Input { features: None } => only,
            LayerKind::Input {
                features: Some(names),
            } => names.iter().any(|name| name == feature),
            _ => only && place == 0 && layer.inputs.is_empty(),
        };
        let mut next: Vec<usize> = { layers.iter().enumerate() }
            .filter_map(|found| reads_it(found).then_some(found.0))
            .collect();
        let mut seen = vec![false; layers.len()];
        let mut found = Vec::new();
        while let Some(place) = next.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            let passes = match &layers[place].kind {
                LayerKind::Input { .. } | LayerKind::Dropout { .. } | LayerKind::Activation(_) => {
                    true
                }
                kind => kind.type_name() == "positional_encoding",
            };
            if passes {
                next.extend(&readers[place]);
            }
            found.push(layers[place].clone());
        }
        found
    }

    /// Whether an embedding reads the network's input without an input layer in between: the only
    /// feature is then read as levels.
    pub fn embeds_input(&self) -> bool {
        self.layers.first().is_some_and(|first| {
            first.inputs.is_empty() && matches!(first.kind, LayerKind::Embedding { .. })
        })
    }

    /// Whether an embedding reads this feature, and the vocabulary that the embedding says it has.
    /// `only` says that there is no other feature, so that it need not be named.
    pub fn embedding_of(&self, feature: &str, only: bool) -> Option<Option<usize>> {
        let (layers, readers) = self.readers()?;
        let vocabulary = |layer: &LayerSpec| match layer.kind {
            LayerKind::Embedding { vocabulary, .. } => Some(vocabulary),
            _ => None,
        };
        if only && self.embeds_input() {
            return layers.first().and_then(vocabulary);
        }
        let reads_it = |layer: &LayerSpec| match &layer.kind {
            LayerKind::Input { features: None } => only,
            LayerKind::Input {
                features: Some(names),
            } => names.iter().any(|name| name == feature),
            _ => false,
        };
        let inputs = layers.iter().zip(&readers);
        inputs
            .filter(|(layer, _)| reads_it(layer))
            .flat_map(|(_, readers)| readers)
            .find_map(|&reader| layers.get(reader).and_then(vocabulary))
    }

    /// Whether a layer reads this feature: one that names it, or one that reads all of them.
    pub fn reads(&self, feature: &str) -> bool {
        let reads_it = |(place, layer): (usize, &LayerSpec)| match &layer.kind {
            LayerKind::Input { features } => features
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| name == feature)),
            _ => place == 0 && layer.inputs.is_empty(),
        };
        self.layers.is_empty() || self.layers.iter().enumerate().any(reads_it)
    }

    /// The layers, named, and of each the places of those that read it.
    fn readers(&self) -> Option<(Vec<LayerSpec>, Vec<Vec<usize>>)> {
        let architecture = self.named().ok()?;
        let edges = architecture.edges().ok()?;
        let mut readers = vec![Vec::new(); edges.len()];
        for (reader, sources) in edges.iter().enumerate() {
            for &source in sources {
                readers[source].push(reader);
            }
        }
        Some((architecture.layers, readers))
    }

    /// The features that embeddings read: those are encoded as a level's index, not one-hot.
    pub fn embedded_features(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let Ok(architecture) = self.named() else {
            return found;
        };
        let layers = &architecture.layers;
        for (i, layer) in layers.iter().enumerate() {
            if !matches!(layer.kind, LayerKind::Embedding { .. }) {
                continue;
            }
            let reads = |(place, other): &(usize, &LayerSpec)| match layer.inputs.as_slice() {
                [] => place + 1 == i,
                inputs => inputs.iter().any(|input| input == other.name()),
            };
            for (_, input) in layers.iter().enumerate().take(i).filter(reads) {
                if let LayerKind::Input {
                    features: Some(features),
                } = &input.kind
                {
                    for feature in features {
                        if !found.contains(feature) {
                            found.push(feature.clone());
                        }
                    }
                }
            }
        }
        found
    }

    /// The architecture with an embedding in front for each of these features, given with its
    /// vector's length. What read the network's columns, or these features among others, now
    /// reads the columns that are left and the embeddings, side by side.
    ///
    /// # Errors
    /// Two layers of one name.
    pub fn with_embeddings(self, columns: &[(String, usize)]) -> Result<Architecture, Error> {
        let already = self.embedded_features();
        let columns: Vec<&(String, usize)> = columns
            .iter()
            .filter(|(feature, _)| !already.contains(feature))
            .collect();
        if columns.is_empty() {
            return Ok(self);
        }
        let mut architecture = self.named()?;
        let mut names = Names::of(&architecture);
        let mut front = Vec::new();
        let mut embeddings: Vec<(&str, String)> = Vec::new();
        for (feature, units) in columns {
            let levels = names.fresh(&format!("{feature}.level"));
            let vector = names.fresh(&format!("{feature}.embedding"));
            let input = LayerKind::Input {
                features: Some(vec![feature.clone()]),
            };
            let embedding = LayerKind::Embedding {
                vocabulary: None,
                units: *units,
            };
            front.push(LayerSpec::new(input).named(&levels));
            front.push(LayerSpec::new(embedding).named(&vector).reading([levels]));
            embeddings.push((feature, vector));
        }
        let old = std::mem::take(&mut architecture.layers);
        let reads_all = |layer: &LayerSpec, first: bool| match &layer.kind {
            LayerKind::Input { features } => features.is_none(),
            _ => first && layer.inputs.is_empty(),
        };
        let mut all = None;
        if old
            .iter()
            .enumerate()
            .any(|(i, layer)| reads_all(layer, i == 0))
            || old.is_empty()
        {
            let rest = names.fresh("columns.rest");
            let concat = names.fresh("columns");
            front.push(LayerSpec::new(LayerKind::Input { features: None }).named(&rest));
            let joined = std::iter::once(rest).chain(embeddings.iter().map(|(_, v)| v.clone()));
            front.push(
                LayerSpec::new(LayerKind::Concat)
                    .named(&concat)
                    .reading(joined),
            );
            all = Some(concat);
        }
        let mut layers = front;
        // Input layers of all columns go; who read them reads the concat.
        let mut replaced: HashSet<String> = HashSet::new();
        let mut previous_was_all = old.first().is_some_and(|first| reads_all(first, true));
        for (i, mut layer) in old.into_iter().enumerate() {
            if reads_all(&layer, i == 0) && matches!(layer.kind, LayerKind::Input { .. }) {
                replaced.insert(layer.name().to_owned());
                previous_was_all = true;
                continue;
            }
            if let Some(all) = &all {
                for input in layer
                    .inputs
                    .iter_mut()
                    .filter(|input| replaced.contains(*input))
                {
                    input.clone_from(all);
                }
                let is_input = matches!(layer.kind, LayerKind::Input { .. });
                if previous_was_all && layer.inputs.is_empty() && !is_input {
                    layer.inputs.push(all.clone());
                }
            }
            previous_was_all = false;
            match split(layer, &embeddings, &mut names) {
                (Some(rest), joined) => layers.extend([rest, joined]),
                (None, layer) => layers.push(layer),
            }
        }
        Ok(Architecture {
            layers,
            members: architecture.members,
        })
    }

    /// The architecture with this rate in all its dropout layers; if it has none, with a dropout
    /// layer behind every hidden dense layer. To be called on a resolved architecture, in which
    /// the last layer is the output.
    ///
    /// # Errors
    /// Two layers of one name.
    pub fn with_dropout(self, rate: f32) -> Result<Architecture, Error> {
        let mut architecture = self.named()?;
        let mut present = false;
        for layer in &mut architecture.layers {
            if let LayerKind::Dropout { rate: own } = &mut layer.kind {
                *own = rate;
                present = true;
            }
        }
        if present || rate == 0.0 {
            return Ok(architecture);
        }
        let mut names = Names::of(&architecture);
        let last = architecture.layers.len().saturating_sub(1);
        let mut layers: Vec<LayerSpec> = Vec::new();
        let mut renamed: Vec<(String, String)> = Vec::new();
        for (i, mut layer) in architecture.layers.into_iter().enumerate() {
            for input in &mut layer.inputs {
                if let Some((_, dropout)) = renamed.iter().find(|(dense, _)| dense == input) {
                    input.clone_from(dropout);
                }
            }
            let hidden = i < last && matches!(layer.kind, LayerKind::Dense(_));
            let name = layer.name().to_owned();
            layers.push(layer);
            if hidden {
                let dropout = names.fresh(&format!("{name}.dropout"));
                let spec = LayerSpec::new(LayerKind::Dropout { rate }).named(&dropout);
                layers.push(spec.reading([name.clone()]));
                renamed.push((name, dropout));
            }
        }
        Ok(Architecture {
            layers,
            members: architecture.members,
        })
    }
}

/// An input layer that names embedded features among others becomes a concat of its name, of the
/// features left and the embeddings.
fn split(
    layer: LayerSpec,
    embeddings: &[(&str, String)],
    names: &mut Names,
) -> (Option<LayerSpec>, LayerSpec) {
    let LayerKind::Input {
        features: Some(features),
    } = &layer.kind
    else {
        return (None, layer);
    };
    let embedding_of = |name: &String| {
        embeddings
            .iter()
            .find(|(feature, _)| feature == name)
            .map(|(_, v)| v)
    };
    let vectors: Vec<String> = features.iter().filter_map(embedding_of).cloned().collect();
    if vectors.is_empty() {
        return (None, layer);
    }
    let rest: Vec<String> = features
        .iter()
        .filter(|name| embedding_of(name).is_none())
        .cloned()
        .collect();
    let concat = LayerSpec::new(LayerKind::Concat).named(layer.name());
    if rest.is_empty() {
        return (None, concat.reading(vectors));
    }
    let name = names.fresh(&format!("{}.rest", layer.name()));
    let input = LayerSpec::new(LayerKind::Input {
        features: Some(rest),
    })
    .named(&name);
    (
        Some(input),
        concat.reading(std::iter::once(name).chain(vectors)),
    )
}

/// The names that are taken.
struct Names(HashSet<String>);

impl Names {
    fn of(architecture: &Architecture) -> Names {
        Names(
            architecture
                .layers
                .iter()
                .map(|layer| layer.name().to_owned())
                .collect(),
        )
    }

    /// The wished name, cut to what parsing accepts, with a number if it is taken.
    fn fresh(&mut self, wish: &str) -> String {
        let clean: String = wish.chars().filter(|c| !c.is_control()).take(48).collect();
        let mut name = clean.clone();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{clean}.{number}");
            number += 1;
        }
        name
    }
}
