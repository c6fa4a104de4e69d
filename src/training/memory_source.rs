//! Encoded examples that all stay in memory.

use std::ops::Range;

use super::source::{Encoded, Encoding, ExampleReader, SharedRows};
use crate::features::{BitMask, Block, Blocks, Error};
use crate::nn::{self, Crew, Loaded, RowSource, Stop, parallel};

/// Raw rows in memory, each of them an example, of which those on one side of the split are wanted.
#[derive(Clone, Copy)]
pub struct ExampleBlocks<'a> {
    blocks: Blocks<'a>,
    mask: &'a BitMask,
    value: bool,
}

/// What a thread keeps from one part of the rows to the next.
#[derive(Default)]
pub struct Picked {
    block: Block,
    places: Vec<usize>,
}

impl<'a> ExampleBlocks<'a> {
    /// The examples, or nothing where they are not each a row in memory.
    pub fn new(
        blocks: Option<Blocks<'a>>,
        (mask, value): (&'a BitMask, bool),
        encoding: &Encoding<'_>,
    ) -> Option<ExampleBlocks<'a>> {
        let blocks = blocks.filter(|_| encoding.sequences.is_none())?;
        Some(ExampleBlocks {
            blocks,
            mask,
            value,
        })
    }

    /// How many of these rows are wanted.
    pub fn count(&self, rows: Range<usize>) -> usize {
        let set = self.mask.count_in(rows.clone());
        if self.value { set } else { rows.len() - set }
    }

    /// Calls `each` with those rows of a range that are wanted, in order, as rows of a block.
    pub fn for_each(
        &self,
        rows: Range<usize>,
        picked: &mut Picked,
        mut each: impl FnMut(&Block, Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (start, block, part) in self.blocks.parts(rows) {
            match self.count(start + part.start..start + part.end) {
                0 => {}
                wanted if wanted == part.len() => each(block, part)?,
                _ => {
                    let wanted = part.filter(|row| self.mask.get(start + row) == self.value);
                    picked.places.clear();
                    picked.places.extend(wanted);
                    picked.block.pick(block, picked.places.iter().copied());
                    each(&picked.block, 0..picked.block.rows)?;
                }
            }
        }
        Ok(())
    }
}

/// One side of the split, encoded once and kept.
pub struct MemorySource {
    encoded: Encoded,
}

/// A block's examples, and where they go.
struct Part<'a> {
    rows: Range<usize>,
    x: &'a mut [f32],
    y: &'a mut [f32],
    weight: &'a mut [f32],
}

impl MemorySource {
    /// Encodes all examples of one side, in their order. `folds`, if there are any, are those of
    /// all examples.
    pub fn encode(
        rows: &SharedRows<'_>,
        side: (&BitMask, bool),
        folds: Option<&[u8]>,
        encoding: &Encoding<'_>,
        crew: Crew<'_>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<MemorySource, Error> {
        let (mask, value) = side;
        let count = if value {
            mask.count()
        } else {
            mask.len() - mask.count()
        };
        let weights = if encoding.weighs() { count } else { 0 };
        // Zeroed memory is only there once it is written to, by whichever thread does.
        let mut encoded = Encoded {
            rows: count,
            x: vec![0.0; count * encoding.width()],
            y: vec![0.0; count * encoding.targets()],
            weight: vec![0.0; weights],
            fold: Vec::new(),
        };
        if let Some(folds) = folds {
            let own = folds
                .iter()
                .enumerate()
                .filter(|(example, _)| mask.get(*example) == value);
            encoded.fold.extend(own.map(|(_, fold)| fold));
        }
        let borrowed = rows.borrow();
        match ExampleBlocks::new(borrowed.blocks(), side, encoding) {
            Some(examples) => encode_blocks(examples, encoding, &mut encoded, crew, interrupted)?,
            None => {
                drop(borrowed);
                encode_read(rows, side, encoding, &mut encoded, interrupted)?;
            }
        }
        Ok(MemorySource { encoded })
    }
}

/// Encodes rows that are in memory, block by block.
fn encode_blocks(
    examples: ExampleBlocks<'_>,
    encoding: &Encoding<'_>,
    encoded: &mut Encoded,
    crew: Crew<'_>,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    let (mut x, mut y) = (&mut encoded.x[..], &mut encoded.y[..]);
    let mut weight = &mut encoded.weight[..];
    let parts = examples.blocks.iter().map(|(start, block)| {
        let rows = start..start + block.rows;
        let count = examples.count(rows.clone());
        Part {
            rows,
            x: take(&mut x, count * encoding.width()),
            y: take(&mut y, count * encoding.targets()),
            weight: match encoding.weighs() {
                true => take(&mut weight, count),
                false => &mut [],
            },
        }
    });
    let width = encoding.width();
    let encode = |(picked, written): &mut (Picked, Vec<f32>), part: Part<'_>, _: &dyn Stop| {
        let (mut x, mut y, mut weight) = (part.x, part.y, part.weight);
        examples.for_each(part.rows, picked, |block, rows| {
            encoding
                .features
                .encode_rows(block, rows.clone(), take(&mut x, rows.len() * width))?;
            written.clear();
            encoding.write_targets(block, rows.clone(), written)?;
            take(&mut y, written.len()).copy_from_slice(written);
            written.clear();
            encoding.write_weights(block, rows, written)?;
            take(&mut weight, written.len()).copy_from_slice(written);
            Ok(())
        })
    };
    let mut workers: Vec<(Picked, Vec<f32>)> = Vec::new();
    workers.resize_with(crew.threads.max(1), Default::default);
    parallel::for_each(crew, &mut workers, parts, encode, interrupted)
        .map_err(|_| Error::Interrupted)?
}

/// Encodes examples that have to be read first.
fn encode_read(
    rows: &SharedRows<'_>,
    (mask, value): (&BitMask, bool),
    encoding: &Encoding<'_>,
    encoded: &mut Encoded,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    encoded.rows = 0;
    encoded.x.clear();
    encoded.y.clear();
    encoded.weight.clear();
    let mut reader = ExampleReader::new(rows, encoding);
    let at_once = encoding.examples_at_once(rows);
    let mut own = Vec::with_capacity(at_once);
    for start in (0..mask.len()).step_by(at_once) {
        if interrupted() {
            return Err(Error::Interrupted);
        }
        let here = start..mask.len().min(start + at_once);
        own.clear();
        own.extend(here.filter(|&example| mask.get(example) == value));
        encoded.extend(&mut reader, &own)?;
    }
    Ok(())
}

/// The first values of a slice, which it loses.
fn take<'a>(slice: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(slice).split_at_mut(count);
    *slice = rest;
    first
}

impl RowSource for MemorySource {
    fn has_folds(&self) -> bool {
        !self.encoded.fold.is_empty()
    }

    fn rows(&self) -> usize {
        self.encoded.rows
    }

    fn capacity(&self) -> usize {
        usize::MAX
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        Ok(self.encoded.loaded(rows))
    }
}
