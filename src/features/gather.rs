//! The pass over the rows in which everything is gathered that fitting needs of a column.

use super::block::pass;
use super::elements::{Elements, row_mean};
use super::statistics::{Moments, Range, Sample};
use super::{
    ArrayShape, BitMask, Block, Column, Dictionary, Error, Kind, MISSING, Origin, RawRows, Request,
};

/// Training rows from which quantiles are taken, at most; fewer rows give exact quantiles.
const SAMPLE: usize = 65_536;
/// Numbers that the samples of all columns hold together, so that wide tables stay small too.
const SAMPLE_TOTAL: usize = 1 << 20;
/// Least rows a sample shrinks to.
const SAMPLE_LEAST: usize = 2048;

/// What the first pass gathers of a column.
pub(super) enum Gathered {
    Number {
        moments: Moments,
        sample: Vec<f64>,
        /// Of all rows, trained on or not.
        low: f64,
        high: f64,
        count: u64,
    },
    Category {
        /// Training rows a code.
        counts: Vec<u64>,
        overflow: u64,
        missing: u64,
        /// Rows with a value, trained on or not.
        present: u64,
    },
    Array {
        /// Of the means of the training rows' arrays.
        moments: Moments,
        /// Of them.
        sample: Vec<f64>,
        /// Of the numbers within; none where no row has an array.
        elements: Option<Box<Elements>>,
    },
}

/// Gathers each column, the training rows' numbers sampled and sorted. `shapes` are those that the
/// arrays of each column have.
pub(super) fn gather(
    columns: &[Column],
    shapes: &[Option<ArrayShape>],
    dictionaries: &[Option<Dictionary>],
    rows: &mut dyn RawRows,
    is_training: &BitMask,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<Gathered>, Error> {
    let numbers = columns.iter().filter(|c| c.kind != Kind::Category).count();
    let size = SAMPLE.min((SAMPLE_TOTAL / numbers.max(1)).max(SAMPLE_LEAST));
    let training = is_training.count();
    let mut gathered = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        gathered.push(match column.kind {
            Kind::Number => Gathered::Number {
                moments: Moments::new(),
                sample: Vec::with_capacity(size.min(training)),
                low: f64::INFINITY,
                high: f64::NEG_INFINITY,
                count: 0,
            },
            Kind::Numbers | Kind::Labels => return Err(wrong_kind(column)),
            Kind::Array => Gathered::Array {
                moments: Moments::new(),
                sample: Vec::with_capacity(size.min(training)),
                elements: shapes
                    .get(i)
                    .copied()
                    .flatten()
                    .map(|shape| Box::new(Elements::new(shape, training))),
            },
            Kind::Category => {
                let dictionary = dictionaries.get(i).and_then(Option::as_ref);
                Gathered::Category {
                    counts: vec![0; dictionary.ok_or_else(|| wrong_kind(column))?.len()],
                    overflow: 0,
                    missing: 0,
                    present: 0,
                }
            }
        });
    }
    let mut sampled = Sample::new(training, size);
    let mut ordinal = 0;
    let mut chosen = Vec::new();
    let mut trained = Vec::new();
    pass(rows, interrupted, |start, block| {
        chosen.clear();
        let first = ordinal;
        for row in 0..block.rows {
            if is_training.get(start + row) {
                if sampled.takes(ordinal) {
                    chosen.push(row);
                }
                ordinal += 1;
            }
        }
        for (i, gathered) in gathered.iter_mut().enumerate() {
            match gathered {
                Gathered::Array {
                    moments,
                    sample,
                    elements,
                } => {
                    let arrays = block
                        .arrays(i)?
                        .iter()
                        .enumerate()
                        .map(|(row, array)| (is_training.get(start + row), array));
                    let elements = elements.as_deref_mut();
                    let means = add_arrays(arrays, first, elements, moments)
                        .ok_or_else(|| wrong_kind(&columns[i]))?;
                    let chosen = chosen.iter().filter_map(|&row| means.get(row));
                    sample.extend(chosen.filter(|mean| mean.is_finite()));
                }
                _ => add(
                    gathered,
                    i,
                    block,
                    start,
                    is_training,
                    &chosen,
                    &mut trained,
                )?,
            }
        }
        Ok(())
    })?;
    for gathered in &mut gathered {
        if let Gathered::Array {
            elements: Some(elements),
            ..
        } = gathered
        {
            elements.finish();
        }
        if let Gathered::Number {
            moments, sample, ..
        }
        | Gathered::Array {
            moments, sample, ..
        } = gathered
        {
            moments.finish();
            sample.sort_unstable_by(f64::total_cmp);
        }
    }
    Ok(gathered)
}

/// Adds the arrays of a block, each with whether its row is trained on; `first` is the ordinal of
/// the first that is. Gives the mean of every row, or nothing where an array has another shape.
fn add_arrays<'a>(
    arrays: impl Iterator<Item = (bool, &'a [f32])>,
    first: u64,
    mut elements: Option<&mut Elements>,
    moments: &mut Moments,
) -> Option<Vec<f64>> {
    let mut ordinal = first;
    let mut means = Vec::new();
    for (is_training, array) in arrays {
        if !elements
            .as_ref()
            .map_or(array.is_empty(), |e| e.fits(array))
        {
            return None;
        }
        let mean = row_mean(array);
        means.push(mean);
        if is_training {
            moments.add(mean);
            if let Some(elements) = &mut elements {
                elements.add(ordinal, array);
            }
            ordinal += 1;
        }
    }
    Some(means)
}

fn add(
    gathered: &mut Gathered,
    column: usize,
    block: &Block,
    start: usize,
    is_training: &BitMask,
    chosen: &[usize],
    trained: &mut Vec<f64>,
) -> Result<(), Error> {
    match gathered {
        Gathered::Number {
            moments,
            sample,
            low,
            high,
            count,
        } => {
            let values = block.numbers(column)?;
            if is_training.count_in(start..start + block.rows) == block.rows {
                moments.add_all(values);
            } else {
                trained.clear();
                let rows = values.iter().enumerate();
                let own = rows.filter(|(row, _)| is_training.get(start + row));
                trained.extend(own.map(|(_, value)| value));
                moments.add_all(trained);
            }
            let range = Range::of(values);
            *low = low.min(range.low);
            *high = high.max(range.high);
            *count += values.len() as u64 - range.missing;
            sample.extend(chosen.iter().map(|&r| values[r]).filter(|x| x.is_finite()));
        }
        Gathered::Array { .. } => {}
        Gathered::Category {
            counts,
            overflow,
            missing,
            present,
        } => {
            for (row, &code) in block.codes(column)?.iter().enumerate() {
                *present += u64::from(code != MISSING);
                if !is_training.get(start + row) {
                    continue;
                }
                match counts.get_mut(code as usize) {
                    Some(count) => *count += 1,
                    None if code == MISSING => *missing += 1,
                    None => *overflow += 1,
                }
            }
        }
    }
    Ok(())
}

/// Which integer columns look like identifiers: all values distinct, in a range under twice the
/// rows. The range tells most columns off, so that few need a bit for each place in it.
pub(super) fn identifiers(
    requests: &[Request],
    columns: &[Column],
    gathered: &[Gathered],
    rows: &mut dyn RawRows,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Vec<bool>, Error> {
    let total = rows.rows() as f64;
    let mut seen: Vec<Option<(f64, BitMask)>> = requests
        .iter()
        .zip(columns)
        .zip(gathered)
        .map(|((request, column), gathered)| {
            let Gathered::Number {
                low, high, count, ..
            } = *gathered
            else {
                return None;
            };
            let possible = !request.named
                && column.origin == Origin::Integer
                && count > 1
                && high - low < 2.0 * total
                && high - low + 1.0 >= count as f64;
            possible.then(|| (low, BitMask::new((high - low) as usize + 1, false)))
        })
        .collect();
    if seen.iter().any(Option::is_some) {
        pass(rows, interrupted, |_, block| {
            for (i, candidate) in seen.iter_mut().enumerate() {
                let Some((low, mask)) = candidate else {
                    continue;
                };
                let mut repeated = false;
                for value in block.numbers(i)?.iter().filter(|x| !x.is_nan()) {
                    let place = (value - *low) as usize;
                    repeated |= mask.get(place);
                    mask.set(place, true);
                }
                if repeated {
                    *candidate = None;
                }
            }
            Ok(())
        })?;
    }
    Ok(seen.iter().map(Option::is_some).collect())
}

/// A column whose values are not of the kind that its treatment needs.
pub(super) fn wrong_kind(column: &Column) -> Error {
    Error::invalid(format!(
        "the values of column \"{}\" were not read as its treatment needs them",
        column.name
    ))
}
