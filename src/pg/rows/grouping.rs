//! Sequences told apart in rows that are sorted by them.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use super::{ColumnPlan, Reader, ResultColumn};
use crate::features::{Dictionary, Origin, Sequences, Values};
use crate::pg::error::Report;
use crate::training::SequencePlan;

/// What a row is to the sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// It is of none: what tells sequences apart is NULL.
    NoSequence,
    /// Its target is NULL, as is that of all rows of its sequence.
    NoTarget,
    /// The first step of a sequence.
    First,
    /// The next step of the same sequence.
    Next,
}

/// Tells from row to row whether a new sequence begins.
pub struct Grouping {
    by: Vec<KeyColumn>,
    order: Vec<(usize, String)>,
    target: Option<(usize, String)>,
    /// Whether there is a sequence yet.
    begun: bool,
    /// Whether the target is NULL in the sequence at hand.
    without_target: bool,
    buffer: String,
}

struct KeyColumn {
    place: usize,
    name: String,
    reader: Reader,
    /// Its text in the sequence at hand.
    value: String,
}

impl Grouping {
    /// For rows with these columns, of which those at the places `by` tell the sequences apart,
    /// those at `order` order the steps, and the one at `target`, if it matters, is the target.
    ///
    /// # Errors
    /// A column that cannot tell sequences apart because of its type.
    pub fn new(
        columns: &[ResultColumn],
        by: &[usize],
        order: &[usize],
        target: Option<usize>,
    ) -> Result<Grouping, Report> {
        let keys = by.iter().map(|&place| {
            let column = &columns[place];
            let reader = Reader::for_type(column.type_oid).ok_or_else(|| {
                Report::new(
                    Code::ERRCODE_DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {}, which cannot tell sequences apart",
                        column.name, column.type_name
                    ),
                )
                .hint("Cast it to text or to a number in the query.")
            })?;
            Ok(KeyColumn {
                place,
                name: column.name.clone(),
                reader,
                value: String::new(),
            })
        });
        let named = |&place: &usize| (place, columns[place].name.clone());
        Ok(Grouping {
            by: keys.collect::<Result<_, Report>>()?,
            order: order.iter().map(named).collect(),
            target: target.as_ref().map(named),
            begun: false,
            without_target: false,
            buffer: String::new(),
        })
    }

    /// What the next row is.
    ///
    /// # Errors
    /// A row without a place in its sequence, or a target that is NULL in only some of its rows.
    ///
    /// # Safety
    /// The datums are of the types of the columns this was made for.
    pub unsafe fn next(&mut self, values: &[pg_sys::Datum], nulls: &[bool]) -> Result<Row, Report> {
        if self.by.iter().any(|key| nulls[key.place]) {
            return Ok(Row::NoSequence);
        }
        let mut begins = !self.begun;
        self.begun = true;
        for key in &mut self.by {
            // SAFETY: as the caller says; not NULL.
            let text = unsafe { key.reader.level(values[key.place], &mut self.buffer) };
            // What is sorted as one number is one.
            let text = if text == "-0" { "0" } else { text };
            if key.value != text {
                begins = true;
                key.value.clear();
                key.value.push_str(text);
            }
        }
        if let Some((_, name)) = self.order.iter().find(|(place, _)| nulls[*place]) {
            return Err(Report::new(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!(
                    "\"{name}\", which orders the steps, is NULL in a row of the sequence {}",
                    self.key()
                ),
            )
            .hint("Leave such rows out with a WHERE clause in the query."));
        }
        if let Some((place, name)) = &self.target {
            let null = nulls[*place];
            if !begins && null != self.without_target {
                return Err(Report::new(
                    Code::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!(
                        "the target \"{name}\" is NULL in some rows of the sequence {} and not in \
                         others",
                        self.key()
                    ),
                )
                .hint(ONE_TARGET));
            }
            self.without_target = null;
            if null {
                return Ok(Row::NoTarget);
            }
        }
        Ok(if begins { Row::First } else { Row::Next })
    }

    /// What tells the sequence at hand from others, for messages: `customer "17"`.
    pub fn key(&self) -> String {
        let parts: Vec<String> = self
            .by
            .iter()
            .map(|key| format!("{} \"{}\"", key.name, clipped(&key.value)))
            .collect();
        parts.join(", ")
    }

    /// The error about a column that differs within the sequence at hand.
    pub fn differs(&self, what: &str, first: &str, other: &str) -> Report {
        Report::new(
            Code::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "{what} is both {} and {} in the sequence {}",
                clipped(first),
                clipped(other),
                self.key()
            ),
        )
        .hint(ONE_TARGET)
    }
}

const ONE_TARGET: &str = "A sequence is one example: all of its rows must have the same target, \
                          weight and side of the split.";

/// So much of a text as a message has room for.
fn clipped(text: &str) -> String {
    const MOST: usize = 100;
    let mut clipped: String = text.chars().take(MOST).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

/// Sequences gathered while their rows are read.
pub(super) struct Gathering {
    grouping: Grouping,
    /// The columns that must be the same in all rows of a sequence.
    constants: Vec<Constant>,
    pub(super) sequences: Sequences,
}

/// A column with its value in the first row of the sequence at hand.
struct Constant {
    /// Where among the columns that are read it is.
    at: usize,
    what: String,
    origin: Option<Origin>,
    first: Values,
}

impl Gathering {
    /// For the rows of a query that is sorted as `plan` says. Of the columns that are read those
    /// from `target` on are the same in all rows of a sequence, but for what orders the steps.
    pub(super) fn new(
        plan: &SequencePlan,
        columns: &[ResultColumn],
        reads: &[ColumnPlan],
        target: usize,
    ) -> Result<Gathering, Report> {
        let target_place = reads.get(target).map(|read| read.place);
        let constants = reads.iter().enumerate().skip(target);
        let constants = constants.filter(|(at, _)| plan.newest != Some(*at));
        Ok(Gathering {
            grouping: Grouping::new(columns, &plan.by, &plan.order, target_place)?,
            constants: constants
                .map(|(at, read)| Constant {
                    at,
                    what: format!(
                        "{} \"{}\"",
                        if at == target { "the target" } else { "column" },
                        columns[read.place].name
                    ),
                    origin: read.reader.map(Reader::origin),
                    first: Values::new(read.kind),
                })
                .collect(),
            sequences: Sequences::new(),
        })
    }

    /// What the next row is.
    ///
    /// # Safety
    /// As for [`Grouping::next`].
    pub(super) unsafe fn next(
        &mut self,
        values: &[pg_sys::Datum],
        nulls: &[bool],
    ) -> Result<Row, Report> {
        // SAFETY: as the caller says.
        unsafe { self.grouping.next(values, nulls) }
    }

    /// The error of a sequence whose target is an array with a NULL in it in some rows only.
    pub(super) fn partly_null(&self) -> Report {
        let what = self.constants.first().map_or("", |target| &target.what);
        let (first, other) = ("an array with a NULL in it", "one without");
        self.grouping.differs(what, first, other)
    }

    /// Takes the row that was read last.
    ///
    /// # Errors
    /// A value that is another one than in the sequence's first row.
    pub(super) fn take(
        &mut self,
        begins: bool,
        columns: &[Values],
        dictionaries: &[Option<Dictionary>],
    ) -> Result<(), Report> {
        self.sequences.push(begins);
        for constant in &mut self.constants {
            let values = &columns[constant.at];
            let row = values.len() - 1;
            if begins {
                constant.first.clear();
                constant.first.pick(values, std::iter::once(row));
            } else if !values.same(row, &constant.first, 0) {
                let words = dictionaries[constant.at].as_ref();
                let first = shown(&constant.first, 0, words, constant.origin);
                let other = shown(values, row, words, constant.origin);
                return Err(self.grouping.differs(&constant.what, &first, &other));
            }
        }
        Ok(())
    }
}

/// A value as people write it.
fn shown(
    values: &Values,
    row: usize,
    words: Option<&Dictionary>,
    origin: Option<Origin>,
) -> String {
    match values {
        Values::Category(codes) => {
            let text = codes.get(row).and_then(|&code| words?.text(code));
            text.map_or("NULL".into(), |text| format!("\"{text}\""))
        }
        Values::Number(numbers) => match (numbers.get(row), origin) {
            (Some(number), Some(Origin::Boolean)) if !number.is_nan() => {
                (*number != 0.0).to_string()
            }
            (Some(number), _) if !number.is_nan() => number.to_string(),
            _ => "NULL".into(),
        },
        Values::Integer(integers) => integers.get(row).map_or("NULL".into(), i64::to_string),
        Values::Array(arrays) => format!("{:?}", arrays.get(row).unwrap_or_default()),
        Values::Numbers(arrays) => format!("{:?}", arrays.get(row).unwrap_or_default()),
        Values::Labels(arrays) => {
            let codes = arrays.get(row).unwrap_or_default().iter();
            let texts: Vec<&str> = codes.filter_map(|&code| words?.text(code)).collect();
            format!("{texts:?}")
        }
    }
}
