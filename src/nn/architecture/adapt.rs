//! Architectures fitted to their features and options: embeddings in front, dropout between.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Architecture, LayerSpec};
use crate::nn::base::error::Error;
use crate::nn::layer::spec::Rank;
use crate::nn::layers::{ConcatSpec, DenseSpec, DropoutSpec, EmbeddingSpec, InputSpec};

impl Architecture {
    /// As what the network wants to read a feature with many numbers a row: what the first layer
    /// behind it that is not content with any shape asks for.
    pub fn input_rank(&self, feature: &str) -> Rank {
        let Some((layers, readers)) = self.readers() else {
            return Rank::Any;
        };
        let mut next: Vec<usize> = (0..layers.len())
            .filter(|&i| layers[i].reads(feature, true, i == 0))
            .collect();
        let mut seen = vec![false; layers.len()];
        while let Some(place) = next.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            let layer = &layers[place];
            if layer.rank() != Rank::Any {
                return layer.rank();
            }
            // What is behind these decides.
            if layer.kind.keeps_shape() {
                next.extend(&readers[place]);
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
        let mut next: Vec<usize> = (0..layers.len())
            .filter(|&i| layers[i].reads(feature, only, only && i == 0))
            .collect();
        let mut seen = vec![false; layers.len()];
        let mut found = Vec::new();
        while let Some(place) = next.pop() {
            if std::mem::replace(&mut seen[place], true) {
                continue;
            }
            let kind = &layers[place].kind;
            if kind.is_elementwise() || kind.type_name() == "positional_encoding" {
                next.extend(&readers[place]);
            }
            found.push(layers[place].clone());
        }
        found
    }

    /// Whether an embedding reads the network's input without an input layer in between: the only
    /// feature is then read as levels.
    pub fn embeds_input(&self) -> bool {
        let first = self.layers.first();
        first.is_some_and(|first| first.inputs.is_empty() && first.is::<EmbeddingSpec>())
    }

    /// Whether an embedding reads this feature, and the vocabulary that the embedding says it has.
    /// `only` says that there is no other feature, so that it need not be named.
    pub fn embedding_of(&self, feature: &str, only: bool) -> Option<Option<usize>> {
        let (layers, readers) = self.readers()?;
        let vocabulary = |layer: &LayerSpec| layer.get::<EmbeddingSpec>().map(|own| own.vocabulary);
        if only && self.embeds_input() {
            return layers.first().and_then(vocabulary);
        }
        let inputs = layers.iter().zip(&readers);
        inputs
            .filter(|(layer, _)| layer.reads(feature, only, false))
            .flat_map(|(_, readers)| readers)
            .find_map(|&reader| layers.get(reader).and_then(vocabulary))
    }

    /// Whether a layer reads this feature: one that names it, or one that reads all of them.
    pub fn reads(&self, feature: &str) -> bool {
        let mut layers = self.layers.iter().enumerate();
        self.layers.is_empty() || layers.any(|(i, layer)| layer.reads(feature, true, i == 0))
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
            if !layer.is::<EmbeddingSpec>() {
                continue;
            }
            let reads = |(place, other): &(usize, &LayerSpec)| match layer.inputs.as_slice() {
                [] => place + 1 == i,
                inputs => inputs.iter().any(|input| input == other.name()),
            };
            for (_, input) in layers.iter().enumerate().take(i).filter(reads) {
                let names = input
                    .get::<InputSpec>()
                    .and_then(|own| own.features.as_ref());
                for feature in names.into_iter().flatten() {
                    if !found.contains(feature) {
                        found.push(feature.clone());
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
            let input = InputSpec {
                features: Some(vec![feature.clone()]),
            };
            let embedding = EmbeddingSpec {
                vocabulary: None,
                units: *units,
            };
            front.push(LayerSpec::new(input).named(&levels));
            front.push(LayerSpec::new(embedding).named(&vector).reading([levels]));
            embeddings.push((feature, vector));
        }
        let old = std::mem::take(&mut architecture.layers);
        let reads_all = |layer: &LayerSpec, first: bool| match layer.get::<InputSpec>() {
            Some(input) => input.features.is_none(),
            None => first && layer.inputs.is_empty(),
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
            front.push(LayerSpec::new(InputSpec { features: None }).named(&rest));
            let vectors = embeddings.iter().map(|(_, v)| v.clone());
            let joined = std::iter::once(rest.clone()).chain(vectors);
            front.push(LayerSpec::new(ConcatSpec).named(&concat).reading(joined));
            all = Some((concat, rest));
        }
        let mut layers = front;
        // Input layers of all columns go; who read them reads the concat, or what is left of the
        // columns where it is fitted to their values.
        let mut replaced: HashSet<String> = HashSet::new();
        let mut previous_was_all = old.first().is_some_and(|first| reads_all(first, true));
        for (i, mut layer) in old.into_iter().enumerate() {
            if reads_all(&layer, i == 0) && layer.is::<InputSpec>() {
                replaced.insert(layer.name().to_owned());
                previous_was_all = true;
                continue;
            }
            if let Some((concat, rest)) = &all {
                let all = match layer.kind.reads_columns() {
                    true => rest,
                    false => concat,
                };
                for input in layer
                    .inputs
                    .iter_mut()
                    .filter(|input| replaced.contains(*input))
                {
                    input.clone_from(all);
                }
                if previous_was_all && layer.inputs.is_empty() && !layer.is::<InputSpec>() {
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

    /// Whether it has a dropout layer.
    pub fn has_dropout(&self) -> bool {
        self.layers.iter().any(|layer| layer.is::<DropoutSpec>())
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
            if layer.is::<DropoutSpec>() {
                layer.kind = Arc::new(DropoutSpec { rate });
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
            let dense = layer.get::<DenseSpec>();
            let hidden = i < last && dense.is_some_and(|dense| !dense.is_output);
            let name = layer.name().to_owned();
            layers.push(layer);
            if hidden {
                let dropout = names.fresh(&format!("{name}.dropout"));
                let spec = LayerSpec::new(DropoutSpec { rate }).named(&dropout);
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

impl LayerSpec {
    /// Whether the layer itself reads a feature: names it, or reads all that nobody names if
    /// `unnamed`; or is no input layer and, being the `first`, reads the columns.
    fn reads(&self, feature: &str, unnamed: bool, first: bool) -> bool {
        match self.get::<InputSpec>() {
            None => first && self.inputs.is_empty(),
            Some(InputSpec { features: None }) => unnamed,
            Some(InputSpec {
                features: Some(names),
            }) => names.iter().any(|name| name == feature),
        }
    }
}

/// An input layer that names embedded features among others becomes a concat of its name, of the
/// features left and the embeddings.
fn split(
    layer: LayerSpec,
    embeddings: &[(&str, String)],
    names: &mut Names,
) -> (Option<LayerSpec>, LayerSpec) {
    let own = layer.get::<InputSpec>();
    let Some(features) = own.and_then(|own| own.features.as_ref()) else {
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
    let concat = LayerSpec::new(ConcatSpec).named(layer.name());
    if rest.is_empty() {
        return (None, concat.reading(vectors));
    }
    let name = names.fresh(&format!("{}.rest", layer.name()));
    let input = LayerSpec::new(InputSpec {
        features: Some(rest),
    });
    let input = input.named(&name);
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
