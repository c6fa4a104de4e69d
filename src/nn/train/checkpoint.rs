//! How far a training is after an epoch: what is kept of it, and gone on from with the same bits.
//!
//! Random numbers follow from seed, epoch and step, the learning rate from step and history: so the
//! parameters, what the optimizer remembers and the history are all there is.

use super::epoch_report::EpochReport;
use super::optimizer::OptimizerState;

/// A training after an epoch, as it is there to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// A report an epoch.
    pub history: &'a [EpochReport],
    /// The parameters after the last of them.
    pub parameters: &'a [f32],
    /// Those of the best epoch, if they are to be restored.
    pub best: Option<&'a [f32]>,
    /// What the optimizer remembers.
    pub optimizer_state: &'a OptimizerState,
}

/// The same, to go on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resume {
    /// A report an epoch.
    pub history: Vec<EpochReport>,
    /// The parameters after the last of them.
    pub parameters: Vec<f32>,
    /// Those of the best epoch, if they are to be restored.
    pub best: Option<Vec<f32>>,
    /// What the optimizer remembers.
    pub optimizer_state: OptimizerState,
}
