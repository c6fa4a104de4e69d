//! What is gathered of a column of texts.

use super::part::Part;
use crate::features::column::{Column, Origin};
use crate::features::error::Error;
use crate::features::number_like::{NumberLike, looks_like_numbers};
use crate::features::rows::dictionary::{Dictionary, MISSING};

/// What the first pass gathers of a column of texts.
pub(in crate::features) struct CategoryColumn {
    /// Training rows a code.
    pub counts: Vec<u64>,
    /// Training rows with other texts than the dictionary's.
    pub overflow: u64,
    /// Training rows without a value.
    pub missing: u64,
    /// Rows with a value, trained on or not.
    present: u64,
}

impl CategoryColumn {
    /// Of no rows, whose texts are coded by this dictionary.
    pub fn new(dictionary: &Dictionary) -> CategoryColumn {
        CategoryColumn {
            counts: vec![0; dictionary.len()],
            overflow: 0,
            missing: 0,
            present: 0,
        }
    }

    pub(super) fn add(&mut self, place: usize, part: &Part<'_>) -> Result<(), Error> {
        for (row, &code) in part.block.codes(place)?.iter().enumerate() {
            self.present += u64::from(code != MISSING);
            if !part.is_training(row) {
                continue;
            }
            match self.counts.get_mut(code as usize) {
                Some(count) => *count += 1,
                None if code == MISSING => self.missing += 1,
                None => self.overflow += 1,
            }
        }
        Ok(())
    }

    /// How many of the dictionary's texts training rows have.
    fn seen(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// Why it is of no use, if it is.
    pub(super) fn unusable(
        &self,
        column: &Column,
        dictionary: Option<&Dictionary>,
    ) -> Option<String> {
        let levels = self.seen();
        if levels == 0 && self.overflow == 0 {
            return Some("it has no value in any training row".to_owned());
        }
        if levels == 1 && self.overflow == 0 && self.missing == 0 {
            return Some("it is constant in the training rows".to_owned());
        }
        let distinct = dictionary.map_or(0.0, Dictionary::distinct);
        let identifies = matches!(column.origin, Origin::Text | Origin::Uuid);
        (identifies && distinct > 0.5 * self.present as f64).then(|| {
            let reason = "more than half of its values are distinct, as in an identifier";
            match self.numbers_as_texts(column, dictionary) {
                Some((_, numbers)) => format!(
                    "{reason}; its values look like numbers: {}",
                    numbers.hint(&column.name)
                ),
                None => reason.to_owned(),
            }
        })
    }

    /// How many levels a column of texts has whose values look like numbers, and how.
    pub fn numbers_as_texts(
        &self,
        column: &Column,
        dictionary: Option<&Dictionary>,
    ) -> Option<(usize, NumberLike)> {
        if column.origin != Origin::Text {
            return None;
        }
        Some((self.seen(), looks_like_numbers(dictionary?, &self.counts)?))
    }

    /// How many training rows have each of these levels, then other ones, then none.
    pub fn level_counts(&self, levels: &[String], dictionary: &Dictionary) -> Vec<u64> {
        let mut result: Vec<u64> = levels
            .iter()
            .map(|level| {
                let code = dictionary.code(level);
                code.and_then(|code| self.counts.get(code as usize))
                    .map_or(0, |&n| n)
            })
            .collect();
        let known: u64 = result.iter().sum();
        let total: u64 = self.counts.iter().sum::<u64>() + self.overflow;
        result.push(total - known);
        result.push(self.missing);
        result
    }
}
