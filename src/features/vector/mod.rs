//! Vectors: arrays of one length, each of whose numbers is scaled by itself.

mod encode;
mod fitted;
mod intake;
mod settings;

pub(super) use self::fitted::TREATMENT;
pub use self::fitted::{MAX_VECTOR, Vector};
pub use self::settings::VectorSettings;
