//! How a step is divided: its rows among shards, its parameters among workers.
//!
//! What a result could depend on (shards, their order, blocks of a norm) follows from the batch
//! size and the network; only who computes what follows from the number of threads.

use std::ops::Range;

use super::options::TrainOptions;
use crate::nn::layer::initializer::ParameterKind;
use crate::nn::network::Network;

/// Most shards a batch is divided in.
const SHARDS: usize = 16;
/// Rows of a shard that a product needs to be efficient.
const SHARD_ROWS: usize = 64;
/// Fewest rows of a shard, for small batches.
const SMALL_SHARD_ROWS: usize = 32;
/// Most gradients that all shards together hold, for networks that are large.
const GRADIENTS: usize = 32 << 20;
/// Parameters over which a partial norm is summed.
pub(super) const NORM_BLOCK: usize = 256;
/// Rows that are computed at once, at most: more would leave the processor's cache.
const TILE_ROWS: usize = 256;
/// Memory that the values of these rows take, at most: those of large networks are computed in
/// smaller tiles.
const TILE_BYTES: usize = 32 << 20;
/// The same of a part of a batch, of which a pass computes a few nodes at a time.
const PART_BYTES: usize = 8 << 20;
/// The rows of a part at least, so that what is done once a part costs little a row.
const PART_ROWS: usize = 8;
/// Rows that validation computes at once, and whose losses are summed: a source of validation rows
/// must be able to hold as many.
pub const VALIDATION_ROWS: usize = 128;

/// Parameters that are treated the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub range: Range<usize>,
    /// Whether penalties and weight decay act on them.
    pub decayed: bool,
}

/// The division of every step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub batch_rows: usize,
    pub shards: usize,
    pub shard_rows: usize,
    /// Rows of a shard that are computed at once, at most.
    pub tile_rows: usize,
    /// Parts of so many rows that each shard has, where nodes of the network couple the rows of a
    /// batch, which are then all computed before they meet; else none.
    pub parts: usize,
    pub segments: Vec<Segment>,
    /// Parameters that layers set by themselves; see [`ParameterKind::Statistic`].
    pub statistics: Vec<Range<usize>>,
}

impl Plan {
    /// The division for a training on so many rows.
    pub fn new(network: &Network, options: &TrainOptions, rows: usize) -> Plan {
        let batch_rows = options.batch_size.min(rows).max(1);
        let parameters = network.parameter_count().max(1);
        let rows = if batch_rows < 4 * SHARD_ROWS {
            SMALL_SHARD_ROWS
        } else {
            SHARD_ROWS
        };
        let shards = batch_rows
            .div_ceil(rows)
            .min(SHARDS)
            .min((GRADIENTS / parameters).max(2));
        let shard_rows = batch_rows.div_ceil(shards);
        let shards = batch_rows.div_ceil(shard_rows);
        let row_bytes = network.workspace_bytes(1, 1).max(1);
        let couples = network.couples_rows();
        let tile_rows = if couples {
            shard_rows.min((PART_BYTES / row_bytes).max(PART_ROWS))
        } else {
            let most = TILE_ROWS.min(shard_rows.max(VALIDATION_ROWS));
            most.min(TILE_BYTES / row_bytes)
        };
        let tile_rows = tile_rows.max(1);
        let parts = shard_rows.div_ceil(tile_rows);
        let statistics = network
            .parameters()
            .iter()
            .filter(|parameter| parameter.trainable && parameter.kind == ParameterKind::Statistic);
        Plan {
            batch_rows,
            shards,
            shard_rows,
            tile_rows,
            parts: if couples { parts } else { 0 },
            segments: segments(network, options),
            statistics: statistics
                .map(|parameter| parameter.range.clone())
                .collect(),
        }
    }

    /// The rows of a shard within a batch of so many.
    pub fn shard(&self, shard: usize, batch_rows: usize) -> Range<usize> {
        let start = shard * self.shard_rows;
        start.min(batch_rows)..(start + self.shard_rows).min(batch_rows)
    }

    /// Rows that a worker gathers at once, at most.
    pub fn gathered_rows(&self) -> usize {
        self.tile_rows.max(VALIDATION_ROWS)
    }
}

/// The share of a worker in so many things.
pub(super) fn share(things: usize, worker: usize, workers: usize) -> Range<usize> {
    things * worker / workers..things * (worker + 1) / workers
}

/// The parameters that training changes, neighbours that are treated the same as one.
fn segments(network: &Network, options: &TrainOptions) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for parameter in network
        .parameters()
        .iter()
        .filter(|parameter| parameter.trainable && parameter.kind.is_learnt())
    {
        let plain = matches!(
            parameter.kind,
            ParameterKind::Bias
                | ParameterKind::LstmBias
                | ParameterKind::Gain
                | ParameterKind::Wave
        );
        let decayed = options.decay_biases || !plain;
        match segments.last_mut() {
            Some(last) if last.decayed == decayed && last.range.end == parameter.range.start => {
                last.range.end = parameter.range.end;
            }
            _ => segments.push(Segment {
                range: parameter.range.clone(),
                decayed,
            }),
        }
    }
    segments
}
