//! The passes through a network's nodes, forward and backward.
//!
//! Where nodes couple the rows of a batch, a pass goes in stages that end before them: there the parts
//! of a batch are joined. What is not told of stages does all of them, over one part.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::graph::{Network, Node};
use super::stages::Stage;
use super::workspace::{NodeTime, Part, Workspace};
use crate::nn::base::random::Random;
use crate::nn::base::stop::{Pace, Stop};
use crate::nn::layer::{Backward, CoupledGradients, Forward, InputGradients, Inputs};

/// Rows that pass through a network, and the parameters they meet.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The flat buffer.
    pub parameters: &'a [f32],
    /// Rows of [`Network::input_width`] values.
    pub x: &'a [f32],
    /// How many of them.
    pub rows: usize,
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
        let batch = Batch {
            parameters,
            x,
            rows,
        };
        self.compute(0..self.nodes.len(), batch, workspace, dropout)
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
        batch: Batch<'_>,
        workspace: &'w mut Workspace,
        dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        self.compute(self.member_nodes(member), batch, workspace, dropout)
    }

    /// The nodes of a member.
    pub(in crate::nn) fn member_nodes(&self, member: usize) -> Range<usize> {
        let each = self.nodes.len() / self.members();
        member * each..(member + 1) * each
    }

    fn compute<'w>(
        &self,
        nodes: Range<usize>,
        batch: Batch<'_>,
        workspace: &'w mut Workspace,
        mut dropout: Option<&mut Random>,
    ) -> &'w [f32] {
        let last = nodes.end - 1;
        let mut next = Some(self.first_stage(nodes));
        while let Some(stage) = next {
            self.forward_stage(&stage, 0, batch, workspace, dropout.as_deref_mut());
            next = self.stage_after(&stage);
        }
        self.outputs(last, 0, batch.rows, workspace)
    }

    /// The values of a node that rows of a part of a batch have come to.
    pub(in crate::nn) fn outputs<'w>(
        &self,
        node: usize,
        part: usize,
        rows: usize,
        workspace: &'w Workspace,
    ) -> &'w [f32] {
        &workspace.parts[part].values[node][..rows * self.widths[node]]
    }

    /// A forward pass through the nodes of a stage by a part of a batch. Of the node behind it, if one
    /// of the member is, it is then gathered what the part's rows are like; that of the whole batch
    /// has to be there before the next stage: [`Workspace::sums_mut`].
    ///
    /// # Panics
    /// As [`Network::forward`].
    pub(in crate::nn) fn forward_stage(
        &self,
        stage: &Stage,
        part: usize,
        batch: Batch<'_>,
        workspace: &mut Workspace,
        mut dropout: Option<&mut Random>,
    ) {
        let Batch {
            parameters,
            x,
            rows,
        } = batch;
        assert!(
            rows <= workspace.rows,
            "the workspace is for {} rows",
            workspace.rows
        );
        let (prepared, scratch) = (&workspace.prepared, &mut workspace.scratch);
        let Part {
            values,
            saved,
            sums,
            training,
            ..
        } = &mut workspace.parts[part];
        *training = dropout.is_some();
        let behind = stage.behind().filter(|_| *training);
        if rows == 0 {
            if let Some(i) = behind {
                sums[i][0].fill(0.0);
            }
            return;
        }
        let walk = Walk {
            stop: &*workspace.stop,
            times: workspace.times.as_deref_mut(),
            time: |time| &mut time.forward,
        };
        walk.through(stage.nodes().chain(behind), |i, pace| {
            let node = &self.nodes[i];
            let (earlier, own) = values.split_at_mut(i);
            let inputs = self.inputs(node, x, earlier);
            if behind == Some(i) {
                if let Some(coupled) = node.coupled() {
                    coupled.gather(inputs, rows, &mut sums[i][0], pace);
                }
                return;
            }
            let output = &mut own[0][..rows * self.widths[i]];
            let of_batch = *training && !sums[i][0].is_empty();
            node.layer.forward(Forward {
                rows,
                parameters: &parameters[node.parameters.clone()],
                prepared: &prepared[i],
                inputs,
                output,
                saved: &mut saved[i][..rows * node.layer.saved_per_row()],
                scratch,
                random: dropout.as_deref_mut(),
                batch: of_batch.then_some(&sums[i][0][..]),
                pace,
            });
            node.steps
                .mask(x, self.input_width, output, self.widths[i], rows);
        });
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
        let batch = Batch {
            parameters,
            x,
            rows,
        };
        let nodes = 0..self.nodes.len();
        self.propagate(nodes, batch, dlogits, gradients, workspace);
    }

    /// [`Network::backward`] after [`Network::forward_member`].
    ///
    /// # Panics
    /// As [`Network::forward_member`].
    pub fn backward_member(
        &self,
        member: usize,
        batch: Batch<'_>,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let nodes = self.member_nodes(member);
        self.propagate(nodes, batch, dlogits, gradients, workspace);
    }

    fn propagate(
        &self,
        nodes: Range<usize>,
        batch: Batch<'_>,
        dlogits: &[f32],
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        if !self.nodes[nodes.end - 1].learns {
            return;
        }
        let last = self.last_stage(nodes);
        self.start_backward(&last, 0, dlogits, workspace);
        let mut next = Some(last);
        while let Some(stage) = next {
            self.backward_stage(&stage, 0, batch, gradients, workspace);
            self.settle(&stage, 0, batch.parameters, gradients, workspace);
            next = self.stage_before(&stage);
        }
    }

    /// Takes the gradient with respect to the logits of a part, for its backward pass.
    pub(in crate::nn) fn start_backward(
        &self,
        last: &Stage,
        part: usize,
        dlogits: &[f32],
        workspace: &mut Workspace,
    ) {
        let last = &mut workspace.parts[part].gradients[last.nodes().end - 1];
        let count = dlogits.len().min(last.len());
        last[..count].copy_from_slice(&dlogits[..count]);
    }

    /// A backward pass through the nodes of a stage by a part of a batch, the node behind it among
    /// them and without the one that it begins with, if these couple rows: of the latter it is gathered
    /// what the part's gradients are like. As in [`Network::forward_stage`], that of the whole batch has to
    /// be there for the stage before.
    ///
    /// # Panics
    /// As [`Network::forward`].
    pub(in crate::nn) fn backward_stage(
        &self,
        stage: &Stage,
        part: usize,
        batch: Batch<'_>,
        gradients: &mut [f32],
        workspace: &mut Workspace,
    ) {
        let Batch {
            parameters,
            x,
            rows,
        } = batch;
        let begins = stage.coupled();
        let scratch = &mut workspace.scratch;
        let Part {
            values,
            gradients: node_gradients,
            saved,
            sums,
            training,
        } = &mut workspace.parts[part];
        if rows == 0 {
            if let Some(i) = begins {
                sums[i][1].fill(0.0);
            }
            return;
        }
        let walk = Walk {
            stop: &*workspace.stop,
            times: workspace.times.as_deref_mut(),
            time: |time| &mut time.backward,
        };
        let nodes = stage.behind().into_iter().chain(stage.nodes().rev());
        walk.through(nodes.filter(|&i| self.nodes[i].learns), |i, pace| {
            let node = &self.nodes[i];
            let (earlier, own) = node_gradients.split_at_mut(i);
            let size = rows * self.widths[i];
            let gradient = &mut own[0][..size];
            let inputs = self.inputs(node, x, &values[..i]);
            let own_parameters = &parameters[node.parameters.clone()];
            let [of_rows, of_gradients] = &mut sums[i];
            let of_rows = (*training && !of_rows.is_empty()).then_some(&of_rows[..]);
            if stage.behind() != Some(i) {
                node.steps
                    .mask(x, self.input_width, gradient, self.widths[i], rows);
            }
            if let (true, Some(coupled)) = (begins == Some(i), node.coupled()) {
                let gradients = CoupledGradients {
                    rows,
                    parameters: own_parameters,
                    inputs,
                    gradient,
                    batch: of_rows,
                };
                coupled.gather_gradients(gradients, of_gradients, pace);
                return;
            }
            node.layer.backward(Backward {
                rows,
                parameters: own_parameters,
                inputs,
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
                batch: of_rows.map(|of_rows| (of_rows, &of_gradients[..])),
                pace,
            });
        });
    }

    /// Adds the gradient of the parameters of the node that a stage begins with, if it couples rows:
    /// once a batch, when what its gradients are like is joined.
    pub(in crate::nn) fn settle(
        &self,
        stage: &Stage,
        part: usize,
        parameters: &[f32],
        gradients: &mut [f32],
        workspace: &Workspace,
    ) {
        let Some(i) = stage.coupled() else {
            return;
        };
        let (node, part) = (&self.nodes[i], &workspace.parts[part]);
        let [of_rows, of_gradients] = &part.sums[i];
        if let Some(coupled) = node.coupled() {
            let own = node.parameters.clone();
            let of_rows = part.training.then_some(&of_rows[..]);
            coupled.settle(
                &parameters[own.clone()],
                of_rows,
                of_gradients,
                &mut gradients[own],
            );
        }
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
