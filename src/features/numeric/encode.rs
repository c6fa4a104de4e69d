//! Numbers to network inputs: one, a column of them, and neighbouring features of many rows.

use std::hint::black_box;

use crate::features::error::Error;
use crate::features::scales::clip::{LIMIT, bend, bent};
use crate::features::treatment::{Encodes, Strip};
use crate::nn::processor::{Processor, Task};

/// Encodes the numbers of one feature.
#[derive(Clone, Copy, Debug)]
pub(in crate::features) struct NumericEncoder {
    pub scaler: Scaler,
    /// Whether a second input tells a missing value.
    pub indicator: bool,
}

impl NumericEncoder {
    /// Of numbers with this center and divisor, a clip, stand-ins for a missing value and for the two
    /// infinities, the negative one first, and an indicator.
    pub fn new(
        (center, divisor): (f64, f64),
        clip: Option<f64>,
        [missing, low, high]: [f64; 3],
        indicator: bool,
    ) -> NumericEncoder {
        let mut scaler = Scaler {
            center,
            factor: 1.0 / divisor,
            bend: bend(clip),
            ..Scaler::NONE
        };
        scaler.missing = scaler.finite(missing);
        scaler.low = scaler.finite(low);
        scaler.high = scaler.finite(high);
        NumericEncoder { scaler, indicator }
    }

    /// How many inputs it writes.
    pub fn width(&self) -> usize {
        1 + usize::from(self.indicator)
    }
}

impl Encodes for NumericEncoder {
    #[inline]
    fn number(&self, value: f64, row: &mut [f32], offset: usize) {
        if !self.indicator {
            if let Some(x) = row.get_mut(offset) {
                *x = self.scaler.number(value);
            }
        } else if let Some([x, indicator]) = row.get_mut(offset..offset + 2) {
            *x = self.scaler.number(value);
            *indicator = f32::from(u8::from(value.is_nan()));
        }
    }

    fn strip(&self, strip: Strip<'_>) -> Result<(), Error> {
        let offset = strip.inputs.start;
        let values = &strip.block.numbers(strip.column)?[strip.rows];
        let encoded = &mut strip.numbers[..values.len()];
        self.scaler.column(values, encoded);
        let slices = strip.out.chunks_exact_mut(strip.width);
        if self.indicator {
            for (row, (&x, value)) in slices.zip(encoded.iter().zip(values)) {
                row[offset] = x;
                row[offset + 1] = f32::from(u8::from(value.is_nan()));
            }
        } else {
            for (row, &x) in slices.zip(encoded.iter()) {
                row[offset] = x;
            }
        }
        Ok(())
    }
}

/// What is done to the numbers of one feature.
#[derive(Clone, Copy, Debug)]
pub(in crate::features) struct Scaler {
    center: f64,
    factor: f64,
    /// 1 / clip², 0 without a clip.
    bend: f32,
    /// The encoded stand-ins for a missing value and for the two infinities.
    missing: f32,
    low: f32,
    high: f32,
}

impl Scaler {
    /// What does nothing: that of a feature that is no number, which nobody asks for.
    pub const NONE: Scaler = Scaler {
        center: 0.0,
        factor: 1.0,
        bend: 0.0,
        missing: 0.0,
        low: 0.0,
        high: 0.0,
    };

    /// The encoding of a finite number. Only operations that IEEE 754 rounds exactly, so that it
    /// has the same bits on every processor.
    #[inline]
    fn finite(&self, value: f64) -> f32 {
        let z = ((value - self.center) * self.factor) as f32;
        let z = z.clamp(-LIMIT, LIMIT);
        if self.bend == 0.0 {
            z
        } else {
            bent(z, self.bend)
        }
    }

    /// The encoding of any number.
    #[inline]
    fn number(&self, value: f64) -> f32 {
        if value.is_finite() {
            self.finite(value)
        } else if value.is_nan() {
            self.missing
        } else if value > 0.0 {
            self.high
        } else {
            self.low
        }
    }

    /// [`Scaler::number`] of each value, as many as there is room for.
    fn column(&self, values: &[f64], encoded: &mut [f32]) {
        Processor::detect().run(Column {
            scale: self,
            values,
            encoded,
        });
    }

    /// [`Scaler::number`] without branches.
    #[inline(always)]
    fn select<const BENT: bool>(&self, value: f64) -> f32 {
        let z = (((value - self.center) * self.factor) as f32).clamp(-LIMIT, LIMIT);
        // Without a bend the division would be by one, and exact.
        let scaled = if BENT { bent(z, self.bend) } else { z };
        let x = if value == f64::INFINITY {
            self.high
        } else {
            scaled
        };
        let x = if value == f64::NEG_INFINITY {
            self.low
        } else {
            x
        };
        if value.is_nan() { self.missing } else { x }
    }
}

struct Column<'a> {
    scale: &'a Scaler,
    values: &'a [f64],
    encoded: &'a mut [f32],
}

impl Task for Column<'_> {
    #[inline(always)]
    fn run(self) {
        let scale = *self.scale;
        let pairs = self.encoded.iter_mut().zip(self.values);
        if scale.bend == 0.0 {
            pairs.for_each(|(x, &value)| *x = scale.select::<false>(value));
        } else {
            pairs.for_each(|(x, &value)| *x = scale.select::<true>(value));
        }
    }
}

/// The scales of features setting by setting, so that neighbouring ones are encoded as a vector.
/// What stands at features that are no numbers is never read.
#[derive(Clone, Debug, Default)]
pub(in crate::features) struct Lanes {
    center: Box<[f64]>,
    factor: Box<[f64]>,
    bend: Box<[f32]>,
    missing: Box<[f32]>,
    low: Box<[f32]>,
    high: Box<[f32]>,
}

impl Lanes {
    pub fn new<'a>(scales: impl Iterator<Item = &'a Scaler> + Clone) -> Lanes {
        Lanes {
            center: scales.clone().map(|scale| scale.center).collect(),
            factor: scales.clone().map(|scale| scale.factor).collect(),
            bend: scales.clone().map(|scale| scale.bend).collect(),
            missing: scales.clone().map(|scale| scale.missing).collect(),
            low: scales.clone().map(|scale| scale.low).collect(),
            high: scales.map(|scale| scale.high).collect(),
        }
    }

    /// Encodes `count` neighbouring features of rows, whose inputs begin at `offset` of rows of
    /// `out`, `width` apart. Rows that are too short are left alone.
    #[inline]
    pub fn encode<'a>(
        &self,
        (first, count): (usize, usize),
        rows: impl Iterator<Item = Numbers<'a>>,
        out: &mut [f32],
        (width, offset): (usize, usize),
    ) {
        let Some(lanes) = self.get(first, count) else {
            return;
        };
        if offset + count > width {
            return;
        }
        Processor::detect().run(Rows {
            lanes,
            rows,
            out,
            width,
            offset,
        });
    }

    #[inline]
    fn get(&self, first: usize, count: usize) -> Option<LaneSlices<'_>> {
        let range = first..first.checked_add(count)?;
        Some(LaneSlices {
            center: self.center.get(range.clone())?,
            factor: self.factor.get(range.clone())?,
            bend: self.bend.get(range.clone())?,
            missing: self.missing.get(range.clone())?,
            low: self.low.get(range.clone())?,
            high: self.high.get(range)?,
        })
    }
}

/// The numbers of a row's neighbouring features.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    /// One a feature; NaN is missing.
    pub values: &'a [f64],
    /// Where a value does not count and is missing; as many as values, or none.
    pub nulls: &'a [bool],
}

impl<'a> From<&'a [f64]> for Numbers<'a> {
    fn from(values: &'a [f64]) -> Self {
        Numbers { values, nulls: &[] }
    }
}

/// The lanes of some neighbouring features.
#[derive(Clone, Copy)]
struct LaneSlices<'a> {
    center: &'a [f64],
    factor: &'a [f64],
    bend: &'a [f32],
    missing: &'a [f32],
    low: &'a [f32],
    high: &'a [f32],
}

/// Values that are encoded as one vector.
const VECTOR: usize = 8;

impl LaneSlices<'_> {
    #[inline(always)]
    fn row<const BENT: bool, const NULLS: bool>(&self, given: Numbers<'_>, out: &mut [f32]) {
        let count = out.len();
        if given.values.len() < count || (NULLS && given.nulls.len() < count) {
            return;
        }
        // Where some are left over, the last vector takes in some of the one before: value by
        // value they would cost as much as all others. The compiler must not know that these are
        // eight, or it makes no vector of them.
        let whole = if count < VECTOR {
            count
        } else {
            count / VECTOR * VECTOR
        };
        let mut range = (0, whole);
        loop {
            self.some::<BENT, NULLS>(given, out, range);
            if range.1 == count {
                break;
            }
            range = black_box((count - VECTOR, count));
        }
    }

    /// The features from one to another.
    #[inline(always)]
    fn some<const BENT: bool, const NULLS: bool>(
        &self,
        given: Numbers<'_>,
        out: &mut [f32],
        (begin, end): (usize, usize),
    ) {
        // Slices of one length, so that the loop needs no checks.
        let out = &mut out[begin..end];
        let count = out.len();
        let values = &given.values[begin..][..count];
        let nulls = match NULLS {
            true => &given.nulls[begin..][..count],
            false => &[],
        };
        let center = &self.center[begin..][..count];
        let factor = &self.factor[begin..][..count];
        let bend = &self.bend[begin..][..count];
        let missing = &self.missing[begin..][..count];
        let (low, high) = (&self.low[begin..][..count], &self.high[begin..][..count]);
        for i in 0..count {
            let scale = Scaler {
                center: center[i],
                factor: factor[i],
                bend: bend[i],
                missing: missing[i],
                low: low[i],
                high: high[i],
            };
            let value = values[i];
            let value = if NULLS && nulls[i] { f64::NAN } else { value };
            out[i] = scale.select::<BENT>(value);
        }
    }
}

struct Rows<'a, I> {
    lanes: LaneSlices<'a>,
    rows: I,
    out: &'a mut [f32],
    width: usize,
    offset: usize,
}

impl<'a, I: Iterator<Item = Numbers<'a>>> Task for Rows<'_, I> {
    #[inline(always)]
    fn run(self) {
        let Rows {
            lanes,
            rows,
            out,
            width,
            offset,
        } = self;
        let bent = lanes.bend.iter().any(|bend| *bend != 0.0);
        let count = lanes.center.len();
        for (given, row) in rows.zip(out.chunks_exact_mut(width)) {
            let out = &mut row[offset..offset + count];
            match (bent, given.nulls.is_empty()) {
                (false, true) => lanes.row::<false, false>(given, out),
                (false, false) => lanes.row::<false, true>(given, out),
                (true, true) => lanes.row::<true, false>(given, out),
                (true, false) => lanes.row::<true, true>(given, out),
            }
        }
    }
}
