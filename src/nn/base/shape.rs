//! What the values of a row mean: a vector, a sequence of steps, an image.

use std::fmt;

/// The shape of a row's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// So many numbers.
    Vector(usize),
    /// Step after step, each of so many features: `[steps][features]`.
    Sequence {
        /// The most steps a row can have.
        steps: usize,
        /// Numbers of a step.
        features: usize,
    },
    /// Channel after channel, PyTorch's order: `[channels][height][width]`.
    Image {
        /// Number of channels.
        channels: usize,
        /// Number of lines.
        height: usize,
        /// Length of a line.
        width: usize,
    },
}

impl Shape {
    /// Number of values.
    pub fn size(self) -> usize {
        match self {
            Shape::Vector(width) => width,
            Shape::Sequence { steps, features } => steps.saturating_mul(features),
            Shape::Image {
                channels,
                height,
                width,
            } => channels.saturating_mul(height).saturating_mul(width),
        }
    }

    /// Steps of a sequence; anything else is one step.
    pub fn steps(self) -> usize {
        match self {
            Shape::Sequence { steps, .. } => steps,
            _ => 1,
        }
    }

    /// Values of a step of a sequence; of anything else all.
    pub fn step_size(self) -> usize {
        match self {
            Shape::Sequence { features, .. } => features,
            other => other.size(),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Vector(1) => write!(f, "one number"),
            Shape::Vector(width) => write!(f, "a vector of {width} numbers"),
            Shape::Sequence { steps, features } => {
                write!(f, "a sequence of {steps} steps × {features} features")
            }
            Shape::Image {
                channels,
                height,
                width,
            } => {
                write!(
                    f,
                    "an image of {channels} channels × {height} high × {width} wide"
                )
            }
        }
    }
}
