//! What is gathered of a column of arrays.

use super::part::{Part, wrong_kind};
use crate::features::column::{ArrayShape, Column};
use crate::features::error::Error;
use crate::features::rows::arrays::Real;
use crate::features::rows::elements::{Elements, row_mean};
use crate::features::rows::statistics::Moments;
use crate::features::rows::values::Values;

/// What the first pass gathers of a column of arrays.
pub(in crate::features) struct ArrayColumn {
    /// Of the means of the training rows' arrays.
    pub moments: Moments,
    /// Of them, sorted at the end.
    pub sample: Vec<f64>,
    /// Of the numbers within; none where no row has an array.
    pub elements: Option<Box<Elements>>,
}

impl ArrayColumn {
    /// Of no rows, of which so many will be sampled.
    pub fn new(sampled: usize, elements: Option<Box<Elements>>) -> ArrayColumn {
        ArrayColumn {
            moments: Moments::new(),
            sample: Vec::with_capacity(sampled),
            elements,
        }
    }

    pub(super) fn add(
        &mut self,
        (place, column): (usize, &Column),
        part: &Part<'_>,
    ) -> Result<(), Error> {
        let block = part.block;
        let elements = self.elements.as_deref_mut();
        let moments = &mut self.moments;
        let means = match block.columns.get(place) {
            Some(Values::Numbers(_)) => {
                let arrays = block.number_arrays(place)?.iter().enumerate();
                let arrays = arrays.map(|(row, array)| (part.is_training(row), array));
                add_arrays(arrays, part.first, elements, moments)
            }
            _ => {
                let arrays = block.arrays(place)?.iter().enumerate();
                let arrays = arrays.map(|(row, array)| (part.is_training(row), array));
                add_arrays(arrays, part.first, elements, moments)
            }
        };
        let means = means.ok_or_else(|| wrong_kind(column))?;
        let chosen = part.chosen.iter().filter_map(|&row| means.get(row));
        self.sample.extend(chosen.filter(|mean| mean.is_finite()));
        Ok(())
    }

    /// How many of the training rows' numbers are infinite.
    pub(super) fn infinite(&self) -> u64 {
        let places = self.elements.iter().flat_map(|elements| elements.places());
        places.map(|(place, _)| place.infinite).sum()
    }

    /// Why it is of no use, if it is.
    pub(super) fn unusable(&self, column: &Column) -> Option<String> {
        if self.moments.count() == 0 {
            return Some("it has no value in any training row".to_owned());
        }
        let vector = matches!(column.shape, Some(ArrayShape::Vector { .. }));
        let mut places = self.elements.iter().flat_map(|elements| elements.places());
        (vector && self.moments.missing == 0 && places.all(|(place, _)| place.low == place.high))
            .then(|| "it is constant in the training rows".to_owned())
    }
}

/// Adds the arrays of a block, each with whether its row is trained on; `first` is the ordinal of
/// the first that is. Gives the mean of every row, or nothing where an array has another shape.
fn add_arrays<'a, T: Real + 'a>(
    arrays: impl Iterator<Item = (bool, &'a [T])>,
    first: u64,
    mut elements: Option<&mut Elements>,
    moments: &mut Moments,
) -> Option<Vec<f64>> {
    let mut ordinal = first;
    let mut means = Vec::new();
    for (is_training, array) in arrays {
        if !elements
            .as_ref()
            .map_or(array.is_empty(), |e| e.fits(array))
        {
            return None;
        }
        let mean = row_mean(array);
        means.push(mean);
        if is_training {
            moments.add(mean);
            if let Some(elements) = &mut elements {
                elements.add(ordinal, array);
            }
            ordinal += 1;
        }
    }
    Some(means)
}
