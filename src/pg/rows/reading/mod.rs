//! The rows of an open query as typed columns, in memory as long as they fit.

mod store;
mod words;

use rayon::ThreadPool;

use super::column_plan::ColumnPlan;
use super::grouping::{Gathering, Row};
use super::{Lifetime, Query, Reader};
use crate::features::{Block, Cells, Dictionary, Kind, Sequences, Values, rows_of_block};
use crate::nn;
use crate::pg::error::Report;
use crate::training::SequencePlan;

use store::Filling;
pub use store::Store;
use words::{Words, read_array};

/// Bytes of a block, where rows hold arrays.
const BLOCK_BYTES: usize = 1 << 20;

/// What was read.
pub struct Table {
    /// The rows.
    pub store: Store,
    /// The dictionary of each category column.
    pub dictionaries: Vec<Option<Dictionary>>,
    /// Rows left out because the target was NULL, or an element of it.
    pub without_target: u64,
    /// Rows left out because what tells sequences apart was NULL.
    pub without_sequence: u64,
    /// Which rows are the steps of which sequence, where they are.
    pub sequences: Option<Sequences>,
}

impl Table {
    /// The bytes of memory it takes.
    pub fn memory(&self) -> usize {
        self.store.memory() + self.sequences.as_ref().map_or(0, Sequences::memory)
    }
}

/// Reads all rows of the query. Rows whose column `required` (an index into `plans`) is NULL, or an
/// array with a NULL in it, are left out and counted; so are those without a sequence, where the
/// rows are sorted into sequences, which need such a column. When the rows take more than
/// as many bytes as `room` says they go to a temporary file of that lifetime. A thread of the pool turns
/// rows into columns meanwhile.
pub fn read_table(
    query: &mut Query,
    plans: &mut [ColumnPlan],
    required: Option<usize>,
    sequence: Option<&SequencePlan>,
    room: (usize, Lifetime),
    pool: &ThreadPool,
) -> Result<Table, Report> {
    let plain =
        |plan: &ColumnPlan| matches!(plan.kind, Kind::Number | Kind::Integer | Kind::Category);
    if sequence.is_none() && plans.iter().all(plain) {
        read_cells(query, plans, required, room, pool)
    } else {
        read_values(query, plans, required, sequence, room)
    }
}

/// Reads rows whose values are numbers and categories.
///
/// Only this thread may call PostgreSQL, but what it reads need not become columns here: of the 264
/// ms that reading 1,000,000 rows of 20 float8 and a boolean took when each value went to its
/// column at once, 88 were that, and some 40 the first touch of the columns' memory.
///
/// The thread aside moves numbers from one buffer to another and nothing else: were the backend
/// terminated here, which unwinds nothing, it would do so until the process ends.
fn read_cells(
    query: &mut Query,
    plans: &mut [ColumnPlan],
    required: Option<usize>,
    (memory_limit, lifetime): (usize, Lifetime),
    pool: &ThreadPool,
) -> Result<Table, Report> {
    let block_rows = block_rows(plans);
    let turned_bytes = block_rows
        * plans
            .iter()
            .map(|plan| 8 + cell_bytes(plan.kind))
            .sum::<usize>();
    let memory_limit = memory_limit.saturating_sub(HANDED * turned_bytes);
    let mut store = Filling::new(plans, memory_limit, lifetime);
    let mut words = Words::new(plans, required);
    let mut without_target = 0;
    let fresh = || {
        let mut block = Block::new(plans.iter().map(|plan| plan.kind));
        // Here, as each thread has its memory from a place of its own, which it does not give back.
        block.reserve(block_rows);
        (Cells::with_capacity(block_rows * plans.len()), block)
    };
    // Of each cell its place in the row, and whether it is the datum as it stands.
    let is_double = |plan: &ColumnPlan| {
        plan.kind == Kind::Number && plan.reader == Some(Reader::Float8) && !plan.hashed
    };
    let cells: Vec<(usize, bool)> = plans
        .iter()
        .map(|plan| (plan.place, is_double(plan)))
        .collect();
    let mut current = fresh();
    let mut others: Vec<(Cells, Block)> = (1..HANDED).map(|_| fresh()).collect();
    let turn = |(cells, block): &mut (Cells, Block)| cells.turn_into(block);
    let rest = nn::aside(pool, turn, |aside| {
        let mut handed = 0;
        query.for_each(|values, nulls| {
            if required.is_some_and(|required| nulls[plans[required].place]) {
                without_target += 1;
                return Ok(());
            }
            current
                .0
                .push(cells.iter().enumerate().map(|(i, &(place, is_double))| {
                    let datum = (!nulls[place]).then_some(values[place]);
                    if is_double {
                        return datum.map_or(f64::NAN.to_bits(), |datum| datum.value() as u64);
                    }
                    let plan = &plans[i];
                    // SAFETY: the reader was chosen for the column's type; NULLs are not read.
                    unsafe {
                        match plan.kind {
                            Kind::Number => words.number(plan, datum).to_bits(),
                            Kind::Integer => words.integer(plan, datum) as u64,
                            _ => u64::from(words.code(i, plan, datum)),
                        }
                    }
                }));
            if current.0.rows() < block_rows {
                return Ok(());
            }
            let next = match others.pop() {
                Some(unused) => unused,
                None => {
                    handed -= 1;
                    let (cells, mut block) = aside.take().ok_or_else(turner_is_gone)?;
                    store.take(&mut block, &words)?;
                    (cells, block)
                }
            };
            handed += 1;
            aside.give(std::mem::replace(&mut current, next));
            Ok(())
        })?;
        for _ in 0..handed {
            let (_, mut block) = aside.take().ok_or_else(turner_is_gone)?;
            store.take(&mut block, &words)?;
        }
        let (mut cells, mut block) = current;
        cells.turn_into(&mut block);
        Ok::<Block, Report>(block)
    })?;
    Ok(Table {
        store: store.finish(rest)?,
        dictionaries: words.dictionaries,
        without_target,
        without_sequence: 0,
        sequences: None,
    })
}

/// Blocks that are filled or turned at once.
const HANDED: usize = 2;

/// Never seen, as the panic it comes from is.
fn turner_is_gone() -> Report {
    Report::internal("the thread that turns rows into columns has ended")
}

/// Reads rows of any kind, value by value.
fn read_values(
    query: &mut Query,
    plans: &mut [ColumnPlan],
    required: Option<usize>,
    sequence: Option<&SequencePlan>,
    (memory_limit, lifetime): (usize, Lifetime),
) -> Result<Table, Report> {
    let mut block = Block::new(plans.iter().map(|plan| plan.kind));
    let block_rows = block_rows(plans);
    let mut store = Filling::new(plans, memory_limit, lifetime);
    let mut words = Words::new(plans, required);
    let mut without_target = 0;
    let mut without_sequence = 0;
    let mut gathering = match (sequence, required) {
        (Some(sequence), Some(target)) => {
            Some(Gathering::new(sequence, query.columns(), plans, target)?)
        }
        _ => None,
    };
    // Of a sequence, whether its target has no NULL in it.
    let mut is_whole = true;
    let names: Vec<String> = query.columns().iter().map(|c| c.name.clone()).collect();
    let has_arrays = plans.iter().any(|plan| plan.kind.is_array());
    query.for_each(|values, nulls| {
        let mut begins = false;
        if let Some(gathering) = &mut gathering {
            // SAFETY: the values are of the query's columns, for which it was made.
            match unsafe { gathering.next(values, nulls)? } {
                Row::NoSequence => {
                    without_sequence += 1;
                    return Ok(());
                }
                row => begins = row == Row::First,
            }
        }
        if let Some(required) = required
            && nulls[plans[required].place]
        {
            without_target += 1;
            return Ok(());
        }
        // First, since only its elements tell whether the row counts.
        if let Some(required) = required
            && let Some(elements) = &plans[required].elements
        {
            let place = plans[required].place;
            // SAFETY: the elements are of the column's type; it is not NULL.
            let whole = unsafe {
                read_array(
                    elements,
                    values[place],
                    &mut block.columns[required],
                    words.dictionaries[required].as_mut(),
                    &mut words.buffer,
                )
            };
            let whole = whole.map_err(|dimensions| not_flat(&names[place], dimensions))?;
            if let Some(gathering) = &gathering {
                if begins {
                    is_whole = whole;
                } else if is_whole != whole {
                    return Err(gathering.partly_null());
                }
            }
            if !whole {
                without_target += 1;
                return Ok(());
            }
        }
        for (i, plan) in plans.iter_mut().enumerate() {
            let datum = (!nulls[plan.place]).then_some(values[plan.place]);
            // SAFETY: the reader was chosen for the column's type; NULLs are not read.
            unsafe {
                match &mut block.columns[i] {
                    Values::Number(column) => column.push(words.number(plan, datum)),
                    Values::Integer(column) => column.push(words.integer(plan, datum)),
                    Values::Category(column) => column.push(words.code(i, plan, datum)),
                    Values::Array(column) => match &mut plan.array {
                        Some((reader, intake)) => {
                            let (datum, null) = (values[plan.place], nulls[plan.place]);
                            reader.read(datum, null, intake, column)?;
                        }
                        None => column.close(),
                    },
                    // Without an intake the target, read before.
                    Values::Numbers(column) => {
                        if let Some((reader, intake)) = &mut plan.array {
                            let (datum, null) = (values[plan.place], nulls[plan.place]);
                            reader.read(datum, null, intake, column)?;
                        }
                    }
                    Values::Labels(_) => {}
                }
            }
        }
        block.rows += 1;
        if let Some(gathering) = &mut gathering {
            gathering.take(begins, &block.columns, &words.dictionaries)?;
        }
        if block.rows == block_rows || (has_arrays && block.bytes() > BLOCK_BYTES) {
            store.take(&mut block, &words)?;
        }
        Ok(())
    })?;
    Ok(Table {
        store: store.finish(block)?,
        dictionaries: words.dictionaries,
        without_target,
        without_sequence,
        sequences: gathering.map(|gathering| gathering.sequences),
    })
}

/// Rows of a block of these columns, their arrays not counted.
fn block_rows(plans: &[ColumnPlan]) -> usize {
    rows_of_block(plans.iter().map(|plan| cell_bytes(plan.kind)).sum())
}

fn not_flat(column: &str, dimensions: usize) -> Report {
    Report::invalid(format!(
        "the target \"{column}\" is an array of {dimensions} dimensions in a row"
    ))
    .hint("Give the outputs of a row as a plain list, such as ARRAY[1.5, 2.5].")
}

/// Bytes of a row's cell, those of an array not counted.
fn cell_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Number | Kind::Integer | Kind::Array | Kind::Numbers | Kind::Labels => 8,
        Kind::Category => 4,
    }
}
