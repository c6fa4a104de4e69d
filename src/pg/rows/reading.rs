//! The rows of an open query as typed columns, in memory as long as they fit.

use super::grouping::{Gathering, Row};
use super::spill::SpillFile;
use super::{Query, Reader};
use crate::features::{
    Block, Dictionary, Kind, MISSING, MemoryRows, RawRows, Sequences, Values, group_key,
};
use crate::pg::error::Report;
use crate::training::SequencePlan;

/// Rows gathered before they are written to a temporary file.
const SPILL_ROWS: usize = 4096;

/// Which column of the query is read, and how.
pub struct ColumnPlan {
    /// Its place in the query's result.
    pub place: usize,
    /// How a datum is read; `None`: not at all, each value is missing.
    pub reader: Option<Reader>,
    /// As what it is kept.
    pub kind: Kind,
    /// Whether a text is kept as the number that tells it from others, for columns that only
    /// group rows.
    pub hashed: bool,
    /// The dictionary that a category begins with.
    pub dictionary: Option<Dictionary>,
}

/// Where the rows are.
pub enum Store {
    /// All in memory.
    Memory(MemoryRows),
    /// In a temporary file of the backend.
    File(SpillFile),
}

impl Store {
    /// The rows, wherever they are.
    pub fn rows_mut(&mut self) -> &mut dyn RawRows {
        match self {
            Store::Memory(rows) => rows,
            Store::File(rows) => rows,
        }
    }

    /// The bytes of memory they take.
    pub fn memory(&self) -> usize {
        match self {
            Store::Memory(rows) => rows.block().memory(),
            Store::File(rows) => rows.memory(),
        }
    }
}

/// What was read.
pub struct Table {
    /// The rows.
    pub store: Store,
    /// The dictionary of each category column.
    pub dictionaries: Vec<Option<Dictionary>>,
    /// Rows left out because the target was NULL.
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

/// Reads all rows of the query. Rows whose column `required` (an index into `plans`) is NULL are
/// left out and counted; so are those without a sequence, where the rows are sorted into sequences,
/// which need such a column. When the rows take more than `memory_limit` bytes they go to a temporary
/// file.
pub fn read_table(
    query: &mut Query,
    plans: &[ColumnPlan],
    required: Option<usize>,
    sequence: Option<&SequencePlan>,
    memory_limit: usize,
) -> Result<Table, Report> {
    let mut block = Block::new(plans.iter().map(|plan| plan.kind));
    let mut dictionaries: Vec<Option<Dictionary>> =
        plans.iter().map(|plan| plan.dictionary.clone()).collect();
    let mut file: Option<SpillFile> = None;
    let mut without_target = 0;
    let mut without_sequence = 0;
    let mut gathering = match (sequence, required) {
        (Some(sequence), Some(target)) => {
            Some(Gathering::new(sequence, query.columns(), plans, target)?)
        }
        _ => None,
    };
    let mut buffer = String::new();
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
        for (i, plan) in plans.iter().enumerate() {
            let datum = values[plan.place];
            let reader = plan.reader.filter(|_| !nulls[plan.place]);
            // SAFETY: the reader was chosen for the column's type; NULLs are not read.
            unsafe {
                match (&mut block.columns[i], reader) {
                    (Values::Number(column), Some(reader)) if plan.hashed => {
                        column.push(group_key(reader.text(datum, &mut buffer)));
                    }
                    (Values::Number(column), Some(reader)) => column.push(reader.number(datum)),
                    (Values::Number(column), None) => column.push(f64::NAN),
                    (Values::Category(column), Some(reader)) => {
                        // The target's classes are its texts as they are.
                        let text = if required == Some(i) {
                            reader.text(datum, &mut buffer)
                        } else {
                            reader.level(datum, &mut buffer)
                        };
                        let code = dictionaries[i]
                            .as_mut()
                            .map_or(MISSING, |words| words.intern(text));
                        column.push(code);
                    }
                    (Values::Category(column), None) => column.push(MISSING),
                    (Values::Array(column), _) => column.close(),
                }
            }
        }
        block.rows += 1;
        if let Some(gathering) = &mut gathering {
            gathering.take(begins, &block.columns, &dictionaries)?;
        }
        // Looked at now and then: a row at a time would cost more than reading it.
        if block.rows.is_multiple_of(SPILL_ROWS) {
            if let Some(file) = &mut file {
                file.append(&block)?;
                block.clear();
            } else if block.memory() + dictionary_bytes(&dictionaries) > memory_limit {
                let mut created = SpillFile::create(plans.iter().map(|plan| plan.kind));
                created.append(&block)?;
                block = Block::new(plans.iter().map(|plan| plan.kind));
                file = Some(created);
            }
        }
        Ok(())
    })?;
    let store = match file {
        None => Store::Memory(MemoryRows::new(block)),
        Some(mut file) => {
            file.append(&block)?;
            Store::File(file)
        }
    };
    Ok(Table {
        store,
        dictionaries,
        without_target,
        without_sequence,
        sequences: gathering.map(|gathering| gathering.sequences),
    })
}

fn dictionary_bytes(dictionaries: &[Option<Dictionary>]) -> usize {
    dictionaries.iter().flatten().map(Dictionary::memory).sum()
}
