//! Raw rows, column by column, as they come from the query or a temporary file.

use std::ops::Range;

use super::arrays::Arrays;
use crate::features::column::Kind;
use crate::features::error::Error;

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers; NaN is a missing value.
    Number(Vec<f64>),
    /// Whole numbers, none of which is missing.
    Integer(Vec<i64>),
    /// Codes into the column's dictionary.
    Category(Vec<u32>),
    /// Arrays of numbers.
    Array(Arrays),
    /// Arrays of numbers in full precision.
    Numbers(Arrays<f64>),
    /// Arrays of codes into the column's dictionary.
    Labels(Arrays<u32>),
}

impl Values {
    /// No values of this kind.
    pub fn new(kind: Kind) -> Values {
        match kind {
            Kind::Number => Values::Number(Vec::new()),
            Kind::Integer => Values::Integer(Vec::new()),
            Kind::Category => Values::Category(Vec::new()),
            Kind::Array => Values::Array(Arrays::new()),
            Kind::Numbers => Values::Numbers(Arrays::new()),
            Kind::Labels => Values::Labels(Arrays::new()),
        }
    }

    /// No values of this kind, with room for as many as there are here, arrays apart.
    fn another(&self) -> Values {
        match self {
            Values::Number(values) => Values::Number(Vec::with_capacity(values.len())),
            Values::Integer(values) => Values::Integer(Vec::with_capacity(values.len())),
            Values::Category(codes) => Values::Category(Vec::with_capacity(codes.len())),
            _ => Values::new(self.kind()),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Values::Number(values) => values.len(),
            Values::Integer(values) => values.len(),
            Values::Category(codes) => codes.len(),
            Values::Array(arrays) => arrays.len(),
            Values::Numbers(arrays) => arrays.len(),
            Values::Labels(arrays) => arrays.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which kind they are.
    pub fn kind(&self) -> Kind {
        match self {
            Values::Number(_) => Kind::Number,
            Values::Integer(_) => Kind::Integer,
            Values::Category(_) => Kind::Category,
            Values::Array(_) => Kind::Array,
            Values::Numbers(_) => Kind::Numbers,
            Values::Labels(_) => Kind::Labels,
        }
    }

    /// Forgets the values and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Values::Number(values) => values.clear(),
            Values::Integer(values) => values.clear(),
            Values::Category(codes) => codes.clear(),
            Values::Array(arrays) => arrays.clear(),
            Values::Numbers(arrays) => arrays.clear(),
            Values::Labels(arrays) => arrays.clear(),
        }
    }

    /// Bytes of memory they take.
    pub fn memory(&self) -> usize {
        match self {
            Values::Number(values) => values.capacity() * 8,
            Values::Integer(values) => values.capacity() * 8,
            Values::Category(codes) => codes.capacity() * 4,
            Values::Array(arrays) => arrays.memory(),
            Values::Numbers(arrays) => arrays.memory(),
            Values::Labels(arrays) => arrays.memory(),
        }
    }

    /// Bytes that the values fill.
    pub fn bytes(&self) -> usize {
        match self {
            Values::Number(values) => values.len() * 8,
            Values::Integer(values) => values.len() * 8,
            Values::Category(codes) => codes.len() * 4,
            Values::Array(arrays) => arrays.bytes(),
            Values::Numbers(arrays) => arrays.bytes(),
            Values::Labels(arrays) => arrays.bytes(),
        }
    }

    /// The number at a place, if these are numbers.
    pub fn number(&self, place: usize) -> Option<f64> {
        match self {
            Values::Number(values) => values.get(place).copied(),
            Values::Integer(values) => values.get(place).map(|&value| value as f64),
            _ => None,
        }
    }

    /// Whether these are numbers that all meet the condition.
    pub fn all_numbers(&self, condition: impl Fn(f64) -> bool) -> bool {
        match self {
            Values::Number(values) => values.iter().all(|&value| condition(value)),
            _ => false,
        }
    }

    /// Adds the values at the places named; nothing if these are of another kind.
    pub fn pick(&mut self, from: &Values, places: impl Iterator<Item = usize>) {
        match (self, from) {
            (Values::Number(to), Values::Number(from)) => {
                to.extend(places.filter_map(|place| from.get(place)));
            }
            (Values::Integer(to), Values::Integer(from)) => {
                to.extend(places.filter_map(|place| from.get(place)));
            }
            (Values::Category(to), Values::Category(from)) => {
                to.extend(places.filter_map(|place| from.get(place)));
            }
            (Values::Array(to), Values::Array(from)) => to.pick(from, places),
            (Values::Numbers(to), Values::Numbers(from)) => to.pick(from, places),
            (Values::Labels(to), Values::Labels(from)) => to.pick(from, places),
            _ => {}
        }
    }

    /// Whether the values at two places are the same one, all missing values being one.
    pub fn same(&self, place: usize, other: &Values, other_place: usize) -> bool {
        match (self, other) {
            (Values::Number(these), Values::Number(those)) => {
                match (these.get(place), those.get(other_place)) {
                    (Some(this), Some(that)) => this == that || (this.is_nan() && that.is_nan()),
                    _ => false,
                }
            }
            (Values::Integer(these), Values::Integer(those)) => {
                these.get(place).is_some() && these.get(place) == those.get(other_place)
            }
            (Values::Category(these), Values::Category(those)) => {
                these.get(place).is_some() && these.get(place) == those.get(other_place)
            }
            (Values::Array(these), Values::Array(those)) => {
                let same = |a: &f32, b: &f32| a == b || (a.is_nan() && b.is_nan());
                these.same(place, those, other_place, same)
            }
            (Values::Numbers(these), Values::Numbers(those)) => {
                let same = |a: &f64, b: &f64| a == b || (a.is_nan() && b.is_nan());
                these.same(place, those, other_place, same)
            }
            (Values::Labels(these), Values::Labels(those)) => {
                these.same(place, those, other_place, |a, b| a == b)
            }
            _ => false,
        }
    }

    /// Adds `count` values of others from `start` on; values of another kind take the place of
    /// these.
    ///
    /// # Errors
    /// Fewer values than that.
    pub fn append(&mut self, from: &Values, start: usize, count: usize) -> Result<(), Error> {
        let end = start.saturating_add(count);
        match (self, from) {
            (Values::Number(to), Values::Number(from)) => {
                to.extend_from_slice(from.get(start..end).ok_or_else(short)?);
            }
            (Values::Integer(to), Values::Integer(from)) => {
                to.extend_from_slice(from.get(start..end).ok_or_else(short)?);
            }
            (Values::Category(to), Values::Category(from)) => {
                to.extend_from_slice(from.get(start..end).ok_or_else(short)?);
            }
            (Values::Array(to), Values::Array(from)) => {
                to.append(from, start, count).ok_or_else(short)?;
            }
            (Values::Numbers(to), Values::Numbers(from)) => {
                to.append(from, start, count).ok_or_else(short)?;
            }
            (Values::Labels(to), Values::Labels(from)) => {
                to.append(from, start, count).ok_or_else(short)?;
            }
            (to, from) => {
                *to = Values::new(from.kind());
                return to.append(from, start, count);
            }
        }
        Ok(())
    }
}

fn short() -> Error {
    Error::invalid("a column has fewer values than there are rows")
}

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
