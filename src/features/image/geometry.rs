//! How the images of a column lie, and what part of them the network sees.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::features::column::{ArrayShape, Column};
use crate::features::error::Error;
use crate::features::quoting::features_argument;

/// How the images of a column lie and are brought to one shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// Channels, height and width of the arrays and raw bytes, and what encoded images are brought
    /// to; `None` until the first image says it.
    pub shape: Option<[usize; 3]>,
    /// Whether arrays and raw bytes lie as height × width × channels.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channels_last: bool,
    /// Height and width that every image is resized to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<[usize; 2]>,
    /// Height and width of the middle that is kept, after resizing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[usize; 2]>,
}

impl Geometry {
    /// The shape that the network sees of images of this one.
    pub fn output(&self, [channels, height, width]: [usize; 3]) -> [usize; 3] {
        let [height, width] = self.crop.or(self.resize).unwrap_or([height, width]);
        [channels, height, width]
    }

    /// The shape that the network sees; nothing while that of the images is not known.
    pub(super) fn seen(&self) -> [usize; 3] {
        self.output(self.shape.unwrap_or_default())
    }

    /// The shape of an array of these dimensions.
    pub(super) fn of_array(&self, column: &str, dims: &[usize]) -> Result<[usize; 3], Error> {
        let last = self.channels_last;
        match (dims, self.shape) {
            (&[length], Some(shape)) if length == shape.iter().product::<usize>() => Ok(shape),
            (&[length], Some([c, h, w])) => Err(Error::invalid(format!(
                "an image in column \"{column}\" has {length} numbers, but its shape [{c}, {h}, \
                 {w}] needs {}",
                c * h * w
            ))
            .with_hint("Every row must have as many numbers as the shape says.")),
            (&[length], None) => Err(Error::invalid(format!(
                "an image in column \"{column}\" is a flat array of {length} numbers, and nothing \
                 says its height and width"
            ))
            .with_hint(shape_hint(column, length))),
            (&[height, width], _) => Ok([1, height, width]),
            (&[height, width, channels], _) if last => Ok([channels, height, width]),
            (&[channels, height, width], _) => {
                let shape = [channels, height, width];
                match self.shape.is_none() && wrong_order(shape) {
                    true => Err(other_order(column, shape)),
                    false => Ok(shape),
                }
            }
            _ => Err(Error::invalid(format!(
                "an image in column \"{column}\" is an array of {} dimensions",
                dims.len()
            ))
            .with_hint(
                "An image is an array of height × width or of channels × height × width, or a \
                 flat one with a \"shape\".",
            )),
        }
    }

    /// Takes the first image's shape for the column's, and refuses others.
    pub(super) fn settle(&mut self, column: &str, given: [usize; 3]) -> Result<(), Error> {
        let shape = *self.shape.get_or_insert(given);
        let same = match self.resize {
            Some(_) => shape[0] == given[0],
            None => shape == given,
        };
        if same {
            return Ok(());
        }
        let [c, h, w] = shape;
        Err(Error::invalid(format!(
            "an image in column \"{column}\" is {} × {} × {}, but the column's images are {c} × \
             {h} × {w}",
            given[0], given[1], given[2]
        ))
        .with_hint(
            "Channels × height × width must be those of the first row, or of \"shape\"; \
             \"resize\": [height, width] takes images of any size.",
        ))
    }
}

/// Channels, height and width of the images that a column holds.
pub(super) fn stored_shape(column: &Column) -> Option<[usize; 3]> {
    match column.shape {
        Some(ArrayShape::Image {
            channels,
            height,
            width,
        }) => Some([channels, height, width]),
        _ => None,
    }
}

/// Refuses a shape that is written in another order than channels, height, width.
pub(super) fn check_shape(column: &str, shape: [usize; 3]) -> Result<(), Error> {
    match wrong_order(shape) {
        true => Err(other_order(column, shape)),
        false => Ok(()),
    }
}

/// Whether a shape must have been meant as height × width × channels.
fn wrong_order([first, _, last]: [usize; 3]) -> bool {
    first > 4 && (1..=4).contains(&last)
}

/// The error about a shape in another order.
fn other_order(column: &str, [a, b, c]: [usize; 3]) -> Error {
    Error::invalid(format!(
        "the images of column \"{column}\" have the shape [{a}, {b}, {c}], which would be {a} \
         channels of {b} × {c} pixels"
    ))
    .with_hint(format!(
        "Write a shape as channels, height, width: [{c}, {a}, {b}]. If the values lie in the \
         order height, width, channels, say so with \"data_format\": \"channels_last\"."
    ))
}

fn shape_hint(column: &str, length: usize) -> String {
    let side = (1..=length.min(4096)).find(|side| side * side == length);
    let [c, h, w] = match side {
        Some(side) => [1, side, side],
        None => [1, 28, 28],
    };
    format!(
        "Give the shape as channels, height, width: {}.",
        features_argument(column, &json!({"type": "image", "shape": [c, h, w]}))
    )
}
