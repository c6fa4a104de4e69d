//! Values to network inputs, a value at a time and a block at a time, with the same bits.

use std::ops::Range;

use super::error::Error;
use super::feature::Feature;
use super::numeric::encode::{Lanes, Numbers, Scaler};
use super::rows::arrays::Real;
use super::rows::block::Block;
use super::rows::dictionary::Dictionary;
use super::set::FeatureSet;
use super::treatment::{Encodes, STRIP, Strip};
use super::treatments::AnyEncoder;

/// One feature's plan, flat so that a row of numbers touches one run of memory.
#[derive(Clone, Debug)]
struct Plan {
    offset: u32,
    /// Inputs.
    width: u32,
    encoder: AnyEncoder,
}

impl Plan {
    fn new(feature: &Feature, offset: usize) -> Plan {
        Plan {
            offset: offset as u32,
            width: feature.width() as u32,
            encoder: feature.treatment.encoder(&feature.column()),
        }
    }

    fn inputs(&self) -> Range<usize> {
        self.offset as usize..(self.offset + self.width) as usize
    }

    /// What is done to a number; to another value, which nobody asks for, nothing.
    fn scaler(&self) -> &Scaler {
        match &self.encoder {
            AnyEncoder::Numeric(numeric) => &numeric.scaler,
            _ => &Scaler::NONE,
        }
    }

    /// Whether it is a number with a single input.
    fn is_plain_number(&self) -> bool {
        matches!(&self.encoder, AnyEncoder::Numeric(numeric) if !numeric.indicator)
    }
}

/// Encodes one value at a time: what a call of the model does. Decoded once, used by reference.
#[derive(Clone, Debug)]
pub struct Encoder {
    plans: Box<[Plan]>,
    lanes: Lanes,
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
            lanes: Lanes::new(plans.iter().map(Plan::scaler)),
            plans,
            width: self.step_width(),
        }
    }

    /// What encodes blocks whose first columns are these features, with texts coded by these
    /// dictionaries (one a feature, for those that are categories).
    ///
    /// A dictionary that overflows must hold the levels all the same, so start with that of
    /// [`Feature::dictionary`] when the set was fitted before the rows were read.
    pub fn block_encoder(&self, dictionaries: &[Option<Dictionary>]) -> BlockEncoder {
        let encoder = self.encoder();
        let codes = encoder.plans.iter().enumerate().map(|(i, plan)| {
            let dictionary = dictionaries.get(i)?.as_ref()?;
            plan.encoder.codes(dictionary)
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
            .is_none_or(|plan| matches!(plan.encoder, AnyEncoder::Ignored(_)))
    }

    /// Writes a number's slice of the row; NaN is missing, an infinity the training rows' extreme.
    ///
    /// `row` is `[width]`. Calling every feature writes the whole row. A feature that is not a
    /// number is left alone, and so is a row that is too short.
    #[inline]
    pub fn number(&self, feature: usize, value: f64, row: &mut [f32]) {
        if let Some(plan) = self.plans.get(feature) {
            plan.encoder.number(value, row, plan.offset as usize);
        }
    }

    /// How many features from `first` on are plain numbers, which [`numbers`](Encoder::numbers)
    /// can encode together.
    pub fn run_of_numbers(&self, first: usize) -> usize {
        let rest = self.plans.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(|plan| plan.is_plain_number())
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
        if let Some(plan) = self.plans.get(feature)
            && let Some(inputs) = row.get_mut(plan.inputs())
        {
            plan.encoder.category(value, inputs);
        }
    }

    /// Whether a text is one of a feature's levels.
    pub fn is_level(&self, feature: usize, text: &str) -> bool {
        let plan = self.plans.get(feature);
        plan.is_some_and(|plan| plan.encoder.is_level(text))
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
        match self.plans.get(feature) {
            Some(plan) => match row.get_mut(plan.inputs()) {
                Some(inputs) => plan.encoder.array(array, inputs),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Which columns of the encoded row a feature fills.
    pub fn columns(&self, feature: usize) -> Range<usize> {
        self.plans.get(feature).map_or(0..0, Plan::inputs)
    }

    /// Bytes of memory it takes.
    pub fn size_bytes(&self) -> usize {
        let plans = self.plans.iter();
        plans
            .map(|plan| size_of::<Plan>() + plan.encoder.size_bytes())
            .sum()
    }
}

/// Encodes whole blocks: what training and scoring of tables do.
#[derive(Clone, Debug)]
pub struct BlockEncoder {
    encoder: Encoder,
    /// What each feature's encoder says of each code; nothing without a dictionary.
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
        let mut numbers = [0.0; STRIP];
        for (column, plan) in self.encoder.plans.iter().enumerate() {
            plan.encoder.strip(Strip {
                block,
                column,
                rows: rows.clone(),
                of_codes: self.codes.get(column).and_then(Option::as_deref),
                out,
                width: self.encoder.width,
                inputs: plan.inputs(),
                numbers: &mut numbers,
            })?;
        }
        Ok(())
    }
}
