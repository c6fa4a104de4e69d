//! Numbers: scaled, clipped, what is missing stood in for.

pub(super) mod encode;
mod fitted;
mod settings;

pub use self::fitted::Numeric;
pub(super) use self::fitted::TREATMENT;
pub use self::settings::{Missing, NumericSettings};
