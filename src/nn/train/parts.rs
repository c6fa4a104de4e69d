//! A batch of a network whose nodes couple its rows: in parts, which meet before each such node.
//!
//! Each shard's rows are computed in parts that are small enough for the processor's cache. Every worker
//! goes through a stage of the network with each of its parts; then all tell what their rows are like for
//! the node behind it, meet, and join that in the order of the parts. Backward it is the same with
//! gradients.

use std::ops::Range;

use super::augment::Varied;
use super::plan::share;
use super::rows::{Gathered, Slice, Which};
use super::shared::{Shared, Stop, read, write};
use crate::nn::base::random::{Random, stream};
use crate::nn::network::{Batch, Of, Stage, Workspace};

/// A worker's parts, with buffers that last from the forward pass to the backward pass.
#[derive(Debug)]
pub(super) struct Parts {
    /// The worker's shards.
    shards: Range<usize>,
    held: Vec<Held>,
    /// What the parts of the batch are like, joined.
    joined: Vec<f64>,
    /// How often the workers have met.
    meetings: usize,
    gathered: Gathered,
    varied: Varied,
    dlogits: Vec<f32>,
}

/// The rows of a part.
#[derive(Debug)]
struct Held {
    /// Which of all parts it is.
    number: usize,
    shard: usize,
    rows: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Option<Vec<f32>>,
    dropout: Random,
    augment: Random,
}

impl Held {
    fn batch<'a>(&'a self, parameters: &'a [f32]) -> Batch<'a> {
        Batch {
            parameters,
            x: &self.x,
            rows: self.rows,
        }
    }
}

impl Parts {
    /// Those of a worker.
    pub fn new(shared: &Shared, worker: usize, workers: usize) -> Parts {
        let (plan, network) = (&shared.plan, shared.network);
        let shards = share(plan.shards, worker, workers);
        let parts = shards.start * plan.parts..shards.end * plan.parts;
        let (width, targets) = shared.row_widths();
        let held = parts.map(|number| Held {
            number,
            shard: number / plan.parts,
            rows: 0,
            x: Vec::with_capacity(plan.tile_rows * width),
            y: Vec::with_capacity(plan.tile_rows * targets),
            weight: None,
            dropout: Random::new(0, 0),
            augment: Random::new(0, 0),
        });
        Parts {
            held: held.collect(),
            shards,
            joined: vec![0.0; network.most_sums()],
            meetings: 0,
            gathered: Gathered::new(plan.tile_rows, width),
            varied: Varied::default(),
            dlogits: vec![0.0; plan.tile_rows * network.output_units()],
        }
    }

    /// Computes the gradients of the loss of the worker's shards of a batch, as
    /// [`Worker::shard`](super::worker::Worker) does.
    pub fn compute(
        &mut self,
        shared: &Shared,
        slice: &Slice,
        batch: Range<usize>,
        step: u64,
        parameters: &[f32],
        workspace: &mut Workspace,
    ) -> Result<(), Stop> {
        for shard in self.shards.clone() {
            let shard = &mut *write(&shared.shards[shard]);
            shard.loss = 0.0;
            shard.weights.fill(0.0);
            shard.gradients.fill(0.0);
        }
        let all = (shared.plan.shards * shared.plan.parts) as u64;
        for part in &mut self.held {
            let number = step * all + part.number as u64;
            let random = |stream| Random::new(shared.options.seed, stream + number);
            part.dropout = random(stream::DROPOUT);
            part.augment = random(stream::AUGMENT);
        }
        for member in 0..shared.network.members() {
            self.hold(shared, slice, &batch, member);
            self.forward(shared, member, parameters, workspace)?;
            self.losses(shared, member, workspace);
            self.backward(shared, member, parameters, workspace)?;
        }
        Ok(())
    }

    /// Takes the rows that a member is trained on.
    fn hold(&mut self, shared: &Shared, slice: &Slice, batch: &Range<usize>, member: usize) {
        let plan = &shared.plan;
        for part in &mut self.held {
            let shard = plan.shard(part.shard, batch.len());
            let start = shard.start + part.number % plan.parts * plan.tile_rows;
            let rows = start.min(shard.end)..(start + plan.tile_rows).min(shard.end);
            let rows = batch.start + rows.start..batch.start + rows.end;
            let block = slice.gather(rows, Which::Trained(member), &mut self.gathered);
            let images = &shared.options.augment;
            let x = self
                .varied
                .vary(images, block.x, block.rows, &mut part.augment);
            part.rows = block.rows;
            part.x.clear();
            part.x.extend_from_slice(x);
            part.y.clear();
            part.y.extend_from_slice(block.y);
            match (block.weight, &mut part.weight) {
                (None, weight) => *weight = None,
                (Some(new), Some(weight)) => {
                    weight.clear();
                    weight.extend_from_slice(new);
                }
                (Some(new), weight) => *weight = Some(new.to_vec()),
            }
        }
    }

    fn forward(
        &mut self,
        shared: &Shared,
        member: usize,
        parameters: &[f32],
        workspace: &mut Workspace,
    ) -> Result<(), Stop> {
        let network = shared.network;
        let mut next = Some(network.first_stage(network.member_nodes(member)));
        while let Some(stage) = next {
            for (own, part) in self.held.iter_mut().enumerate() {
                shared.barrier.check()?;
                let batch = Batch {
                    parameters,
                    x: &part.x,
                    rows: part.rows,
                };
                network.forward_stage(&stage, own, batch, workspace, Some(&mut part.dropout));
            }
            if let Some(node) = stage.behind() {
                self.join(shared, node, Of::Rows, workspace)?;
            }
            next = network.stage_after(&stage);
        }
        Ok(())
    }

    /// The loss of each part, and its gradient, from which the backward pass begins.
    fn losses(&mut self, shared: &Shared, member: usize, workspace: &mut Workspace) {
        let (network, loss) = (shared.network, shared.loss);
        let stage = network.last_stage(network.member_nodes(member));
        let last = stage.nodes().end - 1;
        for (own, part) in self.held.iter().enumerate() {
            let shard = &mut *write(&shared.shards[part.shard]);
            let logits = network.outputs(last, own, part.rows, workspace);
            let dlogits = &mut self.dlogits[..logits.len()];
            let (y, weight) = (&part.y[..], part.weight.as_deref());
            shard.loss += loss.value_and_gradient(logits, y, weight, part.rows, dlogits);
            shard.weights[member] += loss.weight_sum(y, weight, part.rows);
            network.start_backward(&stage, own, dlogits, workspace);
        }
    }

    fn backward(
        &mut self,
        shared: &Shared,
        member: usize,
        parameters: &[f32],
        workspace: &mut Workspace,
    ) -> Result<(), Stop> {
        let network = shared.network;
        let mut next = Some(network.last_stage(network.member_nodes(member)));
        while let Some(stage) = next {
            for (own, part) in self.held.iter().enumerate() {
                shared.barrier.check()?;
                let gradients = &mut write(&shared.shards[part.shard]).gradients;
                let batch = part.batch(parameters);
                network.backward_stage(&stage, own, batch, gradients, workspace);
            }
            if let Some(node) = stage.coupled() {
                self.join(shared, node, Of::Gradients, workspace)?;
                self.settle(shared, &stage, parameters, workspace);
            }
            next = network.stage_before(&stage);
        }
        Ok(())
    }

    /// The node's own parameters are for the worker of the first part, once a batch.
    fn settle(&self, shared: &Shared, stage: &Stage, parameters: &[f32], workspace: &Workspace) {
        if self.held.first().is_some_and(|part| part.number == 0) {
            let gradients = &mut write(&shared.shards[0]).gradients;
            shared
                .network
                .settle(stage, 0, parameters, gradients, workspace);
        }
    }

    /// Meets the other workers, and tells each part what the whole batch is like.
    fn join(
        &mut self,
        shared: &Shared,
        node: usize,
        of: Of,
        workspace: &mut Workspace,
    ) -> Result<(), Stop> {
        // Whoever is still reading what was told at one meeting has not been at the next.
        let told = &shared.told[self.meetings % 2];
        self.meetings += 1;
        for (own, part) in self.held.iter().enumerate() {
            let sums = workspace.sums_mut(own, node, of);
            write(&told[part.number])[..sums.len()].copy_from_slice(sums);
        }
        shared.barrier.meet()?;
        let joined = &mut self.joined[..shared.network.sums(node)];
        joined.fill(0.0);
        for part in told {
            shared
                .network
                .join(node, of, joined, &read(part)[..joined.len()]);
        }
        for own in 0..self.held.len() {
            workspace.sums_mut(own, node, of).copy_from_slice(joined);
        }
        Ok(())
    }
}
