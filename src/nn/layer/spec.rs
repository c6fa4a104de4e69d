//! A layer's settings as an architecture names them, and what they build.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Layer;
use super::head::Head;
use super::settings::Settings;
use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;

/// A type of layer as architectures name it.
pub(in crate::nn) struct LayerType {
    /// Its name.
    pub name: &'static str,
    /// Class names of Keras and PyTorch for it, in lower case.
    pub aliases: &'static [&'static str],
    /// The settings it knows, beside those that every layer has.
    pub settings: &'static [&'static str],
    /// What it asks of a column that could be read in several ways.
    pub rank: Rank,
    /// Reads its settings, given the type's name.
    pub read: Read,
}

/// Reads a layer's settings.
pub(in crate::nn) type Read = fn(&'static str, &Settings<'_>) -> Result<Arc<dyn Spec>, Error>;

/// As what a layer wants to read a column that holds many numbers a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Whatever it is.
    Any,
    /// As a sequence of steps.
    Sequence,
    /// As an image.
    Image,
}

/// A layer's settings as they are written in an architecture.
pub trait Spec: Any + Debug + Send + Sync {
    /// The type's name in JSON.
    fn type_name(&self) -> &'static str;

    /// Whether each value of the output stands for the input's value at its place, by a rule that is
    /// the same for all: values in another order come out in that order.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Whether the layer takes inputs of any shape and gives the same shape, or treats each step
    /// alike, so that what reads it decides as what a column is read.
    fn keeps_shape(&self) -> bool {
        self.is_elementwise()
    }

    /// Whether it reads a level's index, which other layers are not given.
    fn reads_levels(&self) -> bool {
        false
    }

    /// Whether it must read the network's columns as they are, since it is fitted to their values.
    fn reads_columns(&self) -> bool {
        false
    }

    /// Whether inputs without values are left out, rather than refused.
    fn skips_empty(&self) -> bool {
        false
    }

    /// Writes the settings as they are read, without those that have their defaults.
    fn write(&self, settings: &mut Map<String, Value>);

    /// The settings with what they leave open, if what the layer reads decides it.
    fn settled(&self, _site: &Site<'_>) -> Option<Arc<dyn Spec>> {
        None
    }

    /// The layer over these inputs.
    ///
    /// # Errors
    /// Shapes that do not fit the layer, with what to do about it.
    fn build(&self, site: &Site<'_>) -> Result<Built, Error>;
}

impl dyn Spec {
    /// The settings of that type, if these are.
    pub fn get<S: Spec>(&self) -> Option<&S> {
        (self as &dyn Any).downcast_ref()
    }
}

impl PartialEq for dyn Spec {
    /// Two are equal when they are written the same.
    fn eq(&self, other: &dyn Spec) -> bool {
        let written = |spec: &dyn Spec| {
            let mut settings = Map::new();
            spec.write(&mut settings);
            settings
        };
        self.type_name() == other.type_name() && written(self) == written(other)
    }
}

/// Where a layer is built: what it reads.
pub struct Site<'a> {
    /// How messages name the layer.
    pub label: &'a str,
    /// The shapes of its inputs, at least one.
    pub shapes: &'a [Shape],
    /// For each input whether its rows are sequences of different lengths.
    pub varying: &'a [bool],
    /// Of each input that is a level's index, or one a step, the number of levels.
    pub levels: &'a [Option<usize>],
    /// What the task asks for, of the network's last layer.
    pub head: Option<Head>,
}

/// What a specification builds.
pub enum Built {
    /// A layer that computes.
    Layer {
        /// The layer.
        layer: Box<dyn Layer>,
        /// The shape of its output.
        shape: Shape,
        /// What becomes of the rows' lengths.
        lengths: LengthRule,
    },
    /// The input's values as they are, seen in another shape of the same size; a sequence's steps
    /// that are not there are seen as zeros.
    View(Shape),
}

impl Site<'_> {
    /// An error that names the layer.
    pub fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::layer(self.label.to_owned(), message, hint)
    }

    /// The shape of the only input.
    ///
    /// # Errors
    /// More inputs than one.
    pub fn one(&self) -> Result<Shape, Error> {
        match self.shapes {
            [shape] => Ok(*shape),
            shapes => Err(self.error(
                format!("reads {} layers, but takes one", shapes.len()),
                "Join them by a layer of type concat, add or multiply.",
            )),
        }
    }

    /// How many numbers the only input has, a table's row.
    ///
    /// # Errors
    /// Another shape.
    pub fn vector(&self) -> Result<usize, Error> {
        match self.one()? {
            Shape::Vector(numbers) => Ok(numbers),
            other => Err(self.error(
                format!("reads {other}, but takes the numbers of a row"),
                "It reads table columns: put {\"type\": \"input\"} with their names before it.",
            )),
        }
    }

    /// The steps and features of the only input, a sequence.
    ///
    /// # Errors
    /// Another shape.
    pub fn sequence(&self) -> Result<(usize, usize), Error> {
        match self.one()? {
            Shape::Sequence { steps, features } => Ok((steps, features)),
            other => Err(self.error(
                format!("reads {other}, but takes a sequence of steps × features"),
                "Treat the column as a sequence, features => '{\"column\": {\"type\": \
                 \"sequence\"}}', let the layer before give all its steps \
                 (\"return_sequences\": true), or put a layer of type reshape before it.",
            )),
        }
    }

    /// Channels, height and width of the only input, an image.
    ///
    /// # Errors
    /// Another shape.
    pub fn image(&self) -> Result<(usize, usize, usize), Error> {
        match self.one()? {
            Shape::Image {
                channels,
                height,
                width,
            } => Ok((channels, height, width)),
            other => Err(self.error(
                format!("reads {other}, but takes an image of channels × height × width"),
                "Treat the column as an image, features => '{\"column\": {\"type\": \"image\", \
                 \"shape\": [1, 28, 28]}}', or put a layer of type reshape before it.",
            )),
        }
    }
}
