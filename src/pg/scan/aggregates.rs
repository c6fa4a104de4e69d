//! Aggregates over a node's rows: the states that PostgreSQL's own would have after the last of them.
//!
//! Each row's value comes to its state as PostgreSQL's transition function has it, in the rows' order,
//! so that what the aggregate above makes of the states has the same bits, and the same error where
//! numbers overflow.

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum};

use super::lists;
use crate::pg::call::answer;
use crate::pg::error::{OrRaise, Report};

/// An aggregate of PostgreSQL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `count(*)`.
    Rows,
    /// `count` of a column.
    Values,
    Sum,
    Average,
    Least,
    Greatest,
}

impl Kind {
    /// The aggregate with that OID, if it is one of these, over float8 where it is over numbers.
    pub(super) fn of(aggregate: pg_sys::Oid) -> Option<Kind> {
        match aggregate.to_u32() {
            pg_sys::F_COUNT_ => Some(Kind::Rows),
            pg_sys::F_COUNT_ANY => Some(Kind::Values),
            pg_sys::F_SUM_FLOAT8 => Some(Kind::Sum),
            pg_sys::F_AVG_FLOAT8 => Some(Kind::Average),
            pg_sys::F_MIN_FLOAT8 => Some(Kind::Least),
            pg_sys::F_MAX_FLOAT8 => Some(Kind::Greatest),
            _ => None,
        }
    }

    fn begin(self) -> State {
        match self {
            Kind::Rows | Kind::Values => State::Count(0),
            Kind::Sum | Kind::Least | Kind::Greatest => State::Number(None),
            Kind::Average => State::Moments([0.0; 3]),
        }
    }
}

/// What an aggregate keeps of the rows so far.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Count(i64),
    /// None before the first value.
    Number(Option<f64>),
    /// How many values, their sum, and the sum of their squared distances from their mean.
    Moments([f64; 3]),
}

/// Finite numbers have come to an infinite one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overflow;

/// Rows of a batch.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [Datum],
    pub(super) nulls: &'a [bool],
    /// Columns of a row.
    pub(super) width: usize,
}

impl Rows<'_> {
    /// What is not NULL in a column.
    #[inline(always)]
    fn there(self, column: usize) -> impl Iterator<Item = Datum> {
        let values = self.values.chunks_exact(self.width);
        let rows = values.zip(self.nulls.chunks_exact(self.width));
        rows.filter(move |(_, nulls)| !nulls[column])
            .map(move |(values, _)| values[column])
    }

    #[inline(always)]
    fn numbers(self, column: usize) -> impl Iterator<Item = f64> {
        self.there(column)
            .map(|value| f64::from_bits(value.value() as u64))
    }
}

/// An aggregate over a column of the node's rows.
struct Aggregate {
    kind: Kind,
    column: usize,
    state: State,
}

impl Aggregate {
    /// Adds rows.
    fn add(&mut self, rows: Rows<'_>) -> Result<(), Overflow> {
        match &mut self.state {
            State::Count(count) if self.kind == Kind::Rows => {
                *count += (rows.values.len() / rows.width) as i64;
            }
            State::Count(count) => *count += rows.there(self.column).count() as i64,
            State::Moments(moments) => add_moments(moments, rows.numbers(self.column))?,
            State::Number(number) => {
                let mut numbers = rows.numbers(self.column);
                // PostgreSQL begins with the first value itself, which may be -0.
                let Some(first) = number.or_else(|| numbers.next()) else {
                    return Ok(());
                };
                *number = Some(match self.kind {
                    Kind::Least => numbers.fold(first, |a, b| if less(a, b) { a } else { b }),
                    Kind::Greatest => numbers.fold(first, |a, b| if less(b, a) { a } else { b }),
                    _ => add_up(first, numbers)?,
                });
            }
        }
        Ok(())
    }

    /// The state as PostgreSQL has it, made in the current memory context; none for NULL.
    fn datum(&self) -> Option<Datum> {
        match self.state {
            State::Count(count) => Some(Datum::from(count)),
            State::Number(number) => number.map(answer::number),
            State::Moments(moments) => Some(answer::numbers(&moments)),
        }
    }
}

/// PostgreSQL's order of numbers: NaN is greater than any other.
fn less(a: f64, b: f64) -> bool {
    !a.is_nan() && (b.is_nan() || a < b)
}

/// PostgreSQL's float8pl for one number after the other.
fn add_up(first: f64, numbers: impl Iterator<Item = f64>) -> Result<f64, Overflow> {
    let mut sum = first;
    for number in numbers {
        let before = sum;
        sum += number;
        if sum.is_infinite() && !before.is_infinite() && !number.is_infinite() {
            return Err(Overflow);
        }
    }
    Ok(sum)
}

/// PostgreSQL's float8_accum for one number after the other: Youngs and Cramer, "Some results relevant
/// to choice of sum and sum-of-product algorithms", Technometrics 13 (1971).
///
/// The mean does not need the squared distances, but where they overflow it is an error.
fn add_moments(moments: &mut [f64; 3], numbers: impl Iterator<Item = f64>) -> Result<(), Overflow> {
    let [mut count, mut sum, mut squares] = *moments;
    for number in numbers {
        let (others, before) = (count, sum);
        count += 1.0;
        sum += number;
        if others > 0.0 {
            let distance = number * count - sum;
            squares += distance * distance / (count * others);
            if sum.is_infinite() || squares.is_infinite() {
                if !before.is_infinite() && !number.is_infinite() {
                    return Err(Overflow);
                }
                squares = f64::NAN;
            }
        } else if !number.is_finite() {
            squares = f64::NAN;
        }
    }
    *moments = [count, sum, squares];
    Ok(())
}

/// The aggregates of a node, which then gives their states, in one row, in place of its own rows.
pub(super) struct Aggregates {
    all: Vec<Aggregate>,
    /// The row of the states: the columns of the node's rows, which are not there any more, come first.
    values: Vec<Datum>,
    nulls: Vec<bool>,
    given: bool,
}

impl Aggregates {
    /// Those of a node's plan, over these columns of its rows.
    ///
    /// # Safety
    /// A plan that was made by `node`.
    pub(super) unsafe fn new(plan: &pg_sys::CustomScan, columns: &[usize]) -> Option<Aggregates> {
        if columns.is_empty() {
            return None;
        }
        // SAFETY: as the caller says; the last columns are aggregates.
        let all = unsafe {
            aggregates(plan, columns.len())
                .zip(columns)
                .map(|(aggregate, &column)| {
                    let kind = Kind::of((*aggregate).aggfnoid)?;
                    let state = kind.begin();
                    Some(Aggregate {
                        kind,
                        column,
                        state,
                    })
                })
                .collect::<Option<Vec<_>>>()
        };
        let all = all.ok_or_else(|| Report::internal("an aggregate that a node does not know"));
        // SAFETY: the plan's list.
        let width = unsafe { lists::length(plan.custom_scan_tlist) };
        Some(Aggregates {
            all: all.or_raise(),
            values: vec![Datum::from(0_usize); width],
            nulls: vec![true; width],
            given: false,
        })
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) {
        self.given = false;
        for aggregate in &mut self.all {
            aggregate.state = aggregate.kind.begin();
        }
    }

    /// Adds rows; raises PostgreSQL's error where numbers overflow.
    pub(super) fn add(&mut self, rows: Rows<'_>) {
        if self
            .all
            .iter_mut()
            .any(|aggregate| aggregate.add(rows).is_err())
        {
            // SAFETY: raises an error and does nothing else.
            unsafe { pg_sys::float_overflow_error() };
        }
    }

    /// Whether the states have been given.
    pub(super) fn is_given(&self) -> bool {
        self.given
    }

    /// The row of the states, made in the current memory context.
    pub(super) fn give(&mut self) -> (*mut Datum, *mut bool) {
        self.given = true;
        let place = self.values.len() - self.all.len();
        for (i, aggregate) in self.all.iter().enumerate() {
            let state = aggregate.datum();
            self.nulls[place + i] = state.is_none();
            self.values[place + i] = state.unwrap_or(Datum::from(0_usize));
        }
        (self.values.as_mut_ptr(), self.nulls.as_mut_ptr())
    }

    /// What their functions are called, for EXPLAIN.
    ///
    /// # Safety
    /// The plan that they are of.
    pub(super) unsafe fn names(&self, plan: &pg_sys::CustomScan) -> Vec<String> {
        // SAFETY: as the caller says; a catalog look-up.
        unsafe {
            aggregates(plan, self.all.len())
                .map(|aggregate| {
                    let name = pg_sys::get_func_name((*aggregate).aggfnoid);
                    match name.is_null() {
                        true => String::new(),
                        false => CStr::from_ptr(name).to_string_lossy().into_owned(),
                    }
                })
                .collect()
        }
    }
}

/// The last columns of a node's plan, so many, which are aggregates.
unsafe fn aggregates(
    plan: &pg_sys::CustomScan,
    count: usize,
) -> impl Iterator<Item = *mut pg_sys::Aggref> {
    // SAFETY: the plan's list, which is longer.
    unsafe {
        let columns = plan.custom_scan_tlist;
        lists::items::<pg_sys::TargetEntry>(columns)
            .skip(lists::length(columns) - count)
            .map(|entry| (*entry).expr.cast())
    }
}
