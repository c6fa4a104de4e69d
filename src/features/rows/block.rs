//! Raw rows, column by column, as they come from the query or a temporary file.

use std::ops::Range;

use super::arrays::Arrays;
use super::values::{Values, short};
use crate::features::column::Kind;
use crate::features::error::Error;

/// Some consecutive rows, column by column. A block is filled again and again.
///
/// The feature columns come first, in call order; columns for other uses (the target, weights,
/// a flag for the split) follow them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// How many rows it holds.
    pub rows: usize,
    /// The columns, each with `rows` values.
    pub columns: Vec<Values>,
}

impl Block {
    /// An empty block with columns of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Block {
        Block {
            rows: 0,
            columns: kinds.into_iter().map(Values::new).collect(),
        }
    }

    /// An empty block with the columns of this one, and room for as many rows.
    pub fn another(&self) -> Block {
        Block {
            rows: 0,
            columns: self.columns.iter().map(Values::another).collect(),
        }
    }

    /// Makes room for so many rows more, their arrays apart.
    pub fn reserve(&mut self, rows: usize) {
        for values in &mut self.columns {
            match values {
                Values::Number(values) => values.reserve_exact(rows),
                Values::Integer(values) => values.reserve_exact(rows),
                Values::Category(codes) => codes.reserve_exact(rows),
                Values::Array(_) | Values::Numbers(_) | Values::Labels(_) => {}
            }
        }
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.columns.iter_mut().for_each(Values::clear);
    }

    /// Bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.columns.iter().map(Values::memory).sum()
    }

    /// Bytes that its rows fill.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Values::bytes).sum()
    }

    /// The rows of another block at the places named, in place of what this one held.
    pub fn pick(&mut self, from: &Block, places: impl Iterator<Item = usize> + Clone) {
        let fits = self.columns.len() == from.columns.len()
            && (self.columns.iter().zip(&from.columns)).all(|(a, b)| a.kind() == b.kind());
        if !fits {
            *self = Block::new(from.columns.iter().map(Values::kind));
        }
        self.clear();
        for (to, from) in self.columns.iter_mut().zip(&from.columns) {
            to.pick(from, places.clone());
        }
        self.rows = places.count();
    }

    /// The numbers of a column.
    pub(in crate::features) fn numbers(&self, column: usize) -> Result<&[f64], Error> {
        match self.columns.get(column) {
            Some(Values::Number(values)) => values.get(..self.rows).ok_or_else(short),
            _ => Err(Error::invalid(format!(
                "column {column} of the rows does not hold numbers"
            ))),
        }
    }

    /// The whole numbers of a column.
    pub(in crate::features) fn integers(&self, column: usize) -> Result<&[i64], Error> {
        match self.columns.get(column) {
            Some(Values::Integer(values)) => values.get(..self.rows).ok_or_else(short),
            _ => Err(Error::invalid(format!(
                "column {column} of the rows does not hold whole numbers"
            ))),
        }
    }

    /// The number in a row of a column of numbers, whole or not.
    #[inline]
    pub(in crate::features) fn number(&self, column: usize, row: usize) -> Result<f64, Error> {
        let values = self.columns.get(column);
        values.and_then(|values| values.number(row)).ok_or_else(|| {
            Error::invalid(format!("column {column} of the rows does not hold numbers"))
        })
    }

    /// The codes of a column.
    pub(in crate::features) fn codes(&self, column: usize) -> Result<&[u32], Error> {
        match self.columns.get(column) {
            Some(Values::Category(codes)) => codes.get(..self.rows).ok_or_else(short),
            _ => Err(Error::invalid(format!(
                "column {column} of the rows does not hold categories"
            ))),
        }
    }

    /// The arrays of a column in full precision.
    pub(in crate::features) fn number_arrays(&self, column: usize) -> Result<&Arrays<f64>, Error> {
        match self.columns.get(column) {
            Some(Values::Numbers(arrays)) if arrays.len() >= self.rows => Ok(arrays),
            _ => Err(Error::invalid(format!(
                "column {column} of the rows does not hold arrays of numbers"
            ))),
        }
    }

    /// The arrays of codes of a column.
    pub(in crate::features) fn code_arrays(&self, column: usize) -> Result<&Arrays<u32>, Error> {
        match self.columns.get(column) {
            Some(Values::Labels(arrays)) if arrays.len() >= self.rows => Ok(arrays),
            _ => Err(Error::invalid(format!(
                "column {column} of the rows does not hold arrays of texts"
            ))),
        }
    }

    /// The arrays of a column.
    ///
    /// # Errors
    /// A column that holds something else, or too few.
    pub fn arrays(&self, column: usize) -> Result<&Arrays, Error> {
        match self.columns.get(column) {
            Some(Values::Array(arrays)) if arrays.len() >= self.rows => Ok(arrays),
            Some(Values::Array(_)) => Err(short()),
            _ => Err(Error::invalid(format!(
                "column {column} of the rows does not hold arrays"
            ))),
        }
    }
}

/// Rows that can be read again and again, front to back.
pub trait RawRows {
    /// How many rows there are.
    fn rows(&self) -> usize;

    /// Reads `count` rows from `start` on into the block, in place of what it held.
    fn read(&mut self, start: usize, count: usize, into: &mut Block) -> Result<(), Error>;

    /// The rows where they lie, if they are in memory: any number of threads can look at them.
    fn blocks(&self) -> Option<Blocks<'_>> {
        None
    }

    /// Bytes that a row takes, on average and rounded up.
    fn row_bytes(&self) -> usize;

    /// How many rows to read at once: `most`, or fewer where rows are large.
    fn at_once(&self, most: usize) -> usize {
        rows_of_block(self.row_bytes()).min(most.max(1))
    }
}

/// Bytes of rows that are read at once, at most.
const READ_BYTES: usize = 2 << 20;

/// Raw rows held in memory, block by block.
#[derive(Clone, Debug, Default)]
pub struct MemoryRows {
    blocks: Vec<Block>,
    /// The first row of each block, and the number of all rows.
    starts: Vec<usize>,
    bytes: usize,
    memory: usize,
}

impl MemoryRows {
    /// The rows of one block, cut into smaller ones.
    pub fn new(block: Block) -> MemoryRows {
        let mut rows = MemoryRows::default();
        let step = rows_of_block(block.bytes().div_ceil(block.rows.max(1)));
        if block.rows <= step {
            rows.push(block);
            return rows;
        }
        for start in (0..block.rows).step_by(step) {
            let count = step.min(block.rows - start);
            let mut part = Block::new(block.columns.iter().map(Values::kind));
            part.pick(&block, start..start + count);
            rows.push(part);
        }
        rows
    }

    /// Adds rows behind those that are there: [`rows_of_block`] at most, as they are passed over
    /// block by block.
    pub fn push(&mut self, block: Block) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        if block.rows > 0 {
            self.bytes += block.bytes();
            self.memory += block.memory();
            self.starts.push(self.rows() + block.rows);
            self.blocks.push(block);
        }
    }

    /// Bytes of memory they take.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// The blocks, in order.
    pub fn into_blocks(self) -> Vec<Block> {
        self.blocks
    }
}

impl RawRows for MemoryRows {
    fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    fn row_bytes(&self) -> usize {
        self.bytes.div_ceil(self.rows().max(1))
    }

    fn blocks(&self) -> Option<Blocks<'_>> {
        Some(Blocks {
            blocks: &self.blocks,
            starts: &self.starts,
        })
    }

    fn read(&mut self, start: usize, count: usize, into: &mut Block) -> Result<(), Error> {
        let end = start.saturating_add(count);
        if end > self.rows() {
            return Err(Error::invalid("a read beyond the last row"));
        }
        into.clear();
        into.rows = count;
        let blocks = self.blocks().into_iter();
        for (_, block, rows) in blocks.flat_map(|blocks| blocks.parts(start..end)) {
            into.columns
                .resize_with(block.columns.len(), || Values::Number(Vec::new()));
            for (to, from) in into.columns.iter_mut().zip(&block.columns) {
                to.append(from, rows.start, rows.len())?;
            }
        }
        Ok(())
    }
}

/// Rows in memory, block after block.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    blocks: &'a [Block],
    starts: &'a [usize],
}

impl<'a> Blocks<'a> {
    /// Each block with the number of its first row.
    pub fn iter(self) -> impl Iterator<Item = (usize, &'a Block)> + Clone {
        self.starts.iter().copied().zip(self.blocks)
    }

    /// Where consecutive rows lie: blocks, each with the number of its first row, and which of
    /// their rows.
    pub fn parts(
        self,
        rows: Range<usize>,
    ) -> impl Iterator<Item = (usize, &'a Block, Range<usize>)> {
        let first = self.starts.partition_point(|&start| start <= rows.start);
        let from = self.iter().skip(first.saturating_sub(1));
        from.take_while(move |(start, _)| *start < rows.end)
            .map(move |(start, block)| {
                let begin = rows.start.max(start) - start;
                (start, block, begin..(rows.end - start).min(block.rows))
            })
    }
}

/// Rows of a block, where a row has so many bytes: few enough for the cache, and for a question
/// whether to go on between two blocks; enough to forget what a block costs beside its rows.
pub fn rows_of_block(row_bytes: usize) -> usize {
    (READ_BYTES / row_bytes.max(1)).clamp(1, PASS)
}

/// Rows of a block, and read at once when all are passed over, at most.
const PASS: usize = 4096;

/// Passes over all rows in order, block by block; `each` is given the number of a block's first
/// row.
///
/// # Errors
/// Those of reading and of `each`, or [`Error::Interrupted`] once `interrupted` says so.
pub fn pass(
    rows: &mut dyn RawRows,
    interrupted: &mut dyn FnMut() -> bool,
    mut each: impl FnMut(usize, &Block) -> Result<(), Error>,
) -> Result<(), Error> {
    if let Some(blocks) = rows.blocks() {
        for (start, block) in blocks.iter() {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            each(start, block)?;
        }
        return Ok(());
    }
    let mut block = Block::default();
    let total = rows.rows();
    let step = rows.at_once(PASS);
    let mut start = 0;
    while start < total {
        if interrupted() {
            return Err(Error::Interrupted);
        }
        let count = step.min(total - start);
        rows.read(start, count, &mut block)?;
        if block.rows != count {
            return Err(Error::invalid("a read gave fewer rows than asked for"));
        }
        each(start, &block)?;
        start += count;
    }
    Ok(())
}
