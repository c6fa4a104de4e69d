//! From raw target values to what the network learns.

use super::family::exposure_weight;
use super::fit_family::rate;
use super::stored::{OutputScale, Target};
use crate::features::error::Error;
use crate::features::number_key::{integer, number};
use crate::features::rows::block::Block;
use crate::features::rows::dictionary::Dictionary;
use crate::features::rows::values::Values;

impl Target {
    /// What turns raw target values into labels.
    ///
    /// # Errors
    /// Classes that are texts, without a dictionary.
    pub fn labels(&self, dictionary: Option<&Dictionary>) -> Result<Labels, Error> {
        let (column, classes, positive) = match self {
            Target::Regression {
                column,
                outputs,
                array,
                ..
            } => {
                let form = match array {
                    true => LabelForm::Numbers(outputs.clone()),
                    false => {
                        LabelForm::Number(outputs.first().copied().unwrap_or(OutputScale::NONE))
                    }
                };
                return Ok(Labels {
                    column: column.clone(),
                    form,
                    positive: None,
                    exposure: None,
                });
            }
            Target::Labels { column, labels, .. } => {
                let form = match dictionary {
                    Some(dictionary) => LabelForm::Sets {
                        codes: self.places(dictionary),
                        labels: labels.len(),
                    },
                    None => LabelForm::Places(labels.len()),
                };
                return Ok(Labels {
                    column: column.clone(),
                    form,
                    positive: None,
                    exposure: None,
                });
            }
            Target::Classes {
                column,
                classes,
                positive,
                ..
            } => (column, classes, positive),
        };
        let form = match dictionary {
            Some(dictionary) => LabelForm::Codes(self.places(dictionary)),
            None => {
                let places = || (0..).zip(classes);
                let integers = places().filter_map(|(place, text)| Some((integer(text)?, place)));
                LabelForm::Values {
                    numbers: places()
                        .map(|(place, text)| (number(text), place))
                        .collect(),
                    integers: integers.collect(),
                }
            }
        };
        Ok(Labels {
            column: column.clone(),
            form,
            positive: positive.map(|p| p as u32),
            exposure: None,
        })
    }

    /// The class or label of each of a dictionary's texts.
    fn places(&self, dictionary: &Dictionary) -> Vec<u32> {
        let index = self.class_index();
        (0..dictionary.len() as u32)
            .map(|code| {
                let class = dictionary
                    .text(code)
                    .and_then(|text| index.find(text, false));
                class.map_or(NONE, |class| class as u32)
            })
            .collect()
    }
}

/// A text that is no class.
const NONE: u32 = u32::MAX;

/// Turns raw target values into what the network learns.
#[derive(Clone, Debug)]
pub struct Labels {
    column: String,
    form: LabelForm,
    positive: Option<u32>,
    /// The column of what numbers are over, and the power by which their variance grows.
    exposure: Option<(usize, f64)>,
}

#[derive(Clone, Debug)]
enum LabelForm {
    Number(OutputScale),
    /// An array of as many numbers.
    Numbers(Vec<OutputScale>),
    /// The class of each code.
    Codes(Vec<u32>),
    /// Values and their classes.
    Values {
        numbers: Vec<(f64, u32)>,
        integers: Vec<(i64, u32)>,
    },
    /// An array of texts: the label of each code, and how many labels there are.
    Sets {
        codes: Vec<u32>,
        labels: usize,
    },
    /// An array of as many truth values.
    Places(usize),
}

impl Labels {
    /// The same labels of numbers that are over what the blocks' column `at` has, each a rate.
    pub fn over(mut self, at: usize, power: f64) -> Labels {
        self.exposure = Some((at, power));
        self
    }

    /// Whether rows weigh by what their numbers are over.
    pub fn weighs(&self) -> bool {
        self.exposure.is_some_and(|(_, power)| power != 2.0)
    }

    /// What a row weighs by that.
    ///
    /// # Errors
    /// A column that does not hold numbers.
    pub fn weight(&self, block: &Block, row: usize) -> Result<f64, Error> {
        match self.exposure {
            Some((at, power)) => Ok(exposure_weight(block.number(at, row)?, power)),
            None => Ok(1.0),
        }
    }

    /// How many numbers [`write`](Labels::write) gives a row.
    pub fn targets(&self) -> usize {
        match &self.form {
            LabelForm::Number(_) | LabelForm::Codes(_) | LabelForm::Values { .. } => 1,
            LabelForm::Numbers(outputs) => outputs.len(),
            LabelForm::Sets { labels, .. } | LabelForm::Places(labels) => *labels,
        }
    }

    /// Writes what the network learns of a row behind what `into` holds: its
    /// [`label`](Labels::label), or of an array each number scaled, or for each label 1 where it
    /// applies and 0 where not.
    ///
    /// # Errors
    /// A value that is missing, infinite or none of the classes, or an array of another length.
    #[inline]
    pub fn write(
        &self,
        block: &Block,
        position: usize,
        row: usize,
        into: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let targets = self.targets();
        match &self.form {
            LabelForm::Number(_) | LabelForm::Codes(_) | LabelForm::Values { .. } => {
                into.push(self.label(block, position, row)?);
            }
            LabelForm::Numbers(outputs) => {
                let values = block.number_arrays(position)?.get(row).unwrap_or_default();
                if values.len() != targets {
                    return Err(self.wrong_length(values.len()));
                }
                if !values.iter().all(|value| value.is_finite()) {
                    return Err(self.fault("is missing or infinite"));
                }
                let scaled = values
                    .iter()
                    .zip(outputs)
                    .map(|(v, scale)| scaled(*v, scale));
                into.extend(scaled);
            }
            LabelForm::Places(_) => {
                let values = block.number_arrays(position)?.get(row).unwrap_or_default();
                if values.len() != targets {
                    return Err(self.wrong_length(values.len()));
                }
                if !values.iter().all(|value| *value == 0.0 || *value == 1.0) {
                    return Err(self.fault("is neither true nor false"));
                }
                into.extend(values.iter().map(|value| *value as f32));
            }
            LabelForm::Sets { codes, .. } => {
                let start = into.len();
                into.resize(start + targets, 0.0);
                for &code in block.code_arrays(position)?.get(row).unwrap_or_default() {
                    let label = codes.get(code as usize).map(|label| *label as usize);
                    match label.and_then(|label| into.get_mut(start..)?.get_mut(label)) {
                        Some(applies) => *applies = 1.0,
                        None => return Err(self.fault("has a label the model does not know")),
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what is true of a row in place of what `into` held: an array's numbers as they are;
    /// of labels 1 for each that applies and else 0. Nothing for a target that is no array.
    pub fn actual(&self, block: &Block, position: usize, row: usize, into: &mut Vec<f64>) {
        into.clear();
        match (&self.form, block.columns.get(position)) {
            (LabelForm::Sets { codes, labels }, Some(Values::Labels(arrays))) => {
                into.resize(*labels, 0.0);
                for &code in arrays.get(row).unwrap_or_default() {
                    let label = codes.get(code as usize).map_or(NONE, |label| *label);
                    if let Some(applies) = into.get_mut(label as usize) {
                        *applies = 1.0;
                    }
                }
            }
            (_, Some(Values::Numbers(arrays))) => {
                into.extend_from_slice(arrays.get(row).unwrap_or_default())
            }
            _ => {}
        }
    }

    /// The class of a row, whose target is the block's column `position`; none for a regression,
    /// an array, a missing value and a class that the target does not have.
    #[inline]
    pub fn class(&self, block: &Block, position: usize, row: usize) -> Option<u32> {
        match (&self.form, block.columns.get(position)?) {
            (LabelForm::Codes(classes), Values::Category(codes)) => {
                let class = *classes.get(*codes.get(row)? as usize)?;
                (class != NONE).then_some(class)
            }
            (LabelForm::Values { numbers, .. }, Values::Number(values)) => {
                // In order but for a NaN, which nothing equals: a search would not be safe.
                place_of(*values.get(row)?, numbers)
            }
            (LabelForm::Values { integers, .. }, Values::Integer(values)) => {
                place_of(*values.get(row)?, integers)
            }
            _ => None,
        }
    }

    /// The label of a row whose target is no array: the scaled number of a regression, 1 for the positive of two classes
    /// and 0 for the other one, the class's number of more.
    ///
    /// # Errors
    /// A value that is missing, infinite or none of the classes.
    #[inline]
    pub fn label(&self, block: &Block, position: usize, row: usize) -> Result<f32, Error> {
        if let LabelForm::Number(scale) = &self.form {
            let (value, _) = rate(block, position, self.exposure, row)?;
            return match value.is_finite() {
                true => Ok(scaled(value, scale)),
                false => Err(self.fault("is missing or infinite")),
            };
        }
        match (self.class(block, position, row), self.positive) {
            (None, _) => Err(self.fault("is none of the model's classes")),
            (Some(class), Some(positive)) => Ok(f32::from(u8::from(class == positive))),
            (Some(class), None) => Ok(class as f32),
        }
    }

    fn wrong_length(&self, length: usize) -> Error {
        self.fault(&format!("has {length} values and not {}", self.targets()))
    }

    fn fault(&self, what: &str) -> Error {
        Error::invalid(format!("the target \"{}\" {what} in a row", self.column))
            .with_hint("Leave such rows out with a WHERE clause in the query.")
    }
}

/// The class of a value.
#[inline]
fn place_of<T: PartialEq>(value: T, classes: &[(T, u32)]) -> Option<u32> {
    let found = classes.iter().find(|(known, _)| *known == value);
    found.map(|(_, place)| *place)
}

#[inline]
fn scaled(value: f64, scale: &OutputScale) -> f32 {
    ((value - scale.center) / scale.divisor) as f32
}
