//! Images: from what a column holds to planes of one shape, scaled channel by channel.

mod decode;
mod encode;
mod fitted;
mod geometry;
mod intake;
mod resample;
mod settings;

pub(super) use self::fitted::TREATMENT;
pub use self::fitted::{Augment, Image};
pub use self::geometry::Geometry;
pub use self::settings::{ChannelStatistic, ImageSettings};
