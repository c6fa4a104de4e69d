//! A network's weights in a network of the same architecture that reads more columns.
//!
//! What the added columns lead to starts at zero, so that the wider network computes what the
//! narrower one does, whatever stands in them, and learns of them from there. The added columns
//! stand behind all others in the network's input, but not so where layers put columns side by side:
//! so each value that a layer reads is told by where it comes from.

use std::collections::HashMap;
use std::ops::Range;

use super::graph::{Network, Node};
use crate::nn::base::error::Error;
use crate::nn::layer::{Operation, Source};

/// Where a value of a step comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Origin {
    /// A column of the network's input.
    Column(usize),
    /// A unit of the node of that name.
    Unit(String, usize),
}

/// Writes the parameters of `old`, `values`, to where they belong among those of `new`, `into`,
/// which hold starting values; those by which the added columns are weighed become zero.
///
/// # Errors
/// Networks of different layers, or a layer whose parameters depend on its width in another way
/// than by a weight for each input.
pub fn widen(
    (old, values): (&Network, &[f32]),
    (new, into): (&Network, &mut [f32]),
) -> Result<(), Error> {
    let origins_of_old = origins(old)?;
    let origins_of_new = origins(new)?;
    let old_nodes: HashMap<&str, usize> = old
        .nodes()
        .iter()
        .enumerate()
        .map(|(at, node)| (node.name(), at))
        .collect();
    for (at, node) in new.nodes().iter().enumerate() {
        let own = parameters(new, node.parameters());
        if own.is_empty() {
            continue;
        }
        let Some(&old_at) = old_nodes.get(node.name()) else {
            return Err(unlike(node));
        };
        let old_own = parameters(old, old.nodes()[old_at].parameters());
        if own.len() != old_own.len() {
            return Err(unlike(node));
        }
        let read = read_by(new, at, &origins_of_new);
        let places = places(&read_by(old, old_at, &origins_of_old));
        let from: Vec<Option<usize>> = numbered(&read)
            .map(|origin| places.get(&origin).copied())
            .collect();
        for (&parameter, &old_parameter) in own.iter().zip(&old_own) {
            let (parameter, known) = (
                &new.parameters()[parameter],
                &old.parameters()[old_parameter],
            );
            let source = values
                .get(known.range.clone())
                .ok_or_else(|| unlike(node))?;
            let target = into
                .get_mut(parameter.range.clone())
                .ok_or_else(|| unlike(node))?;
            match (parameter.shape.as_slice(), known.shape.as_slice()) {
                (shape, known) if shape == known => target.copy_from_slice(source),
                // One for each input, such as a scale: those of new inputs keep their start.
                ([width], [_]) if *width == from.len() => {
                    for (target, from) in target.iter_mut().zip(&from) {
                        if let Some(from) = from {
                            *target = source[*from];
                        }
                    }
                }
                ([units, width, rest @ ..], [known_units, known_width, known_rest @ ..])
                    if units == known_units && rest == known_rest && *width == from.len() =>
                {
                    let size: usize = rest.iter().product();
                    let rows = target.chunks_exact_mut(width * size);
                    for (target, source) in rows.zip(source.chunks_exact(known_width * size)) {
                        for (target, from) in target.chunks_exact_mut(size).zip(&from) {
                            match from {
                                Some(from) => {
                                    target.copy_from_slice(&source[from * size..][..size])
                                }
                                None => target.fill(0.0),
                            }
                        }
                    }
                }
                // A part for each input, such as the edges of its bins.
                ([width, rest @ ..], [_, known_rest @ ..])
                    if rest == known_rest && *width == from.len() =>
                {
                    let size: usize = rest.iter().product();
                    for (target, from) in target.chunks_exact_mut(size).zip(&from) {
                        match from {
                            Some(from) => target.copy_from_slice(&source[from * size..][..size]),
                            None => target.fill(0.0),
                        }
                    }
                }
                _ => return Err(not_by_input(node)),
            }
        }
    }
    Ok(())
}

/// The parameters within a range of the buffer.
fn parameters(network: &Network, range: Range<usize>) -> Vec<usize> {
    let all = network.parameters().iter().enumerate();
    all.filter(|(_, parameter)| {
        range.start <= parameter.range.start
            && parameter.range.end <= range.end
            && !range.is_empty()
    })
    .map(|(at, _)| at)
    .collect()
}

/// Where each value of a step comes from, of every node's output.
fn origins(network: &Network) -> Result<Vec<Vec<Origin>>, Error> {
    let mut origins: Vec<Vec<Origin>> = Vec::with_capacity(network.nodes().len());
    for (at, node) in network.nodes().iter().enumerate() {
        let size = node.shape().step_size();
        let read = || read_by(network, at, &origins);
        let keeps_values = parameters(network, node.parameters())
            .iter()
            .all(|&parameter| network.parameters()[parameter].shape.len() == 1);
        let first = || first_read(network, at, &origins);
        origins.push(match node.operation() {
            Operation::Select { ranges } => {
                ranges.into_iter().flatten().map(Origin::Column).collect()
            }
            // As many values as are read: each by itself, or all side by side.
            _ if keeps_values && read().len() == size => read(),
            // A sum of several.
            _ if keeps_values && first().len() == size => first(),
            _ => units(node, size),
        });
    }
    Ok(origins)
}

fn units(node: &Node, size: usize) -> Vec<Origin> {
    let name = node.name();
    (0..size)
        .map(|unit| Origin::Unit(name.to_owned(), unit))
        .collect()
}

/// Where the values come from that a node reads of a step.
fn read_by(network: &Network, at: usize, origins: &[Vec<Origin>]) -> Vec<Origin> {
    let node = &network.nodes()[at];
    let sizes = node.source_steps.iter().map(|steps| steps.size);
    let sources = node.sources().iter().zip(sizes);
    sources
        .flat_map(|(source, size)| of_source(source, size, origins))
        .collect()
}

fn first_read(network: &Network, at: usize, origins: &[Vec<Origin>]) -> Vec<Origin> {
    let node = &network.nodes()[at];
    let first = node.sources().first().zip(node.source_steps.first());
    first.map_or_else(Vec::new, |(source, steps)| {
        of_source(source, steps.size, origins)
    })
}

fn of_source(source: &Source, size: usize, origins: &[Vec<Origin>]) -> Vec<Origin> {
    match source {
        Source::Columns { start, .. } => (*start..start + size).map(Origin::Column).collect(),
        Source::Node(node) => origins[*node].clone(),
    }
}

/// Values with which time it is that each comes up: a layer may read one twice.
fn numbered(origins: &[Origin]) -> impl Iterator<Item = (Origin, usize)> {
    let mut times: HashMap<&Origin, usize> = HashMap::new();
    origins.iter().map(move |origin| {
        let time = times.entry(origin).or_default();
        *time += 1;
        (origin.clone(), *time)
    })
}

fn places(origins: &[Origin]) -> HashMap<(Origin, usize), usize> {
    numbered(origins)
        .enumerate()
        .map(|(at, origin)| (origin, at))
        .collect()
}

fn unlike(node: &Node) -> Error {
    Error::layer(
        format!("layer \"{}\"", node.name()),
        "is another one with more features",
        "Train a new model with them.",
    )
}

fn not_by_input(node: &Node) -> Error {
    Error::layer(
        format!("layer \"{}\"", node.name()),
        "has parameters that more features would change as a whole",
        "Train a new model with them.",
    )
}
