//! A sample of the rows, column by column.

use crate::features::{self, BitMask, Block, Labels, MISSING, RawRows, Values, hash_bytes};

/// Draws one of every so many rows: the same of the same rows, in step with no period in them.
pub(super) struct Draw {
    every: usize,
    ordinal: usize,
}

impl Draw {
    /// Of `total` rows at most `most`.
    pub(super) fn new(total: usize, most: usize) -> Draw {
        Draw {
            every: total.div_ceil(most.max(1)).max(1),
            ordinal: 0,
        }
    }

    /// Whether the next row is drawn.
    pub(super) fn takes(&mut self) -> bool {
        let (stretch, at) = (self.ordinal / self.every, self.ordinal % self.every);
        self.ordinal += 1;
        let drawn = hash_bytes(&(stretch as u64).to_le_bytes()) % self.every as u64;
        at as u64 == drawn
    }
}

/// What is to be told of rows.
pub(super) enum Truth {
    /// Of each its class, and how many classes there are.
    Classes(Vec<u32>, usize),
    /// Of each its number.
    Numbers(Vec<f64>),
}

impl Truth {
    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Truth::Classes(classes, _) => classes.len(),
            Truth::Numbers(numbers) => numbers.len(),
        }
    }

    /// Takes in a row of a block, whose target is the column at `position`, over that at `exposure`.
    pub(super) fn push(&mut self, block: &Block, labels: &Labels, at: TruthAt, row: usize) {
        match self {
            Truth::Classes(classes, _) => {
                classes.push(labels.class(block, at.target, row).unwrap_or(0));
            }
            Truth::Numbers(numbers) => {
                numbers.push(at.number(block, row));
            }
        }
    }
}

/// Where among the columns the target is, and what its numbers are over.
#[derive(Clone, Copy)]
pub(super) struct TruthAt {
    pub(super) target: usize,
    pub(super) exposure: Option<usize>,
}

impl TruthAt {
    /// The number of a row, over its exposure.
    pub(super) fn number(self, block: &Block, row: usize) -> f64 {
        let number = |at: usize| block.columns.get(at).and_then(|values| values.number(row));
        let over = self.exposure.and_then(number).unwrap_or(1.0);
        number(self.target).unwrap_or(0.0) / over
    }
}

/// The value of a row as a number: a text by its code. NaN where there is none.
pub(super) fn value(values: Option<&Values>, row: usize) -> f64 {
    match values {
        Some(Values::Category(codes)) => match codes.get(row) {
            Some(&code) if code != MISSING => f64::from(code),
            _ => f64::NAN,
        },
        Some(values) => values.number(row).unwrap_or(f64::NAN),
        None => f64::NAN,
    }
}

/// The values of these columns in at most `most` of the rows that are trained on.
///
/// # Errors
/// Rows that cannot be read, or an interruption.
pub(super) fn columns(
    rows: &mut dyn RawRows,
    trained: &BitMask,
    places: &[usize],
    most: usize,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Vec<Vec<f64>>, features::Error> {
    let total = trained.count();
    let mut draw = Draw::new(total, most);
    let mut columns = vec![Vec::with_capacity(total.min(most)); places.len()];
    features::pass(rows, stop, |start, block| {
        for row in (0..block.rows).filter(|row| trained.get(start + row)) {
            if draw.takes() {
                for (column, &place) in columns.iter_mut().zip(places) {
                    column.push(value(block.columns.get(place), row));
                }
            }
        }
        Ok(())
    })?;
    Ok(columns)
}

/// What is true of the rows that [`columns`] samples.
///
/// # Errors
/// As there.
pub(super) fn truth(
    rows: &mut dyn RawRows,
    trained: &BitMask,
    (labels, at): (&Labels, TruthAt),
    mut truth: Truth,
    most: usize,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Truth, features::Error> {
    let mut draw = Draw::new(trained.count(), most);
    features::pass(rows, stop, |start, block| {
        for row in (0..block.rows).filter(|row| trained.get(start + row)) {
            if draw.takes() {
                truth.push(block, labels, at, row);
            }
        }
        Ok(())
    })?;
    Ok(truth)
}
