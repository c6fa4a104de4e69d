//! Encoded rows for the trainer, made from raw rows wherever these are.

use std::cell::RefCell;

use crate::features::{BitMask, Block, BlockEncoder, Error, RawRows, Values};
use crate::nn::{self, Loaded, RowSource};

/// Writes the targets of a block behind what the vector holds.
pub type WriteTarget<'a> = dyn Fn(&Block, &mut Vec<f32>) -> Result<(), Error> + 'a;

/// How a block of raw rows becomes network input, targets and weights.
pub struct Encoding<'a> {
    /// The features, which are the block's first columns.
    pub features: &'a BlockEncoder,
    /// Writes the targets of a block, `targets` a row.
    pub target: &'a WriteTarget<'a>,
    /// Targets a row.
    pub targets: usize,
    /// The column that holds the rows' weights.
    pub weight: Option<usize>,
}

impl Encoding<'_> {
    /// Bytes of one encoded row.
    pub fn row_bytes(&self) -> usize {
        4 * (self.features.width() + self.targets + usize::from(self.weight.is_some()))
    }

    fn encode(&self, block: &Block, into: &mut Encoded) -> Result<(), Error> {
        let filled = into.x.len();
        into.x
            .resize(filled + block.rows * self.features.width(), 0.0);
        self.features.encode(block, &mut into.x[filled..])?;
        (self.target)(block, &mut into.y)?;
        if let Some(Values::Number(weights)) = self.weight.and_then(|at| block.columns.get(at)) {
            into.weight
                .extend(weights.iter().map(|&weight| weight as f32));
        }
        into.rows += block.rows;
        Ok(())
    }
}

/// Encoded rows side by side.
#[derive(Default)]
struct Encoded {
    rows: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    weight: Vec<f32>,
    /// Empty without folds.
    fold: Vec<u8>,
}

impl Encoded {
    fn clear(&mut self) {
        self.rows = 0;
        self.x.clear();
        self.y.clear();
        self.weight.clear();
        self.fold.clear();
    }

    fn loaded<'a>(&'a self, index: &'a [u32]) -> Loaded<'a> {
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

/// The rows of one side of the split, by their ordinal on that side.
struct Side<'a> {
    mask: &'a BitMask,
    value: bool,
    /// The raw row of every `RANK_STEP`-th ordinal.
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

    /// Calls `each` with the raw row of each ordinal; the ordinals rise.
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

/// One side of the split, encoded once and kept.
pub struct MemorySource {
    encoded: Encoded,
}

impl MemorySource {
    /// Encodes all rows of one side, in their order. `folds`, if there are any, are those of all
    /// raw rows.
    pub fn encode(
        rows: &SharedRows<'_>,
        (mask, value): (&BitMask, bool),
        folds: Option<&[u8]>,
        encoding: &Encoding<'_>,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<MemorySource, Error> {
        let count = if value {
            mask.count()
        } else {
            mask.len() - mask.count()
        };
        let mut encoded = Encoded {
            rows: 0,
            x: Vec::with_capacity(count * encoding.features.width()),
            y: Vec::with_capacity(count * encoding.targets),
            weight: Vec::with_capacity(if encoding.weight.is_some() { count } else { 0 }),
            fold: Vec::new(),
        };
        if let Some(folds) = folds {
            let own = folds
                .iter()
                .enumerate()
                .filter(|(raw, _)| mask.get(*raw) == value);
            encoded.fold.extend(own.map(|(_, fold)| fold));
        }
        let mut rows = rows.borrow_mut();
        let (mut block, mut picked) = (Block::default(), Block::default());
        let total = rows.rows();
        let step = rows.at_once(READ_ROWS);
        for start in (0..total).step_by(step) {
            if interrupted() {
                return Err(Error::Interrupted);
            }
            let end = total.min(start + step);
            rows.read(start, end - start, &mut block)?;
            pick(
                &block,
                (start..end)
                    .filter(|&r| mask.get(r) == value)
                    .map(|r| r - start),
                &mut picked,
            );
            encoding.encode(&picked, &mut encoded)?;
        }
        Ok(MemorySource { encoded })
    }
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

/// One side of the split, read and encoded anew each time, a slice at a time.
pub struct ReadingSource<'a> {
    rows: &'a SharedRows<'a>,
    side: Side<'a>,
    folds: Option<&'a [u8]>,
    encoding: &'a Encoding<'a>,
    capacity: usize,
    encoded: Encoded,
    block: Block,
    picked: Block,
    order: Vec<u32>,
    raw: Vec<usize>,
    index: Vec<u32>,
}

impl<'a> ReadingSource<'a> {
    /// A source that holds at most `capacity` encoded rows at once. `folds`, if there are any, are
    /// those of all raw rows.
    pub fn new(
        rows: &'a SharedRows<'a>,
        (mask, value): (&'a BitMask, bool),
        folds: Option<&'a [u8]>,
        encoding: &'a Encoding<'a>,
        capacity: usize,
    ) -> ReadingSource<'a> {
        ReadingSource {
            rows,
            side: Side::new(mask, value),
            folds,
            encoding,
            capacity: capacity.max(1),
            encoded: Encoded::default(),
            block: Block::default(),
            picked: Block::default(),
            order: Vec::new(),
            raw: Vec::new(),
            index: Vec::new(),
        }
    }

    fn fill(&mut self, asked: &[u32]) -> Result<(), Error> {
        self.encoded.clear();
        self.order.clear();
        self.order.extend(0..asked.len() as u32);
        self.order
            .sort_unstable_by_key(|&position| asked[position as usize]);
        self.raw.clear();
        let ordinals = self
            .order
            .iter()
            .map(|&position| asked[position as usize] as usize);
        let raw = &mut self.raw;
        self.side.resolve(ordinals, |row| raw.push(row));
        self.index.clear();
        self.index.resize(asked.len(), 0);
        for (slot, &position) in self.order.iter().enumerate() {
            self.index[position as usize] = slot as u32;
        }
        if let Some(folds) = self.folds {
            let own = self
                .raw
                .iter()
                .map(|&raw| folds.get(raw).copied().unwrap_or(0));
            self.encoded.fold.extend(own);
        }
        let mut rows = self.rows.borrow_mut();
        let most = rows.at_once(READ_ROWS);
        // Reading over rows that are not wanted pays while they are small.
        let gap = GAP.min(most / 8 + 1);
        let mut first = 0;
        while first < self.raw.len() {
            let start = self.raw[first];
            let mut last = first;
            while last + 1 < self.raw.len()
                && self.raw[last + 1] - self.raw[last] <= gap
                && self.raw[last + 1] - start < most
            {
                last += 1;
            }
            rows.read(start, self.raw[last] - start + 1, &mut self.block)?;
            pick(
                &self.block,
                self.raw[first..=last].iter().map(|&row| row - start),
                &mut self.picked,
            );
            self.encoding.encode(&self.picked, &mut self.encoded)?;
            first = last + 1;
        }
        Ok(())
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
        self.fill(rows).map_err(|error| nn::Error::Rows {
            message: error.to_string(),
        })?;
        Ok(self.encoded.loaded(&self.index))
    }
}

/// The rows of `block` at the places named, in place of what `into` held.
fn pick(block: &Block, places: impl Iterator<Item = usize> + Clone, into: &mut Block) {
    let fits = into.columns.len() == block.columns.len()
        && into
            .columns
            .iter()
            .zip(&block.columns)
            .all(|(a, b)| a.kind() == b.kind());
    if !fits {
        *into = Block::new(block.columns.iter().map(Values::kind));
    }
    into.clear();
    for (to, from) in into.columns.iter_mut().zip(&block.columns) {
        match (to, from) {
            (Values::Number(to), Values::Number(from)) => {
                to.extend(places.clone().filter_map(|place| from.get(place)));
            }
            (Values::Category(to), Values::Category(from)) => {
                to.extend(places.clone().filter_map(|place| from.get(place)));
            }
            (Values::Array(to), Values::Array(from)) => {
                for array in places.clone().filter_map(|place| from.get(place)) {
                    to.push(array);
                }
            }
            _ => {}
        }
    }
    into.rows = places.count();
}
