//! What the workers of a training share, and how they lay hands on it.

use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::loss::Loss;
use super::options::TrainOptions;
use super::plan::{NORM_BLOCK, Plan, share};
use crate::nn::network::Network;
use crate::nn::threads::barrier::Barrier;
use crate::nn::threads::course::Aborted;

/// What all workers of a training share.
pub(super) struct Shared<'a> {
    pub network: &'a Network,
    pub options: &'a TrainOptions,
    pub loss: &'a Loss,
    pub plan: Plan,
    pub barrier: Barrier,
    pub shards: Vec<RwLock<Shard>>,
    /// What each part of a batch told of itself, at a meeting and at the one before.
    pub told: [Vec<RwLock<Vec<f64>>>; 2],
    /// Each worker's range as it was last updated.
    pub updated: Vec<RwLock<Updated>>,
}

/// The gradients of a shard, and what its rows contribute to the batch's loss.
#[derive(Debug)]
pub(super) struct Shard {
    pub gradients: Vec<f32>,
    pub loss: f64,
    /// Of each member of the network, what its rows weigh.
    pub weights: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct Updated {
    pub parameters: Vec<f32>,
    /// Squared norms of the gradients, one a block of parameters.
    pub norms: Vec<f64>,
}

impl<'a> Shared<'a> {
    pub fn new(
        network: &'a Network,
        options: &'a TrainOptions,
        loss: &'a Loss,
        plan: Plan,
        workers: usize,
    ) -> Shared<'a> {
        let count = network.parameter_count();
        let shard = || Shard {
            gradients: vec![0.0; count],
            loss: 0.0,
            weights: vec![0.0; network.members()],
        };
        let updated = |worker| {
            let length = worker_range(count, worker, workers).len();
            let norms = vec![0.0; length.div_ceil(NORM_BLOCK)];
            let parameters = if workers == 1 {
                Vec::new()
            } else {
                vec![0.0; length]
            };
            RwLock::new(Updated { parameters, norms })
        };
        let sums = network.most_sums();
        let parts = plan.shards * plan.parts;
        let told = || (0..parts).map(|_| RwLock::new(vec![0.0; sums]));
        Shared {
            network,
            options,
            loss,
            told: std::array::from_fn(|_| told().collect()),
            barrier: Barrier::new(workers),
            shards: (0..plan.shards).map(|_| RwLock::new(shard())).collect(),
            updated: (0..workers).map(updated).collect(),
            plan,
        }
    }

    /// Values and targets of a row.
    pub fn row_widths(&self) -> (usize, usize) {
        (self.network.input_width(), self.loss.targets())
    }
}

/// Why a worker stopped before the end of its slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Aborted,
    NotFinite,
}

impl From<Aborted> for Stop {
    fn from(_: Aborted) -> Stop {
        Stop::Aborted
    }
}

/// The range of a worker, cut at the blocks of the norm.
pub(super) fn worker_range(parameters: usize, worker: usize, workers: usize) -> Range<usize> {
    let blocks = share(parameters.div_ceil(NORM_BLOCK), worker, workers);
    (blocks.start * NORM_BLOCK).min(parameters)..(blocks.end * NORM_BLOCK).min(parameters)
}

/// A worker that panicked while it held a lock has aborted the training, so nobody goes on with
/// what it left.
pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
