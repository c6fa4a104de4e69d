//! Numbers: scaled, clipped, what is missing stood in for.

mod calendar;
pub(super) mod encode;
mod fitted;
mod settings;

pub use self::calendar::{Calendar, Cycle};
pub use self::fitted::Numeric;
pub(super) use self::fitted::TREATMENT;
pub(super) use self::settings::Number;
pub use self::settings::{Missing, NumericSettings};
