//! Predictions by the layers' packed forms.

mod layout;
pub mod predictor;
