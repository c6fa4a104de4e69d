//! What one worker does: its shards' gradients, its parameters' update, its validation rows.
//!
//! A step has two phases with a barrier after each. First every worker computes the gradients
//! of its shards; then it adds up those of all shards, in their order, for its own range of the
//! parameters and updates that range. Each worker keeps a whole copy of the parameters and
//! fetches what the others have updated. The locks are never waited for, as the barriers keep
//! readers and writers apart; they are what lets the compiler check it.
//!
//! One barrier would do if every worker updated all parameters. It would cost more than it saves:
//! with the 5,600 parameters of a network 20-64-64-1 and two workers the second half of reducing
//! and updating takes 2.6 µs of a step's 44, where publishing and fetching take 0.7 and a barrier
//! at which all arrive together takes 0.04. What waits there is for a processor that others use.

use std::ops::Range;

use super::augment::Varied;
use super::optimizer::OptimizerState;
use super::parts::Parts;
use super::plan::{NORM_BLOCK, VALIDATION_ROWS, share};
use super::rows::{Gathered, Slice, Which};
use super::schedule::Schedule;
use super::shared::{Shard, Shared, Stop, read, worker_range, write};
use super::update::{Update, add_penalties};
use crate::nn::base::random::{Random, stream};
use crate::nn::kernels::add::add;
use crate::nn::kernels::processor::{Processor, Task};
use crate::nn::network::{Batch, Workspace};

/// Parameters that are gone through between two looks.
const PIECE: usize = 1 << 20;

/// A worker with its buffers; nothing is allocated while it computes.
pub(super) struct Worker {
    number: usize,
    workers: usize,
    /// Its range of the parameters.
    range: Range<usize>,
    /// A copy of all parameters.
    parameters: Vec<f32>,
    /// The whole batch's gradients, of its range.
    gradients: Vec<f32>,
    /// Of each member of the network, what the batch's rows weigh.
    weights: Vec<f64>,
    /// The optimizer's state, of its range.
    buffers: Vec<Vec<f32>>,
    /// New values of the parameters of its range that layers set by themselves.
    statistics: Vec<f32>,
    /// Steps the optimizer took.
    updates: u64,
    workspace: Workspace,
    /// Of a network whose nodes couple the rows of a batch, the parts that it computes.
    parts: Option<Parts>,
    gathered: Gathered,
    varied: Varied,
    dlogits: Vec<f32>,
    /// Sums over the epoch; the same in every worker.
    pub loss: f64,
    pub weight: f64,
    /// Loss and weight of each of its blocks of validation rows.
    pub validated: Vec<(f64, f64)>,
    pub stopped: Option<Stop>,
}

impl Worker {
    pub fn new(
        shared: &Shared,
        number: usize,
        workers: usize,
        parameters: &[f32],
        state: &OptimizerState,
    ) -> Worker {
        let range = worker_range(parameters.len(), number, workers);
        let rows = shared.plan.gathered_rows();
        let statistics = shared.plan.statistics.iter();
        let statistics = statistics.map(|whole| common(whole, &range).len()).sum();
        let own = share(shared.plan.shards, number, workers).len() * shared.plan.parts;
        let network = shared.network;
        let mut workspace = network.workspace_of(own.max(1), shared.plan.tile_rows);
        workspace.stop_with(shared.barrier.stop_flag());
        shared.network.prepare(parameters, &mut workspace);
        Worker {
            number,
            workers,
            parameters: parameters.to_vec(),
            gradients: vec![0.0; range.len()],
            weights: vec![0.0; shared.network.members()],
            buffers: state
                .buffers
                .iter()
                .map(|buffer| buffer[range.clone()].to_vec())
                .collect(),
            range,
            updates: state.step,
            workspace,
            parts: (shared.plan.parts > 0).then(|| Parts::new(shared, number, workers)),
            statistics: vec![0.0; statistics],
            varied: Varied::default(),
            gathered: Gathered::new(rows, shared.network.input_width()),
            dlogits: vec![0.0; rows * shared.network.output_units()],
            loss: 0.0,
            weight: 0.0,
            validated: Vec::new(),
            stopped: None,
        }
    }

    /// All parameters as they are after the last step.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Puts its range of the optimizer's state where it belongs.
    pub fn save(&self, state: &mut OptimizerState) {
        state.step = self.updates;
        for (whole, own) in state.buffers.iter_mut().zip(&self.buffers) {
            whole[self.range.clone()].copy_from_slice(own);
        }
    }

    /// Trains on a slice of the epoch, whose first batch is step number `first_step`.
    pub fn train(&mut self, shared: &Shared, slice: &Slice, schedule: &Schedule, first_step: u64) {
        let batch_rows = shared.plan.batch_rows;
        for (batch, start) in (0..).zip((0..slice.rows()).step_by(batch_rows)) {
            let rows = batch_rows.min(slice.rows() - start);
            let step = first_step + batch;
            let rate = schedule.rate(step);
            if let Err(stop) = self.step(shared, slice, start..start + rows, step, rate) {
                self.stopped = Some(stop);
                return;
            }
        }
    }

    fn step(
        &mut self,
        shared: &Shared,
        slice: &Slice,
        batch: Range<usize>,
        step: u64,
        rate: f64,
    ) -> Result<(), Stop> {
        let mut own = share(shared.plan.shards, self.number, self.workers);
        if let Some(parts) = &mut self.parts {
            let (parameters, workspace) = (&self.parameters, &mut self.workspace);
            parts.compute(shared, slice, batch.clone(), step, parameters, workspace)?;
            own = 0..0;
        }
        for shard in own.clone() {
            shared.barrier.check()?;
            let rows = shared.plan.shard(shard, batch.len());
            let rows = batch.start + rows.start..batch.start + rows.end;
            // Shuffled rows are far from the processor; those of the next shard are on their way
            // while this one is computed.
            if shard + 1 < own.end {
                slice.expect(rows.end..rows.end + shared.plan.shard_rows);
            } else {
                let start = batch.end + own.start * shared.plan.shard_rows;
                slice.expect(start..start + shared.plan.shard_rows);
            }
            let number = step * shared.plan.shards as u64 + shard as u64;
            let random = |stream| Random::new(shared.options.seed, stream + number);
            self.shard(
                shared,
                slice,
                rows,
                random(stream::DROPOUT),
                random(stream::AUGMENT),
                &mut write(&shared.shards[shard]),
            );
        }
        shared.barrier.meet()?;
        let weight = self.reduce(shared, batch.len())?;
        if shared.options.gradient_clip.is_some() {
            self.clip(shared)?;
        }
        // A batch whose rows all weigh nothing says nothing.
        if weight > 0.0 {
            self.update(shared, rate);
        }
        if self.workers > 1 {
            if weight > 0.0 {
                write(&shared.updated[self.number])
                    .parameters
                    .copy_from_slice(&self.parameters[self.range.clone()]);
            }
            shared.barrier.meet()?;
            if weight > 0.0 {
                self.fetch(shared);
            }
        }
        if weight > 0.0 {
            shared
                .network
                .prepare(&self.parameters, &mut self.workspace);
        }
        Ok(())
    }

    /// Computes the gradients of a shard's loss, summed over its rows, member by member.
    fn shard(
        &mut self,
        shared: &Shared,
        slice: &Slice,
        rows: Range<usize>,
        mut random: Random,
        mut varying: Random,
        shard: &mut Shard,
    ) {
        let (network, loss) = (shared.network, shared.loss);
        shard.loss = 0.0;
        shard.weights.fill(0.0);
        shard.gradients.fill(0.0);
        let tile_rows = shared.plan.tile_rows;
        for start in rows.clone().step_by(tile_rows) {
            let tile = start..rows.end.min(start + tile_rows);
            for (member, weight) in shard.weights.iter_mut().enumerate() {
                let which = Which::Trained(member);
                let block = slice.gather(tile.clone(), which, &mut self.gathered);
                let x =
                    self.varied
                        .vary(&shared.options.augment, block.x, block.rows, &mut varying);
                let rows = Batch {
                    parameters: &self.parameters,
                    x,
                    rows: block.rows,
                };
                let workspace = &mut self.workspace;
                let logits = network.forward_member(member, rows, workspace, Some(&mut random));
                // What is left undone here is not used: the step ends at its next barrier.
                if shared.barrier.check().is_err() {
                    return;
                }
                let dlogits = &mut self.dlogits[..logits.len()];
                shard.loss +=
                    loss.value_and_gradient(logits, block.y, block.weight, block.rows, dlogits);
                *weight += loss.weight_sum(block.y, block.weight, block.rows);
                let gradients = &mut shard.gradients;
                network.backward_member(member, rows, dlogits, gradients, workspace);
            }
        }
    }

    /// Adds up the shards' gradients of its range, those of each member divided by what the
    /// batch's rows weigh for it, with the penalties'. Returns the weight for all members.
    fn reduce(&mut self, shared: &Shared, batch_rows: usize) -> Result<f64, Stop> {
        let used = batch_rows.div_ceil(shared.plan.shard_rows);
        let mut loss = 0.0;
        self.weights.fill(0.0);
        for (number, shard) in shared.shards[..used].iter().enumerate() {
            let shard = read(shard);
            loss += shard.loss;
            for (sum, weight) in self.weights.iter_mut().zip(&shard.weights) {
                *sum += weight;
            }
            let gradients = &shard.gradients[self.range.clone()];
            if number == 0 {
                self.gradients.copy_from_slice(gradients);
            } else {
                let pieces = self.gradients.chunks_mut(PIECE);
                for (sum, more) in pieces.zip(gradients.chunks(PIECE)) {
                    shared.barrier.check()?;
                    add(sum, more);
                }
            }
        }
        if !f64::is_finite(loss) {
            return Err(Stop::NotFinite);
        }
        self.take_statistics(shared);
        let weight = self.weights.iter().sum::<f64>();
        self.loss += loss;
        self.weight += weight;
        for (member, &weight) in self.weights.iter().enumerate() {
            let part = common(&shared.network.member_range(member), &self.range);
            if weight > 0.0 && !part.is_empty() {
                let scale = (1.0 / weight) as f32;
                Processor::detect().run(Scale {
                    values: &mut self.gradients[within(&part, &self.range)],
                    factor: scale,
                });
            }
        }
        let (l1, l2) = (shared.options.l1, shared.options.l2);
        if l1 > 0.0 || l2 > 0.0 {
            for segment in shared
                .plan
                .segments
                .iter()
                .filter(|segment| segment.decayed)
            {
                let part = common(&segment.range, &self.range);
                let own = within(&part, &self.range);
                add_penalties(&self.parameters[part], &mut self.gradients[own], l1, l2);
            }
        }
        Ok(weight)
    }

    /// Takes what layers set by themselves out of the gradients, which nothing is to change.
    fn take_statistics(&mut self, shared: &Shared) {
        let mut taken = 0;
        for whole in &shared.plan.statistics {
            let own = within(&common(whole, &self.range), &self.range);
            let gradients = &mut self.gradients[own];
            self.statistics[taken..taken + gradients.len()].copy_from_slice(gradients);
            taken += gradients.len();
            gradients.fill(0.0);
        }
    }

    /// Scales the gradients to the length that is allowed. Partial norms over fixed blocks of
    /// parameters, added in order, make the norm independent of the number of workers.
    fn clip(&mut self, shared: &Shared) -> Result<(), Stop> {
        let Some(longest) = shared.options.gradient_clip else {
            return Ok(());
        };
        let squares = |block: &[f32]| block.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
        {
            let mut updated = write(&shared.updated[self.number]);
            for (norm, block) in updated
                .norms
                .iter_mut()
                .zip(self.gradients.chunks(NORM_BLOCK))
            {
                *norm = squares(block);
            }
        }
        shared.barrier.meet()?;
        let mut sum: f64 = 0.0;
        for updated in &shared.updated {
            for norm in &read(updated).norms {
                sum += norm;
            }
        }
        // As PyTorch's clip_grad_norm_, which adds 1e-6 to the norm.
        let factor = longest / (sum.sqrt() + 1e-6);
        if factor < 1.0 {
            Processor::detect().run(Scale {
                values: &mut self.gradients,
                factor: factor as f32,
            });
        }
        Ok(())
    }

    /// Updates its range of the parameters.
    fn update(&mut self, shared: &Shared, rate: f64) {
        let mut taken = 0;
        for whole in &shared.plan.statistics {
            let own = &mut self.parameters[common(whole, &self.range)];
            own.copy_from_slice(&self.statistics[taken..taken + own.len()]);
            taken += own.len();
        }
        self.updates += 1;
        let options = shared.options;
        let decaying = Update::new(&options.optimizer, self.updates, rate, options.weight_decay);
        let plain = Update::new(&options.optimizer, self.updates, rate, 0.0);
        for segment in &shared.plan.segments {
            let part = common(&segment.range, &self.range);
            if part.is_empty() {
                continue;
            }
            let update = if segment.decayed { &decaying } else { &plain };
            for start in part.clone().step_by(PIECE) {
                if shared.barrier.check().is_err() {
                    return;
                }
                let piece = start..part.end.min(start + PIECE);
                let own = within(&piece, &self.range);
                let (parameters, gradients) =
                    (&mut self.parameters[piece], &self.gradients[own.clone()]);
                match &mut self.buffers[..] {
                    [] => update.apply(parameters, gradients, &mut []),
                    [one] => update.apply(parameters, gradients, &mut [&mut one[own]]),
                    [one, two, ..] => update.apply(
                        parameters,
                        gradients,
                        &mut [&mut one[own.clone()], &mut two[own]],
                    ),
                }
            }
        }
    }

    /// Takes over what the other workers have updated.
    fn fetch(&mut self, shared: &Shared) {
        for (number, updated) in shared.updated.iter().enumerate() {
            if number != self.number {
                let range = worker_range(self.parameters.len(), number, self.workers);
                self.parameters[range].copy_from_slice(&read(updated).parameters);
            }
        }
    }

    /// Computes the loss of its part of a slice of validation rows, block by block.
    pub fn validate(&mut self, shared: &Shared, slice: &Slice) {
        self.validated.clear();
        let blocks = slice.rows().div_ceil(VALIDATION_ROWS);
        for block in share(blocks, self.number, self.workers) {
            if shared.barrier.check().is_err() {
                self.stopped = Some(Stop::Aborted);
                return;
            }
            let start = block * VALIDATION_ROWS;
            let range = start..slice.rows().min(start + VALIDATION_ROWS);
            let (mut loss, mut weight) = (0.0, 0.0);
            for member in 0..shared.network.members() {
                for start in range.clone().step_by(shared.plan.tile_rows) {
                    let tile = start..range.end.min(start + shared.plan.tile_rows);
                    let which = Which::HeldOut(member);
                    let rows = slice.gather(tile, which, &mut self.gathered);
                    let batch = Batch {
                        parameters: &self.parameters,
                        x: rows.x,
                        rows: rows.rows,
                    };
                    let workspace = &mut self.workspace;
                    let network = shared.network;
                    let logits = network.forward_member(member, batch, workspace, None);
                    loss += shared.loss.value(logits, rows.y, rows.weight, rows.rows);
                    weight += shared.loss.weight_sum(rows.y, rows.weight, rows.rows);
                }
            }
            self.validated.push((loss, weight));
        }
    }
}

/// Multiplies values by a factor.
struct Scale<'a> {
    values: &'a mut [f32],
    factor: f32,
}

impl Task for Scale<'_> {
    #[inline(always)]
    fn run(self) {
        self.values
            .iter_mut()
            .for_each(|value| *value *= self.factor);
    }
}

/// What two ranges have in common; empty, and within `other`, if nothing.
fn common(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    let start = one.start.clamp(other.start, other.end);
    start..one.end.clamp(start, other.end)
}

/// A range counted from the start of another that holds it.
fn within(part: &Range<usize>, whole: &Range<usize>) -> Range<usize> {
    part.start - whole.start..part.end - whole.start
}
