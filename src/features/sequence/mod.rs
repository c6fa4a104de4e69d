//! Sequences: arrays of any number of steps, whose numbers are scaled or are tokens.

mod encode;
mod fitted;
mod instance;
mod intake;
mod settings;

pub use self::encode::Tokens;
pub(super) use self::fitted::TREATMENT;
pub use self::fitted::{MAX_TOKENS, Sequence};
pub use self::instance::Instance;
pub use self::settings::{Denormalize, SequenceSettings};
