//! What is told of an epoch.

/// How an epoch went.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochReport {
    /// Which, from 1.
    pub epoch: usize,
    /// Weighted mean loss of the training rows, each by the parameters its batch met (with
    /// dropout, without penalties).
    pub train_loss: f64,
    /// Weighted mean loss of the validation rows by the parameters after the epoch.
    pub validation_loss: Option<f64>,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// How long it took, validation included.
    pub seconds: f64,
}
