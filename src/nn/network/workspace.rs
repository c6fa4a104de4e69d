//! The buffers that passes through a network work in.

use std::time::Duration;

use super::graph::Network;
use crate::nn::base::stop::{Never, Stop};

/// The buffers of a forward and a backward pass.
#[derive(Debug)]
pub struct Workspace {
    pub(super) rows: usize,
    pub(super) parts: Vec<Part>,
    pub(super) prepared: Vec<Vec<f32>>,
    pub(super) scratch: Vec<f32>,
    pub(super) stop: Box<dyn Stop + Send>,
    pub(super) times: Option<Vec<NodeTime>>,
}

/// What is kept of some rows from the forward pass to the backward pass, of each node.
#[derive(Debug)]
pub(super) struct Part {
    pub values: Vec<Vec<f32>>,
    pub gradients: Vec<Vec<f32>>,
    pub saved: Vec<Vec<f32>>,
    /// Of nodes that couple their rows, what the batch is like and then the same of its gradients;
    /// until these are joined, those of this part.
    pub sums: Vec<[Vec<f64>; 2]>,
    /// Whether the forward pass was training's.
    pub training: bool,
}

/// Which of a node's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Of {
    /// Those that tell what rows are like.
    Rows,
    /// Those that tell what their gradients are like.
    Gradients,
}

/// How long a node's passes have taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeTime {
    /// The forward passes.
    pub forward: Duration,
    /// The backward passes.
    pub backward: Duration,
}

impl Workspace {
    /// The workspace with a clock: passes add up the time of each node.
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.times = Some(vec![NodeTime::default(); self.prepared.len()]);
        self
    }

    /// How long the passes so far took, node by node; empty without a clock.
    pub fn times(&self) -> &[NodeTime] {
        self.times.as_deref().unwrap_or_default()
    }

    /// Lets passes end early, with whatever result, once `stop` is set: it is looked at between two
    /// nodes, and within those that take long.
    pub fn stop_with(&mut self, stop: impl Stop + Send + 'static) {
        self.stop = Box::new(stop);
    }

    /// What the rows of a part are like for a node that couples them, or its gradients: to be told of
    /// the whole batch.
    pub(in crate::nn) fn sums_mut(&mut self, part: usize, node: usize, of: Of) -> &mut [f64] {
        &mut self.parts[part].sums[node][of as usize]
    }
}

impl Network {
    /// Bytes of a [`Workspace`] for this many parts of this many rows.
    pub fn workspace_bytes(&self, parts: usize, rows: usize) -> usize {
        let per_row: usize = self
            .nodes
            .iter()
            .zip(&self.widths)
            .map(|(node, width)| {
                let gradient = if node.learns { *width } else { 0 };
                width + gradient + node.layer.saved_per_row()
            })
            .fold(0, usize::saturating_add);
        let prepared = self.nodes.iter().map(|node| node.layer.prepared());
        let sums = (0..self.nodes.len()).map(|node| 4 * self.sums(node));
        per_row
            .saturating_mul(rows)
            .saturating_add(sums.fold(0, usize::saturating_add))
            .saturating_mul(parts)
            .saturating_add(self.scratch(rows))
            .saturating_add(prepared.fold(0, usize::saturating_add))
            .saturating_mul(size_of::<f32>())
    }

    /// Working memory that its layers share, in values.
    fn scratch(&self, rows: usize) -> usize {
        let each = self.nodes.iter().map(|node| node.layer.scratch(rows));
        each.max().unwrap_or(0)
    }

    /// Buffers for passes over at most `rows` rows.
    pub fn workspace(&self, rows: usize) -> Workspace {
        self.workspace_of(1, rows)
    }

    /// Buffers for a batch that is computed in so many parts of at most `rows` rows.
    pub(in crate::nn) fn workspace_of(&self, parts: usize, rows: usize) -> Workspace {
        Workspace {
            rows,
            parts: (0..parts).map(|_| self.part(rows)).collect(),
            prepared: self
                .nodes
                .iter()
                .map(|node| vec![0.0; node.layer.prepared()])
                .collect(),
            scratch: vec![0.0; self.scratch(rows)],
            stop: Box::new(Never),
            times: None,
        }
    }

    fn part(&self, rows: usize) -> Part {
        let buffers = |width: &dyn Fn(usize) -> usize| {
            (0..self.nodes.len())
                .map(|node| vec![0.0; rows * width(node)])
                .collect()
        };
        Part {
            values: buffers(&|node| self.widths[node]),
            gradients: buffers(&|node| {
                if self.nodes[node].learns {
                    self.widths[node]
                } else {
                    0
                }
            }),
            saved: buffers(&|node| self.nodes[node].layer.saved_per_row()),
            sums: (0..self.nodes.len())
                .map(|node| std::array::from_fn(|_| vec![0.0; self.sums(node)]))
                .collect(),
            training: false,
        }
    }

    /// Number of values that tell what rows of a node are like; none if it does not couple them.
    pub(in crate::nn) fn sums(&self, node: usize) -> usize {
        self.nodes[node].coupled().map_or(0, |node| node.sums())
    }

    /// The most of any node's.
    pub(in crate::nn) fn most_sums(&self) -> usize {
        let each = (0..self.nodes.len()).map(|node| self.sums(node));
        each.max().unwrap_or(0)
    }

    /// Joins what more rows of a node that couples them are like, or their gradients, to `sums`.
    pub(in crate::nn) fn join(&self, node: usize, of: Of, sums: &mut [f64], more: &[f64]) {
        if let Some(node) = self.nodes[node].coupled() {
            match of {
                Of::Rows => node.join(sums, more),
                Of::Gradients => node.join_gradients(sums, more),
            }
        }
    }
}
