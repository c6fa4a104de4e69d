//! Where a predictor keeps the values of each node.

use crate::nn::layer::{Operation, Source};
use crate::nn::network::Network;

/// Where rows of values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) struct Place {
    pub home: Home,
    /// The first column.
    pub start: usize,
    pub width: usize,
}

/// What holds rows of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum Home {
    /// The network's input.
    Input,
    /// A buffer, by its number.
    Buffer(usize),
    /// The predictor's output.
    Output,
}

/// Where a node finds what it reads.
pub(in crate::nn) fn place_of(source: Source, places: &[Place]) -> Place {
    match source {
        Source::Columns { start, width } => Place {
            home: Home::Input,
            start,
            width,
        },
        Source::Node(node) => places[node],
    }
}

/// Which buffer holds each node's values. A node that a `concat` reads is computed where the concat
/// wants it, unless a step would then read the buffer it writes to. Members are computed one after
/// the other in the same buffers, but for their outputs.
pub(in crate::nn) struct Layout {
    /// Where each node's values lie.
    pub places: Vec<Place>,
    /// For each node, which of its sources (a concat's) need no copy.
    pub in_place: Vec<Vec<bool>>,
    /// Values a row of each buffer.
    pub buffers: Vec<usize>,
}

impl Layout {
    /// Lays out the nodes' values.
    pub fn new(network: &Network) -> Self {
        let (nodes, widths) = (network.nodes(), network.widths());
        // The outputs of several members stand in a buffer until their mean is taken.
        let members = network.members();
        let last = match members {
            1 => nodes.len().saturating_sub(1),
            _ => nodes.len(),
        };
        let each = nodes.len() / members;
        // Whether the next member's node takes the place of this one.
        let shared = |i: usize| {
            let is_output = (i + 1).is_multiple_of(each);
            members > 1 && i + each < nodes.len() - 1 && !is_output
        };
        let is_identity = |i: usize| i != last && nodes[i].operation() == Operation::Identity;
        let mut hosted: Vec<Option<(usize, usize)>> = vec![None; nodes.len()];
        let mut in_place: Vec<Vec<bool>> = nodes
            .iter()
            .map(|n| vec![false; n.sources().len()])
            .collect();
        // The concat in whose buffer a node lies, through concats of concats.
        let root = |hosted: &[Option<(usize, usize)>], mut node: usize| {
            while let Some((host, _)) = hosted[node] {
                node = host;
            }
            node
        };
        // From the last on, so that a concat's own place is settled before its sources' are.
        for (i, node) in nodes.iter().enumerate().rev() {
            if node.operation() != Operation::Concat || i == last {
                continue;
            }
            let mut start = 0;
            for (s, source) in node.sources().iter().enumerate() {
                let column = start;
                start += match source {
                    Source::Columns { width, .. } => *width,
                    Source::Node(j) => widths[*j],
                };
                let Source::Node(j) = *source else { continue };
                let home = root(&hosted, i);
                let reads = |reader: usize, read: usize| {
                    nodes[reader]
                        .sources()
                        .iter()
                        .filter(|s| **s == Source::Node(read))
                        .count()
                };
                let clashes = (0..nodes.len()).any(|other| {
                    let there = root(&hosted, other) == home;
                    // What an identity reads stands for it, and may lie anywhere.
                    let expected = usize::from(other == i);
                    (reads(other, j) > expected && (there || is_identity(other)))
                        || (reads(j, other) > 0 && (there || is_identity(other)))
                });
                if hosted[j].is_none() && !is_identity(j) && !clashes {
                    hosted[j] = Some((i, column));
                    in_place[i][s] = true;
                }
            }
        }
        let mut buffers = Vec::new();
        let mut places: Vec<Option<Place>> = vec![None; nodes.len()];
        for (i, width) in widths.iter().copied().enumerate().rev() {
            places[i] = Some(match hosted[i] {
                _ if i == last => Place {
                    home: Home::Output,
                    start: 0,
                    width,
                },
                // A host comes after what it holds, and so has its place already.
                Some((host, column)) => match places[host] {
                    Some(host) => Place {
                        start: host.start + column,
                        width,
                        ..host
                    },
                    None => Place {
                        home: Home::Input,
                        start: 0,
                        width,
                    },
                },
                None if is_identity(i) => Place {
                    home: Home::Input,
                    start: 0,
                    width,
                },
                // The same node of the next member has its place already.
                None if shared(i) => places[i + each].unwrap_or(Place {
                    home: Home::Input,
                    start: 0,
                    width,
                }),
                None => {
                    buffers.push(width);
                    Place {
                        home: Home::Buffer(buffers.len() - 1),
                        start: 0,
                        width,
                    }
                }
            });
        }
        let mut places: Vec<Place> = places.into_iter().flatten().collect();
        for (i, node) in nodes.iter().enumerate().filter(|(i, _)| is_identity(*i)) {
            if let Some(source) = node.sources().first() {
                places[i] = place_of(*source, &places);
            }
        }
        Self {
            places,
            in_place,
            buffers,
        }
    }
}
