//! Encoded examples for the trainer, made from raw rows wherever these are.

use std::cell::RefCell;
use std::ops::Range;

use super::job::Job;
use crate::features::{
    BitMask, Block, BlockEncoder, Error, FeatureSet, Labels, RawRows, Sequences,
};
use crate::nn::{self, Loaded, RowSource};

/// How examples become network input, targets and weights. An example is a raw row, or a sequence
/// of them.
pub struct Encoding<'a> {
    /// The features, which are the blocks' first columns.
    pub features: &'a BlockEncoder,
    /// Where examples are sequences, their rows, and how many of the newest are taken.
    pub sequences: Option<(&'a Sequences, usize)>,
    /// What writes the targets.
    pub labels: &'a Labels,
    /// The column that holds what is true of the examples.
    pub target_at: usize,
    /// The column that holds the examples' weights.
    pub weight: Option<usize>,
    /// The column that holds what the examples' numbers are over.
    pub exposure: Option<usize>,
}

impl<'a> Encoding<'a> {
    /// The encoding of a training's examples.
    pub(super) fn new(
        job: &Job<'a>,
        features: &FeatureSet,
        encoder: &'a BlockEncoder,
        labels: &'a Labels,
    ) -> Encoding<'a> {
        let length = features.steps.as_ref().map(|steps| steps.length);
        Encoding {
            features: encoder,
            sequences: job.sequences.zip(length),
            labels,
            target_at: job.plan.at.target,
            weight: job.plan.at.weight,
            exposure: job.plan.at.exposure,
        }
    }

    /// Targets an example.
    pub fn targets(&self) -> usize {
        self.labels.targets()
    }

    /// Writes the targets of some of a block's rows, which has a row an example, behind what `y`
    /// holds.
    pub fn write_targets(
        &self,
        block: &Block,
        rows: Range<usize>,
        y: &mut Vec<f32>,
    ) -> Result<(), Error> {
        for row in rows {
            self.labels.write(block, self.target_at, row, y)?;
        }
        Ok(())
    }

    /// Whether examples have weights.
    pub fn weighs(&self) -> bool {
        self.weight.is_some() || self.labels.weighs()
    }

    /// Writes the weights of some of a block's rows behind what `weights` holds, if they have some.
    pub fn write_weights(
        &self,
        block: &Block,
        rows: Range<usize>,
        weights: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let own = self.weight.and_then(|at| block.columns.get(at));
        for row in rows.filter(|_| self.weighs()) {
            let weight = own.and_then(|own| own.number(row)).unwrap_or(1.0);
            weights.push((weight * self.labels.weight(block, row)?) as f32);
        }
        Ok(())
    }

    /// The width of an encoded example.
    pub fn width(&self) -> usize {
        match self.sequences {
            None => self.features.width(),
            Some((_, length)) => 1 + length * self.features.width(),
        }
    }

    /// Bytes of one encoded example.
    pub fn row_bytes(&self) -> usize {
        4 * (self.width() + self.targets() + usize::from(self.weighs()))
    }

    /// The raw rows of an example.
    fn rows_of(&self, example: usize) -> Range<usize> {
        match self.sequences {
            None => example..example + 1,
            Some((sequences, length)) => sequences.newest(example, length),
        }
    }

    /// Examples of these rows that can be read between two questions whether to go on.
    pub fn examples_at_once(&self, rows: &SharedRows<'_>) -> usize {
        let steps = self.sequences.map_or(1, |(_, length)| length);
        (rows.borrow().at_once(READ_ROWS) / steps.max(1)).max(1)
    }
}

/// Reads and encodes examples by their numbers.
pub struct ExampleReader<'a, 'r> {
    rows: &'a SharedRows<'r>,
    encoding: &'a Encoding<'a>,
    block: Block,
    picked: Block,
    firsts: Block,
    steps: Vec<f32>,
}

impl<'a, 'r> ExampleReader<'a, 'r> {
    /// A reader of these rows.
    pub fn new(rows: &'a SharedRows<'r>, encoding: &'a Encoding<'a>) -> ExampleReader<'a, 'r> {
        ExampleReader {
            rows,
            encoding,
            block: Block::default(),
            picked: Block::default(),
            firsts: Block::default(),
            steps: Vec::new(),
        }
    }

    /// Adds the encoded examples of these rising numbers to `x`. `each` is given blocks with a row
    /// for each of them, in order, in which the columns behind the features are to be looked at.
    pub fn read(
        &mut self,
        examples: &[usize],
        x: &mut Vec<f32>,
        mut each: impl FnMut(&Block) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let encoding = self.encoding;
        let mut rows = self.rows.borrow_mut();
        let most = rows.at_once(READ_ROWS);
        // Reading over rows that are not wanted pays while they are small.
        let gap = GAP.min(most / 8 + 1);
        let mut rest = examples;
        while let Some(&first) = rest.first() {
            let Range { start, mut end } = encoding.rows_of(first);
            let near = |&&example: &&usize| {
                let next = encoding.rows_of(example);
                let joins = next.start < end + gap && next.end - start <= most;
                if joins {
                    end = next.end;
                }
                joins
            };
            let count = 1 + rest.iter().skip(1).take_while(near).count();
            let (run, later) = rest.split_at(count);
            rest = later;
            rows.read(start, end - start, &mut self.block)?;
            let steps = run
                .iter()
                .flat_map(|&example| encoding.rows_of(example))
                .map(|row| row - start);
            self.picked.pick(&self.block, steps);
            let Some((_, length)) = encoding.sequences else {
                let filled = x.len();
                x.resize(filled + run.len() * encoding.width(), 0.0);
                encoding.features.encode(&self.picked, &mut x[filled..])?;
                each(&self.picked)?;
                continue;
            };
            let width = encoding.features.width();
            self.steps.clear();
            self.steps.resize(self.picked.rows * width, 0.0);
            encoding.features.encode(&self.picked, &mut self.steps)?;
            let mut steps = self.steps.as_slice();
            for &example in run {
                let count = encoding.rows_of(example).len();
                let (own, others) = steps.split_at(count * width);
                x.push(count as f32);
                x.extend_from_slice(own);
                x.resize(x.len() + (length - count) * width, 0.0);
                steps = others;
            }
            let firsts = run
                .iter()
                .map(|&example| encoding.rows_of(example).start - start);
            self.firsts.pick(&self.block, firsts);
            each(&self.firsts)?;
        }
        Ok(())
    }
}

/// Encoded examples side by side.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) rows: usize,
    pub(super) x: Vec<f32>,
    pub(super) y: Vec<f32>,
    pub(super) weight: Vec<f32>,
    /// Empty without folds.
    pub(super) fold: Vec<u8>,
}

impl Encoded {
    fn clear(&mut self) {
        self.rows = 0;
        self.x.clear();
        self.y.clear();
        self.weight.clear();
        self.fold.clear();
    }

    /// Adds examples of rising numbers, their folds apart.
    pub(super) fn extend(
        &mut self,
        reader: &mut ExampleReader<'_, '_>,
        examples: &[usize],
    ) -> Result<(), Error> {
        let Encoded { x, y, weight, .. } = self;
        let encoding = reader.encoding;
        reader.read(examples, x, |block| {
            encoding.write_targets(block, 0..block.rows, y)?;
            encoding.write_weights(block, 0..block.rows, weight)
        })?;
        self.rows += examples.len();
        Ok(())
    }

    pub(super) fn loaded<'a>(&'a self, index: &'a [u32]) -> Loaded<'a> {
        Loaded {
            x: &self.x,
            y: &self.y,
            weight: (!self.weight.is_empty()).then_some(self.weight.as_slice()),
            fold: (!self.fold.is_empty()).then_some(self.fold.as_slice()),
            index,
        }
    }
}

/// Raw rows looked at by two sources, the training's and the validation's.
pub type SharedRows<'a> = RefCell<&'a mut dyn RawRows>;

/// Ordinals between two entries of the rank index.
const RANK_STEP: usize = 1024;
/// Rows read at once.
const READ_ROWS: usize = 4096;
/// Unwanted rows in a gap that are cheaper to read over than to leave out.
const GAP: usize = 64;

/// The examples of one side of the split, by their ordinal on that side.
struct Side<'a> {
    mask: &'a BitMask,
    value: bool,
    /// The example of every `RANK_STEP`-th ordinal.
    ranks: Vec<usize>,
    rows: usize,
}

impl<'a> Side<'a> {
    fn new(mask: &'a BitMask, value: bool) -> Side<'a> {
        let mut ranks = Vec::new();
        let mut rows = 0;
        for raw in (0..mask.len()).filter(|&raw| mask.get(raw) == value) {
            if rows % RANK_STEP == 0 {
                ranks.push(raw);
            }
            rows += 1;
        }
        Side {
            mask,
            value,
            ranks,
            rows,
        }
    }

    /// Calls `each` with the example of each ordinal; the ordinals rise.
    fn resolve(&self, ordinals: impl Iterator<Item = usize>, mut each: impl FnMut(usize)) {
        let (mut at, mut raw) = (usize::MAX, 0);
        for ordinal in ordinals {
            if at == usize::MAX || ordinal / RANK_STEP > at / RANK_STEP {
                at = ordinal / RANK_STEP * RANK_STEP;
                raw = self
                    .ranks
                    .get(ordinal / RANK_STEP)
                    .copied()
                    .unwrap_or(self.mask.len());
            }
            while at < ordinal && raw < self.mask.len() {
                raw += 1;
                if self.mask.get(raw) == self.value {
                    at += 1;
                }
            }
            each(raw);
        }
    }
}

/// One side of the split, read and encoded anew each time, a slice at a time.
pub struct ReadingSource<'a> {
    reader: ExampleReader<'a, 'a>,
    side: Side<'a>,
    folds: Option<&'a [u8]>,
    capacity: usize,
    encoded: Encoded,
    order: Vec<u32>,
    examples: Vec<usize>,
    index: Vec<u32>,
}

impl<'a> ReadingSource<'a> {
    /// A source that holds at most `capacity` encoded examples at once. `folds`, if there are any,
    /// are those of all examples.
    pub fn new(
        rows: &'a SharedRows<'a>,
        (mask, value): (&'a BitMask, bool),
        folds: Option<&'a [u8]>,
        encoding: &'a Encoding<'a>,
        capacity: usize,
    ) -> ReadingSource<'a> {
        ReadingSource {
            reader: ExampleReader::new(rows, encoding),
            side: Side::new(mask, value),
            folds,
            capacity: capacity.max(1),
            encoded: Encoded::default(),
            order: Vec::new(),
            examples: Vec::new(),
            index: Vec::new(),
        }
    }

    fn fill(&mut self, asked: &[u32]) -> Result<(), Error> {
        self.encoded.clear();
        self.order.clear();
        self.order.extend(0..asked.len() as u32);
        self.order
            .sort_unstable_by_key(|&position| asked[position as usize]);
        self.examples.clear();
        let ordinals = self
            .order
            .iter()
            .map(|&position| asked[position as usize] as usize);
        let examples = &mut self.examples;
        self.side
            .resolve(ordinals, |example| examples.push(example));
        self.index.clear();
        self.index.resize(asked.len(), 0);
        for (slot, &position) in self.order.iter().enumerate() {
            self.index[position as usize] = slot as u32;
        }
        if let Some(folds) = self.folds {
            let own = self
                .examples
                .iter()
                .map(|&example| folds.get(example).copied().unwrap_or(0));
            self.encoded.fold.extend(own);
        }
        self.encoded.extend(&mut self.reader, &self.examples)
    }
}

impl RowSource for ReadingSource<'_> {
    fn has_folds(&self) -> bool {
        self.folds.is_some()
    }

    fn rows(&self) -> usize {
        self.side.rows
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn load<'a>(&'a mut self, rows: &'a [u32]) -> Result<Loaded<'a>, nn::Error> {
        self.fill(rows).map_err(nn::RowsError::new)?;
        Ok(self.encoded.loaded(&self.index))
    }
}
