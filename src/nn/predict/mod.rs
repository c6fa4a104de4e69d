//! Predictions by the layers' packed forms.

mod layout;
pub mod predictor;
mod scratch;
mod step;

pub use predictor::Predictor;
pub use scratch::Scratch;
