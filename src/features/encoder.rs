//! Values to network inputs, a value at a time and a block at a time, with the same bits.

use std::collections::HashMap;
use std::ops::Range;

use hashbrown::HashTable;

use super::encoder_arrays::ArrayPlan;
use super::hash::hash;
use super::number_key::number_key;
use super::numeric::encode::{Lanes, Numbers, Scale};
use super::target::fit::is_plain_number;
use super::{
    Arrays, Block, Dictionary, Error, Feature, FeatureSet, Fitted, MISSING, Origin, Real, Values,
};

/// Rows that are encoded column by column.
const STRIP: usize = 128;

/// Encoded numbers stay within this, so that nothing downstream overflows to infinity.
pub(super) const LIMIT: f32 = 1e15;

/// One feature's plan, flat so that a row of numbers touches one run of memory.
#[derive(Clone, Copy, Debug)]
struct Plan {
    offset: u32,
    /// Inputs.
    width: u32,
    form: Form,
    /// Of a number.
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Number,
    NumberAndIndicator,
    OneHot,
    Index,
    Array,
    Ignored,
}

impl Plan {
    fn new(feature: &Feature, offset: usize) -> Plan {
        Plan {
            offset: offset as u32,
            width: feature.width() as u32,
            form: match &feature.treatment {
                Fitted::Numeric {
                    indicator: true, ..
                } => Form::NumberAndIndicator,
                Fitted::Numeric { .. } => Form::Number,
                Fitted::OneHot { .. } => Form::OneHot,
                Fitted::Index { .. } => Form::Index,
                Fitted::Vector { .. } | Fitted::Image { .. } | Fitted::Sequence { .. } => {
                    Form::Array
                }
                Fitted::Ignored { .. } => Form::Ignored,
            },
            scale: Scale::new(&feature.treatment),
        }
    }
}

/// The levels of a feature, found by their bytes, or by their values where they are numbers.
#[derive(Clone, Debug, Default)]
struct Levels {
    table: HashTable<(u64, u32)>,
    texts: Vec<Box<str>>,
    numbers: Option<HashMap<String, u32>>,
}

impl Levels {
    fn new(levels: &[String], origin: Origin, sql_type: &str) -> Levels {
        let mut result = Levels {
            table: HashTable::with_capacity(levels.len()),
            texts: levels.iter().map(|l| l.as_str().into()).collect(),
            numbers: is_plain_number(origin).then(|| numbers(levels, sql_type == "real")),
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
    fn find(&self, value: Option<&str>) -> u32 {
        let other = self.texts.len() as u32;
        let Some(text) = value else {
            return other + 1;
        };
        self.known(text).unwrap_or(other)
    }

    /// The level's number, if it is one.
    #[inline]
    fn known(&self, text: &str) -> Option<u32> {
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

/// Encodes one value at a time: what a call of the model does. Decoded once, used by reference.
#[derive(Clone, Debug)]
pub struct Encoder {
    plans: Box<[Plan]>,
    lanes: Lanes,
    levels: Box<[Levels]>,
    arrays: Box<[Option<ArrayPlan>]>,
    width: usize,
}

impl FeatureSet {
    /// What encodes rows value by value.
    pub fn encoder(&self) -> Encoder {
        let mut offset = 0;
        let plans = self.features.iter().map(|feature| {
            let plan = Plan::new(feature, offset);
            offset += feature.width();
            plan
        });
        let plans: Box<[Plan]> = plans.collect();
        Encoder {
            lanes: Lanes::new(plans.iter().map(|plan| &plan.scale)),
            plans,
            levels: self
                .features
                .iter()
                .map(|feature| {
                    let levels = feature.levels();
                    levels.map_or_else(Levels::default, |levels| {
                        Levels::new(levels, feature.origin, &feature.sql_type)
                    })
                })
                .collect(),
            arrays: self.features.iter().map(ArrayPlan::new).collect(),
            width: self.step_width(),
        }
    }

    /// What encodes blocks whose first columns are these features, with texts coded by these
    /// dictionaries (one a feature, for those that are categories).
    ///
    /// A dictionary that overflows must hold the levels all the same, so start it by
    /// [`Dictionary::with_levels`] when the set was fitted before the rows were read.
    pub fn block_encoder(&self, dictionaries: &[Option<Dictionary>]) -> BlockEncoder {
        let encoder = self.encoder();
        let codes = encoder.levels.iter().enumerate().map(|(i, levels)| {
            let dictionary = dictionaries.get(i)?.as_ref()?;
            self.features[i].levels()?;
            let codes = 0..dictionary.len() as u32;
            Some(
                codes
                    .map(|code| levels.find(dictionary.text(code)))
                    .collect(),
            )
        });
        BlockEncoder {
            codes: codes.collect(),
            encoder,
        }
    }
}

impl Encoder {
    /// The width of an encoded row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many features there are, ignored ones included.
    pub fn features(&self) -> usize {
        self.plans.len()
    }

    /// Whether a feature's value does not matter, so that the caller need not even fetch it.
    pub fn ignores(&self, feature: usize) -> bool {
        self.plans
            .get(feature)
            .is_none_or(|plan| plan.form == Form::Ignored)
    }

    /// Writes a number's slice of the row; NaN is missing, an infinity the training rows' extreme.
    ///
    /// `row` is `[width]`. Calling every feature writes the whole row. A feature that is not a
    /// number is left alone, and so is a row that is too short.
    #[inline]
    pub fn number(&self, feature: usize, value: f64, row: &mut [f32]) {
        let Some(plan) = self.plans.get(feature) else {
            return;
        };
        let offset = plan.offset as usize;
        match plan.form {
            Form::Number => {
                if let Some(x) = row.get_mut(offset) {
                    *x = plan.scale.number(value);
                }
            }
            Form::NumberAndIndicator => {
                if let Some([x, indicator]) = row.get_mut(offset..offset + 2) {
                    *x = plan.scale.number(value);
                    *indicator = f32::from(u8::from(value.is_nan()));
                }
            }
            _ => {}
        }
    }

    /// How many features from `first` on are plain numbers, which [`numbers`](Encoder::numbers)
    /// can encode together.
    pub fn run_of_numbers(&self, first: usize) -> usize {
        let rest = self.plans.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(|plan| plan.form == Form::Number)
            .count()
    }

    /// Writes the numbers of neighbouring features of as many rows as are given, as
    /// [`number`](Encoder::number) would one by one, with the same bits and several times as fast.
    ///
    /// `out` is `[rows, width]`. The `count` features from `first` on must be plain numbers, as
    /// [`run_of_numbers`](Encoder::run_of_numbers) says. A row that gives fewer values is left
    /// alone.
    #[inline]
    pub fn numbers<'a>(
        &self,
        first: usize,
        count: usize,
        rows: impl Iterator<Item = Numbers<'a>>,
        out: &mut [f32],
    ) {
        if let Some(plan) = self.plans.get(first) {
            let places = (self.width, plan.offset as usize);
            self.lanes.encode((first, count), rows, out, places);
        }
    }

    /// Writes a category's slice of the row; `None` is missing.
    ///
    /// `row` is `[width]`. A feature that is not a category is left alone, and so is a row that is
    /// too short.
    #[inline]
    pub fn category(&self, feature: usize, value: Option<&str>, row: &mut [f32]) {
        let (Some(plan), Some(levels)) = (self.plans.get(feature), self.levels.get(feature)) else {
            return;
        };
        let offset = plan.offset as usize;
        if let Some(slice) = row.get_mut(offset..offset + plan.width as usize) {
            match plan.form {
                Form::OneHot => {
                    slice.fill(0.0);
                    if let Some(own) = slice.get_mut(levels.find(value) as usize) {
                        *own = 1.0;
                    }
                }
                Form::Index => slice[0] = levels.find(value) as f32,
                _ => {}
            }
        }
    }

    /// Whether a text is one of a feature's levels.
    pub fn is_level(&self, feature: usize, text: &str) -> bool {
        let levels = self.levels.get(feature);
        levels.is_some_and(|levels| levels.known(text).is_some())
    }

    /// Writes the slice of a feature that holds arrays, from an array as its
    /// [`Intake`](super::Intake) leaves it.
    ///
    /// `row` is `[width]`. A feature that is not of arrays is left alone, and so is a row that is
    /// too short.
    ///
    /// # Errors
    /// An array of another shape than the feature's, or a token beyond its vocabulary.
    #[inline]
    pub fn array<T: Real>(
        &self,
        feature: usize,
        array: &[T],
        row: &mut [f32],
    ) -> Result<(), Error> {
        let (Some(plan), Some(Some(arrays))) = (self.plans.get(feature), self.arrays.get(feature))
        else {
            return Ok(());
        };
        let offset = plan.offset as usize;
        match row.get_mut(offset..offset + plan.width as usize) {
            Some(slice) => arrays.encode(array, slice),
            None => Ok(()),
        }
    }

    /// Which columns of the encoded row a feature fills.
    pub fn columns(&self, feature: usize) -> Range<usize> {
        self.plans.get(feature).map_or(0..0, |plan| {
            plan.offset as usize..(plan.offset + plan.width) as usize
        })
    }

    /// Bytes of memory it takes.
    pub fn size_bytes(&self) -> usize {
        let arrays = self.arrays.iter().flatten();
        let arrays: usize = arrays.map(ArrayPlan::size_bytes).sum();
        let levels: usize = self
            .levels
            .iter()
            .map(|l| l.texts.iter().map(|t| t.len() + 48).sum::<usize>() + 64)
            .sum();
        self.plans.len() * size_of::<Plan>() + levels + arrays
    }
}

/// Encodes whole blocks: what training and scoring of tables do.
#[derive(Clone, Debug)]
pub struct BlockEncoder {
    encoder: Encoder,
    /// The level of each code, a feature; none without levels or a dictionary.
    codes: Vec<Option<Vec<u32>>>,
}

impl BlockEncoder {
    /// The width of an encoded row.
    pub fn width(&self) -> usize {
        self.encoder.width
    }

    /// Encodes all rows of the block into `out`, row-major `[rows, width]`.
    ///
    /// # Errors
    /// Columns of another kind than the features', a category without a dictionary, or an `out`
    /// of another size.
    pub fn encode(&self, block: &Block, out: &mut [f32]) -> Result<(), Error> {
        self.encode_rows(block, 0..block.rows, out)
    }

    /// [`BlockEncoder::encode`] of some of the block's rows.
    ///
    /// # Errors
    /// As for all of them, and when the block has fewer rows.
    pub fn encode_rows(
        &self,
        block: &Block,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let width = self.encoder.width;
        if rows.end > block.rows || out.len() != rows.len() * width || width == 0 {
            return Err(Error::invalid("the encoded rows have another size"));
        }
        // In strips whose encoded rows stay in the cache from column to column.
        for (strip, out) in out.chunks_mut(STRIP * width).enumerate() {
            let start = rows.start + strip * STRIP;
            self.encode_strip(block, start..start + out.len() / width, out)?;
        }
        Ok(())
    }

    fn encode_strip(
        &self,
        block: &Block,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let width = self.encoder.width;
        let mut encoded = [0.0; STRIP];
        for (i, plan) in self.encoder.plans.iter().enumerate() {
            let offset = plan.offset as usize;
            match plan.form {
                Form::Number | Form::NumberAndIndicator => {
                    let values = &block.numbers(i)?[rows.clone()];
                    let encoded = &mut encoded[..values.len()];
                    plan.scale.column(values, encoded);
                    let slices = out.chunks_exact_mut(width);
                    if plan.form == Form::Number {
                        for (row, &x) in slices.zip(encoded.iter()) {
                            row[offset] = x;
                        }
                    } else {
                        for (row, (&x, value)) in slices.zip(encoded.iter().zip(values)) {
                            row[offset] = x;
                            row[offset + 1] = f32::from(u8::from(value.is_nan()));
                        }
                    }
                }
                Form::OneHot => {
                    let levels = self.code_levels(i)?;
                    let slices = out.chunks_exact_mut(width);
                    for (row, &code) in slices.zip(&block.codes(i)?[rows.clone()]) {
                        let slice = &mut row[offset..offset + plan.width as usize];
                        slice.fill(0.0);
                        if let Some(own) = slice.get_mut(levels.of(code) as usize) {
                            *own = 1.0;
                        }
                    }
                }
                Form::Index => {
                    let levels = self.code_levels(i)?;
                    let slices = out.chunks_exact_mut(width);
                    for (row, &code) in slices.zip(&block.codes(i)?[rows.clone()]) {
                        row[offset] = levels.of(code) as f32;
                    }
                }
                Form::Array => {
                    let slices = out.chunks_exact_mut(width).zip(rows.clone());
                    match block.columns.get(i) {
                        Some(Values::Numbers(_)) => {
                            self.encode_arrays(i, block.number_arrays(i)?, slices)?;
                        }
                        _ => self.encode_arrays(i, block.arrays(i)?, slices)?,
                    }
                }
                Form::Ignored => {}
            }
        }
        Ok(())
    }

    /// Encodes the arrays at these places, each into its row.
    fn encode_arrays<'a, T: Real>(
        &self,
        feature: usize,
        arrays: &Arrays<T>,
        rows: impl Iterator<Item = (&'a mut [f32], usize)>,
    ) -> Result<(), Error> {
        for (row, place) in rows {
            let array = arrays.get(place).unwrap_or_default();
            self.encoder.array(feature, array, row)?;
        }
        Ok(())
    }

    fn code_levels(&self, feature: usize) -> Result<CodeLevels<'_>, Error> {
        match self.codes.get(feature) {
            Some(Some(codes)) => Ok(CodeLevels {
                codes,
                other: self.encoder.levels[feature].texts.len() as u32,
            }),
            _ => Err(Error::invalid(format!(
                "there is no dictionary for feature {}",
                feature + 1
            ))),
        }
    }
}

/// The level of each code of a dictionary.
struct CodeLevels<'a> {
    codes: &'a [u32],
    other: u32,
}

impl CodeLevels<'_> {
    #[inline]
    fn of(&self, code: u32) -> u32 {
        match self.codes.get(code as usize) {
            Some(&level) => level,
            None if code == MISSING => self.other + 1,
            None => self.other,
        }
    }
}
