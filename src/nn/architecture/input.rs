//! The network's input: which columns of the encoded row hold which feature.

use crate::nn::base::shape::Shape;

/// A feature as the network's input holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFeature {
    /// The feature's name.
    pub name: String,
    /// What stands in its columns.
    pub form: InputForm,
}

/// What stands in a feature's columns of the encoded row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputForm {
    /// Numbers, one a column.
    Numbers(usize),
    /// One column with the index of a level.
    Level {
        /// Indexes are below this.
        vocabulary: usize,
    },
    /// Channel after channel, `[channels][height][width]`.
    Image {
        /// Number of channels.
        channels: usize,
        /// Number of lines.
        height: usize,
        /// Length of a line.
        width: usize,
    },
    /// One column with the number of steps that are there, then the steps, `[steps][features]`; those
    /// that are not there are zero.
    Sequence {
        /// The most steps there can be.
        steps: usize,
        /// Columns of a step.
        features: usize,
        /// The steps are indexes of levels below this, one each.
        vocabulary: Option<usize>,
    },
    /// As a [`Sequence`](InputForm::Sequence) of numbers, and behind it two columns with the mean and
    /// the standard deviation by which the outputs of a regression are turned back: those of the
    /// numbers that the sequence was normalised by, in the unit of the outputs.
    LeveledSequence {
        /// The most steps there can be.
        steps: usize,
        /// Columns of a step.
        features: usize,
    },
}

/// Columns behind the steps of a leveled sequence.
pub(in crate::nn) const LEVEL_COLUMNS: usize = 2;

impl InputFeature {
    /// A feature of a table's column: numbers, or with a vocabulary one level's index.
    pub fn column(name: impl Into<String>, width: usize, vocabulary: Option<usize>) -> Self {
        InputFeature {
            name: name.into(),
            form: match vocabulary {
                Some(vocabulary) => InputForm::Level { vocabulary },
                None => InputForm::Numbers(width),
            },
        }
    }

    /// Columns of the encoded row that it takes.
    pub fn width(&self) -> usize {
        match self.form {
            InputForm::Sequence { .. } => self.shape().size().saturating_add(1),
            InputForm::LeveledSequence { .. } => {
                self.shape().size().saturating_add(1 + LEVEL_COLUMNS)
            }
            _ => self.shape().size(),
        }
    }

    /// The shape of its values.
    pub fn shape(&self) -> Shape {
        match self.form {
            InputForm::Numbers(width) => Shape::Vector(width),
            InputForm::Level { .. } => Shape::Vector(1),
            InputForm::Image {
                channels,
                height,
                width,
            } => Shape::Image {
                channels,
                height,
                width,
            },
            InputForm::Sequence {
                steps, features, ..
            }
            | InputForm::LeveledSequence { steps, features } => Shape::Sequence { steps, features },
        }
    }

    /// The vocabulary, if its values are indexes of levels and not numbers.
    pub fn vocabulary(&self) -> Option<usize> {
        match self.form {
            InputForm::Level { vocabulary } => Some(vocabulary),
            InputForm::Sequence { vocabulary, .. } => vocabulary,
            _ => None,
        }
    }
}
