//! Finding the level of a text.

use std::collections::HashMap;

use hashbrown::HashTable;

use crate::features::column::{Column, is_plain_number};
use crate::features::hash::hash;
use crate::features::number_key::number_key;
use crate::features::rows::dictionary::{Dictionary, MISSING};

/// The levels of a feature, found by their bytes, or by their values where they are numbers.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    table: HashTable<(u64, u32)>,
    texts: Vec<Box<str>>,
    numbers: Option<HashMap<String, u32>>,
}

impl Levels {
    pub fn new(levels: &[String], column: &Column) -> Levels {
        let is_single = column.sql_type == "real";
        let mut result = Levels {
            table: HashTable::with_capacity(levels.len()),
            texts: levels.iter().map(|l| l.as_str().into()).collect(),
            numbers: is_plain_number(column.origin).then(|| numbers(levels, is_single)),
        };
        for (index, level) in levels.iter().enumerate() {
            let hashed = hash(level.as_bytes());
            result
                .table
                .insert_unique(hashed, (hashed, index as u32), |entry| entry.0);
        }
        result
    }

    /// The level's number; that of the other levels when it is none of these, and of missing
    /// when there is none.
    #[inline]
    pub fn find(&self, value: Option<&str>) -> u32 {
        let other = self.texts.len() as u32;
        let Some(text) = value else {
            return other + 1;
        };
        self.known(text).unwrap_or(other)
    }

    /// The level's number, if it is one.
    #[inline]
    pub fn known(&self, text: &str) -> Option<u32> {
        let hashed = hash(text.as_bytes());
        let exact = self.table.find(hashed, |&(h, index)| {
            h == hashed && *self.texts[index as usize] == *text
        });
        match (exact, &self.numbers) {
            (Some(entry), _) => Some(entry.1),
            (None, Some(numbers)) => numbers.get(&number_key(text)?).copied(),
            (None, None) => None,
        }
    }

    /// The number of the level of each of a dictionary's texts.
    pub fn codes(&self, dictionary: &Dictionary) -> Vec<u32> {
        (0..dictionary.len() as u32)
            .map(|code| self.find(dictionary.text(code)))
            .collect()
    }

    /// What finds the level of a code among those.
    pub fn of_codes<'a>(&self, codes: &'a [u32]) -> CodeLevels<'a> {
        CodeLevels {
            codes,
            other: self.texts.len() as u32,
        }
    }

    /// Bytes of memory they take.
    pub fn size_bytes(&self) -> usize {
        self.texts.iter().map(|t| t.len() + 48).sum::<usize>() + 64
    }
}

/// Levels by what all spellings of a number have in common. Of a `real` the number with the fewest
/// digits that means it counts, and so does what it is in double precision.
fn numbers(levels: &[String], single: bool) -> HashMap<String, u32> {
    let mut numbers = HashMap::new();
    let mut add = |text: &str, index: u32| {
        if let Some(key) = number_key(text) {
            numbers.entry(key).or_insert(index);
        }
    };
    for (index, level) in (0..).zip(levels) {
        add(level, index);
    }
    if single {
        for (index, level) in (0..).zip(levels) {
            if let Ok(value) = level.parse::<f64>() {
                add(&(value as f32).to_string(), index);
                add(&f64::from(value as f32).to_string(), index);
            }
        }
    }
    numbers
}

/// The level of each code of a dictionary.
pub(super) struct CodeLevels<'a> {
    codes: &'a [u32],
    other: u32,
}

impl CodeLevels<'_> {
    #[inline]
    pub fn of(&self, code: u32) -> u32 {
        match self.codes.get(code as usize) {
            Some(&level) => level,
            None if code == MISSING => self.other + 1,
            None => self.other,
        }
    }
}
