//! The passes through a network's nodes, forward and backward, and the buffers they work in.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::graph::{Network, Node};
use crate::nn::base::random::Random;
use crate::nn::base::stop::{Never, Pace, Stop};
use crate::nn::layer::{Backward, Forward, InputGradients, Inputs};

/// The buffers of a forward and a backward pass.
#[derive(Debug)]
pub struct Workspace {
    rows: usize,
    values: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    saved: Vec<Vec<f32>>,
    prepared: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    stop: Box<dyn Stop + Send>,
    times: Option<Vec<NodeTime>>,
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
        self.times = Some(vec![NodeTime::default(); self.values.len()]);
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
}

/// The way of a pass from node to node, to be left early once nobody waits for what comes of it.
struct Walk<'a> {
    stop: &'a dyn Stop,
    times: Option<&'a mut [NodeTime]>,
    /// Which of a node's times the pass belongs to.
    time: fn(&mut NodeTime) -> &mut Duration,
}

impl Walk<'_> {
    fn through(self, nodes: impl Iterator<Item = usize>, mut pass: impl FnMut(usize, &Pace<'_>)) {
        let Walk {
            stop,
            mut times,
            time,
        } = self;
        let pace = Pace::new(stop);
        for i in nodes {
            if pace.look() {
                break;
            }
            let begin = times.is_some().then(Instant::now);
            pass(i, &pace);
            if let (Some(times), Some(begin)) = (&mut times, begin) {
                *time(&mut times[i]) += begin.elapsed();
            }
        }
    }
}

impl Network {
    /// Bytes of a [`Workspace`] for this many rows.
    pub fn workspace_bytes(&self, rows: usize) -> usize {
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
        per_row
            .saturating_mul(rows)
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
        let buffers = |width: &dyn Fn(usize) -> usize| {
            (0..self.nodes.len())
                .map(|node| vec![0.0; rows * width(node)])
                .collect()
        };
        Workspace {
            rows,
            values: buffers(&|node| self.widths[node]),
            gradients: buffers(&|node| {
                if self.nodes[node].learns {
                    self.widths[node]
                } else {
                    0
                }
            }),
            saved: buffers(&|node| self.nodes[node].layer.saved_per_row()),
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

    /// Computes the logits of `rows` rows: [rows, members, output_units], before
    /// [`Network::output_activation`].
    ///
    /// `parameters` is the flat buffer, `x` holds rows of `input_width` values. `dropout` is given
    /// in training only.
    ///
    /// # Panics
    /// If a buffer is shorter than these sizes, or the workspace is for fewer rows.
    pub fn forward<'w>(
        &self,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        workspace: &'w mut Workspace,
        dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        self.prepare(parameters, workspace);
        self.compute(0..self.nodes.len(), parameters, x, rows, workspace, dropout)
    }

    /// Brings parameters into the form in which [`Network::forward_member`] takes them, which it
    /// otherwise would do for each block of rows.
    ///
    /// # Panics
    /// If there are fewer parameters than the network has, or the workspace is another network's.
    pub fn prepare(&self, parameters: &[f32], workspace: &mut Workspace) {
        for (node, prepared) in self.nodes.iter().zip(&mut workspace.prepared) {
            let own = &parameters[node.parameters.clone()];
            node.layer.prepare(own, prepared);
        }
    }

    /// [`Network::forward`] of one member, [rows, output_units], after [`Network::prepare`] with the
    /// same parameters.
    ///
    /// # Panics
    /// As [`Network::forward`], and if there is no such member.
    pub fn forward_member<'w>(
        &self,
        member: usize,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        workspace: &'w mut Workspace,
        dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        let nodes = self.member_nodes(member);
        self.compute(nodes, parameters, x, rows, workspace, dropout)
    }

    fn member_nodes(&self, member: usize) -> Range<usize> {
        let each = self.nodes.len() / self.members();
        member * each..(member + 1) * each
    }

    fn compute<'w>(
        &self,
        nodes: Range<usize>,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        workspace: &'w mut Workspace,
        mut dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        assert!(
            rows <= workspace.rows,
            "the workspace is for {} rows",
            workspace.rows
        );
        if rows == 0 {
            return &[];
        }
        let last = nodes.end - 1;
        let Workspace {
            values,
            saved,
            prepared,
            scratch,
            ..
        } = workspace;
        let walk = Walk {
            stop: &*workspace.stop,
            times: workspace.times.as_deref_mut(),
            time: |time| &mut time.forward,
        };
        walk.through(nodes, |i, pace| {
            let node = &self.nodes[i];
            let (earlier, own) = values.split_at_mut(i);
            let output = &mut own[0][..rows * self.widths[i]];
            node.layer.forward(Forward {
                rows,
                parameters: &parameters[node.parameters.clone()],
                prepared: &prepared[i],
                inputs: self.inputs(node, x, earlier),
                output,
                saved: &mut saved[i][..rows * node.layer.saved_per_row()],
                scratch,
                random: dropout.as_deref_mut(),
                frozen: !node.trainable,
                pace,
            });
            node.steps
                .mask(x, self.input_width, output, self.widths[i], rows);
        });
        &workspace.values[last][..rows * self.widths[last]]
    }

    /// Adds to `gradients` (as long as the parameters) those of a loss whose gradient with
    /// respect to the logits is `dlogits`, after [`Network::forward`] with the same parameters,
    /// rows and workspace. The ranges of frozen parameters stay as they are.
    ///
    /// # Panics
    /// As [`Network::forward`].
    pub fn backward(
        &self,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let nodes = 0..self.nodes.len();
        self.propagate(nodes, parameters, x, rows, dlogits, gradients, workspace);
    }

    /// [`Network::backward`] after [`Network::forward_member`].
    ///
    /// # Panics
    /// As [`Network::forward_member`].
    #[expect(
        clippy::too_many_arguments,
        reason = "those of backward, and the member"
    )]
    pub fn backward_member(
        &self,
        member: usize,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let nodes = self.member_nodes(member);
        self.propagate(nodes, parameters, x, rows, dlogits, gradients, workspace);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "those of backward, and the nodes"
    )]
    fn propagate(
        &self,
        nodes: Range<usize>,
        parameters: &[f32],
        x: &[f32],
        rows: usize,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let last = nodes.end - 1;
        if rows == 0 || !self.nodes[last].learns {
            return;
        }
        let Workspace {
            values,
            gradients: node_gradients,
            saved,
            scratch,
            ..
        } = workspace;
        node_gradients[last][..dlogits.len()].copy_from_slice(dlogits);
        let walk = Walk {
            stop: &*workspace.stop,
            times: workspace.times.as_deref_mut(),
            time: |time| &mut time.backward,
        };
        let learning = nodes.rev().filter(|&i| self.nodes[i].learns);
        walk.through(learning, |i, pace| {
            let node = &self.nodes[i];
            let (earlier, own) = node_gradients.split_at_mut(i);
            let size = rows * self.widths[i];
            let gradient = &mut own[0][..size];
            node.steps
                .mask(x, self.input_width, gradient, self.widths[i], rows);
            node.layer.backward(Backward {
                rows,
                parameters: &parameters[node.parameters.clone()],
                inputs: self.inputs(node, x, &values[..i]),
                output: &values[i][..size],
                saved: &mut saved[i][..rows * node.layer.saved_per_row()],
                scratch,
                gradient,
                parameter_gradient: node
                    .trainable
                    .then(|| &mut gradients[node.parameters.clone()]),
                input_gradients: InputGradients {
                    gradients: earlier,
                    sources: &node.sources,
                    wanted: &node.wanted,
                    rows,
                    widths: &self.widths,
                },
                pace,
            });
        });
    }

    fn inputs<'a>(&'a self, node: &'a Node, x: &'a [f32], values: &'a [Vec<f32>]) -> Inputs<'a> {
        Inputs {
            x,
            x_width: self.input_width,
            values,
            widths: &self.widths,
            sources: &node.sources,
            steps: &node.source_steps,
        }
    }
}
