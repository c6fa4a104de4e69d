//! From raw target values to what the network learns.

use super::{Block, Dictionary, Error, Origin, OutputScale, Target, Values};

impl Target {
    /// What turns raw target values into labels.
    ///
    /// # Errors
    /// Classes that are texts, without a dictionary.
    pub fn labels(&self, dictionary: Option<&Dictionary>) -> Result<Labels, Error> {
        let (column, classes, positive, origin) = match self {
            Target::Regression {
                column, outputs, ..
            } => {
                let scale = outputs.first().copied().unwrap_or(OutputScale {
                    center: 0.0,
                    divisor: 1.0,
                });
                return Ok(Labels {
                    column: column.clone(),
                    form: LabelForm::Number(scale),
                    positive: None,
                });
            }
            Target::Classes {
                column,
                classes,
                positive,
                origin,
                ..
            } => (column, classes, positive, origin),
        };
        let form = match dictionary {
            Some(dictionary) => LabelForm::Codes(
                (0..dictionary.len() as u32)
                    .map(|code| {
                        let class = dictionary.text(code).and_then(|text| self.class(text));
                        class.map_or(u32::MAX, |class| class as u32)
                    })
                    .collect(),
            ),
            None => LabelForm::Values(
                classes
                    .iter()
                    .enumerate()
                    .map(|(i, text)| (number(text, *origin), i as u32))
                    .collect(),
            ),
        };
        Ok(Labels {
            column: column.clone(),
            form,
            positive: positive.map(|p| p as u32),
        })
    }
}

/// The value of a class's text.
pub(super) fn number(text: &str, origin: Origin) -> f64 {
    match (origin, text) {
        (Origin::Boolean, "true") => 1.0,
        (Origin::Boolean, "false") => 0.0,
        _ => text.parse().unwrap_or(f64::NAN),
    }
}

/// Turns raw target values into what the network learns.
#[derive(Clone, Debug)]
pub struct Labels {
    column: String,
    form: LabelForm,
    positive: Option<u32>,
}

#[derive(Clone, Debug)]
enum LabelForm {
    Number(OutputScale),
    /// The class of each code; u32::MAX for none.
    Codes(Vec<u32>),
    /// Values and their classes.
    Values(Vec<(f64, u32)>),
}

impl Labels {
    /// The class of a row, whose target is the block's column `position`; none for a regression,
    /// a missing value and a class that the target does not have.
    #[inline]
    pub fn class(&self, block: &Block, position: usize, row: usize) -> Option<u32> {
        match (&self.form, block.columns.get(position)?) {
            (LabelForm::Codes(classes), Values::Category(codes)) => {
                let class = *classes.get(*codes.get(row)? as usize)?;
                (class != u32::MAX).then_some(class)
            }
            (LabelForm::Values(values), Values::Number(numbers)) => {
                let value = *numbers.get(row)?;
                // In order but for a NaN, which nothing equals: a search would not be safe.
                values
                    .iter()
                    .find(|(v, _)| *v == value)
                    .map(|(_, class)| *class)
            }
            _ => None,
        }
    }

    /// The label of a row: the scaled number of a regression, 1 for the positive of two classes
    /// and 0 for the other one, the class's number of more.
    ///
    /// # Errors
    /// A value that is missing, infinite or none of the classes.
    #[inline]
    pub fn label(&self, block: &Block, position: usize, row: usize) -> Result<f32, Error> {
        if let LabelForm::Number(scale) = &self.form {
            let value = block.numbers(position)?.get(row).copied();
            return match value.filter(|value| value.is_finite()) {
                Some(value) => Ok(((value - scale.center) / scale.divisor) as f32),
                None => Err(self.fault("is missing or infinite")),
            };
        }
        match (self.class(block, position, row), self.positive) {
            (None, _) => Err(self.fault("is none of the model's classes")),
            (Some(class), Some(positive)) => Ok(f32::from(u8::from(class == positive))),
            (Some(class), None) => Ok(class as f32),
        }
    }

    fn fault(&self, what: &str) -> Error {
        Error::invalid(format!("the target \"{}\" {what} in a row", self.column))
            .with_hint("Leave such rows out with a WHERE clause in the query.")
    }
}
