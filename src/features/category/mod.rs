//! Categories: a level each, as inputs of their own or as one that an embedding reads.

mod encode;
mod fitted;
mod levels;
mod settings;

pub(super) use self::fitted::{Category, TREATMENT};
pub use self::fitted::{Index, MAX_LEVELS, OneHot};
pub use self::settings::{CategoricalSettings, DEFAULT_LEVELS, Encoding};
