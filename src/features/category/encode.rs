//! Categories to network inputs.

use super::levels::Levels;
use crate::features::column::Column;
use crate::features::error::Error;
use crate::features::rows::dictionary::Dictionary;
use crate::features::treatment::{Encodes, Strip};

/// Encodes a category as the number of its level, or as an input a level.
#[derive(Clone, Debug)]
pub(in crate::features) struct CategoryEncoder {
    levels: Box<Levels>,
    is_one_hot: bool,
}

impl CategoryEncoder {
    pub fn new(levels: &[String], column: &Column, is_one_hot: bool) -> CategoryEncoder {
        CategoryEncoder {
            levels: Box::new(Levels::new(levels, column)),
            is_one_hot,
        }
    }
}

/// Writes a level as an input of its own; of one without, only zeros.
#[inline]
fn write_one_hot(level: u32, inputs: &mut [f32]) {
    inputs.fill(0.0);
    if let Some(own) = inputs.get_mut(level as usize) {
        *own = 1.0;
    }
}

impl Encodes for CategoryEncoder {
    #[inline]
    fn category(&self, text: Option<&str>, inputs: &mut [f32]) {
        let level = self.levels.find(text);
        match self.is_one_hot {
            true => write_one_hot(level, inputs),
            false => inputs[0] = level as f32,
        }
    }

    fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
        let levels = self.levels.of_codes(strip.codes()?);
        let codes = &strip.block.codes(strip.column)?[strip.rows];
        let rows = strip.out.chunks_exact_mut(strip.width).zip(codes);
        match self.is_one_hot {
            true => {
                for (row, &code) in rows {
                    write_one_hot(levels.of(code), &mut row[strip.inputs.clone()]);
                }
            }
            false => {
                for (row, &code) in rows {
                    row[strip.inputs.start] = levels.of(code) as f32;
                }
            }
        }
        Ok(())
    }

    fn is_level(&self, text: &str) -> bool {
        self.levels.known(text).is_some()
    }

    fn codes(&self, dictionary: &Dictionary) -> Option<Vec<u32>> {
        Some(self.levels.codes(dictionary))
    }

    fn size_bytes(&self) -> usize {
        self.levels.size_bytes()
    }
}
