//! The rows of an open query as typed columns, in memory as long as they fit.

use pgrx::pg_sys;

use super::grouping::{Gathering, Row};
use super::spill::SpillFile;
use super::{ArrayReader, Elements, Query, Reader};
use crate::features::{
    ArrayShape, Block, Dictionary, Intake, Kind, MISSING, MemoryRows, OVERFLOW, RawRows, Sequences,
    Values, group_key, rows_of_block,
};
use crate::pg::error::Report;
use crate::pg::heap;
use crate::training::SequencePlan;

/// Bytes of a block, where rows hold arrays.
const BLOCK_BYTES: usize = 1 << 20;

/// Which column of the query is read, and how.
pub struct ColumnPlan {
    /// Its place in the query's result.
    pub place: usize,
    /// How a datum is read; `None`: not at all, each value is missing.
    pub reader: Option<Reader>,
    /// How a target's array is read.
    pub elements: Option<Elements>,
    /// As what it is kept.
    pub kind: Kind,
    /// Whether a text is kept as the number that tells it from others, for columns that only
    /// group rows.
    pub hashed: bool,
    /// The dictionary that a category begins with.
    pub dictionary: Option<Dictionary>,
    /// Of arrays, how they are read and what takes them in.
    pub array: Option<(ArrayReader, Intake)>,
}

impl ColumnPlan {
    /// The shape that the arrays read so far have.
    pub fn shape(&self) -> Option<ArrayShape> {
        self.array.as_ref().and_then(|(_, intake)| intake.shape())
    }
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
            Store::Memory(rows) => rows.memory(),
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
/// `memory_limit` bytes they go to a temporary file.
pub fn read_table(
    query: &mut Query,
    plans: &mut [ColumnPlan],
    required: Option<usize>,
    sequence: Option<&SequencePlan>,
    memory_limit: usize,
) -> Result<Table, Report> {
    let mut block = Block::new(plans.iter().map(|plan| plan.kind));
    let cells: usize = plans.iter().map(|plan| cell_bytes(plan.kind)).sum();
    let block_rows = rows_of_block(cells);
    let mut memory = MemoryRows::default();
    let mut recent: Vec<Recent> = plans.iter().map(|_| Recent::default()).collect();
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
                    dictionaries[required].as_mut(),
                    &mut buffer,
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
                        let code = recent[i].code(reader, datum, || {
                            // The target's classes are its texts as they are.
                            let text = if required == Some(i) {
                                reader.text(datum, &mut buffer)
                            } else {
                                reader.level(datum, &mut buffer)
                            };
                            let words = dictionaries[i].as_mut();
                            words.map_or(MISSING, |words| words.intern(text))
                        });
                        column.push(code);
                    }
                    (Values::Category(column), None) => column.push(MISSING),
                    (Values::Array(column), _) => match &mut plan.array {
                        Some((reader, intake)) => {
                            reader.read(datum, nulls[plan.place], intake, column)?;
                        }
                        None => column.close(),
                    },
                    // The target, read before.
                    (Values::Numbers(_) | Values::Labels(_), _) => {}
                }
            }
        }
        block.rows += 1;
        if let Some(gathering) = &mut gathering {
            gathering.take(begins, &block.columns, &dictionaries)?;
        }
        if block.rows == block_rows || (has_arrays && block.bytes() > BLOCK_BYTES) {
            if let Some(file) = &mut file {
                file.append(&block)?;
                block.clear();
            } else {
                let another = block.another();
                memory.push(std::mem::replace(&mut block, another));
                if memory.memory() + dictionary_bytes(&dictionaries) > memory_limit {
                    let mut created = SpillFile::create(plans.iter().map(|plan| plan.kind));
                    for block in std::mem::take(&mut memory).into_blocks() {
                        created.append(&block)?;
                    }
                    // The blocks were small: their memory is wanted for other things from here on.
                    heap::give_back();
                    file = Some(created);
                }
            }
        }
        Ok(())
    })?;
    let store = match file {
        None => {
            memory.push(block);
            Store::Memory(memory)
        }
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

/// Adds an array to its column, whether it is whole; one with a NULL in it is not, and left out.
/// The error is the number of dimensions of an array that is no plain list.
///
/// # Safety
/// `datum` is a non-NULL array of the type that `elements` are of.
unsafe fn read_array(
    elements: &Elements,
    datum: pg_sys::Datum,
    column: &mut Values,
    mut dictionary: Option<&mut Dictionary>,
    buffer: &mut String,
) -> Result<bool, usize> {
    let mut whole = true;
    // SAFETY: as the caller says; each element is of the reader's type.
    let dimensions = unsafe {
        elements.for_each(datum, |element| match (element, &mut *column) {
            (None, _) => whole = false,
            (Some(element), Values::Numbers(column)) => {
                column.open().push(elements.reader.number(element));
            }
            (Some(element), Values::Labels(column)) => {
                let text = elements.reader.text(element, buffer);
                let code = dictionary.as_mut().map_or(OVERFLOW, |d| d.intern(text));
                column.open().push(code);
            }
            _ => {}
        })
    };
    if dimensions > 1 {
        return Err(dimensions);
    }
    match column {
        Values::Numbers(column) if whole => column.close(),
        Values::Numbers(column) => {
            let start = column.start();
            column.open().truncate(start);
        }
        Values::Labels(column) if whole => {
            // One set has one form, whatever its order and however often it names a label.
            let start = column.start();
            let codes = column.open();
            codes[start..].sort_unstable();
            let mut seen = None;
            let mut kept = start;
            for at in start..codes.len() {
                let code = codes[at];
                if seen.replace(code) != Some(code) {
                    codes[kept] = code;
                    kept += 1;
                }
            }
            codes.truncate(kept);
            column.close();
        }
        Values::Labels(column) => {
            let start = column.start();
            column.open().truncate(start);
        }
        _ => {}
    }
    Ok(whole)
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
        Kind::Number | Kind::Array | Kind::Numbers | Kind::Labels => 8,
        Kind::Category => 4,
    }
}

/// The codes of the values that came last, so that a class or a level that is no text is not
/// written out and looked up again in every row.
struct Recent([Option<(usize, u32)>; 64]);

impl Default for Recent {
    fn default() -> Self {
        Recent([None; 64])
    }
}

impl Recent {
    /// The code of a value: `find` gives it where it is not known.
    #[inline]
    fn code(&mut self, reader: Reader, datum: pg_sys::Datum, find: impl FnOnce() -> u32) -> u32 {
        if !reader.is_by_value() {
            return find();
        }
        let bits = datum.value();
        // Neighbours that differ in the low or in the high bits have places of their own.
        let place = (bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let slot = &mut self.0[place as usize];
        match slot {
            Some((known, code)) if *known == bits => *code,
            _ => {
                let code = find();
                *slot = Some((bits, code));
                code
            }
        }
    }
}

fn dictionary_bytes(dictionaries: &[Option<Dictionary>]) -> usize {
    dictionaries.iter().flatten().map(Dictionary::memory).sum()
}
