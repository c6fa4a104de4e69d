//! Classes found by their texts, or by their values where they are numbers.

use std::collections::HashMap;

use crate::features::number_key::number_key;

/// The places of a target's classes.
#[derive(Clone, Debug)]
pub struct ClassIndex {
    by_text: HashMap<String, usize>,
    /// By what all spellings of a number have in common; not those of which several are there.
    by_value: HashMap<String, Option<usize>>,
    are_numbers: bool,
}

impl ClassIndex {
    pub(super) fn new(classes: &[String], are_numbers: bool) -> ClassIndex {
        let mut by_value = HashMap::new();
        for (place, class) in classes.iter().enumerate() {
            if let Some(key) = number_key(class) {
                by_value
                    .entry(key)
                    .and_modify(|known| *known = None)
                    .or_insert(Some(place));
            }
        }
        let by_text = classes.iter().cloned().enumerate();
        ClassIndex {
            by_text: by_text.map(|(place, class)| (class, place)).collect(),
            by_value,
            are_numbers,
        }
    }

    /// The class with this text. Where the classes are numbers, or `is_number` says that the text is
    /// one of a number's (a truth value's counts as one), the class with the same value.
    pub fn find(&self, text: &str, is_number: bool) -> Option<usize> {
        let exact = self.by_text.get(text).copied();
        exact.or_else(|| match self.are_numbers || is_number {
            true => self.by_value.get(&number_key(text)?).copied().flatten(),
            false => None,
        })
    }
}
