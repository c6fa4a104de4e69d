//! The rows of an open query as typed columns, in memory as long as they fit.

use pgrx::pg_sys;
use rayon::ThreadPool;

use super::grouping::{Gathering, Row};
use super::spill::SpillFile;
use super::{ArrayReader, Elements, Query, Reader};
use crate::features::{
    ArrayShape, Block, Cells, Dictionary, Intake, Kind, MISSING, MemoryRows, OVERFLOW, RawRows,
    Sequences, Values, group_key, rows_of_block,
};
use crate::memory;
use crate::nn;
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
/// `memory_limit` bytes they go to a temporary file. A thread of the pool turns rows into columns
/// meanwhile.
pub fn read_table(
    query: &mut Query,
    plans: &mut [ColumnPlan],
    required: Option<usize>,
    sequence: Option<&SequencePlan>,
    memory_limit: usize,
    pool: &ThreadPool,
) -> Result<Table, Report> {
    let plain =
        |plan: &ColumnPlan| matches!(plan.kind, Kind::Number | Kind::Integer | Kind::Category);
    if sequence.is_none() && plans.iter().all(plain) {
        read_cells(query, plans, required, memory_limit, pool)
    } else {
        read_values(query, plans, required, sequence, memory_limit)
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
    memory_limit: usize,
    pool: &ThreadPool,
) -> Result<Table, Report> {
    let block_rows = block_rows(plans);
    let turned_bytes = block_rows
        * plans
            .iter()
            .map(|plan| 8 + cell_bytes(plan.kind))
            .sum::<usize>();
    let mut store = Filling::new(plans, memory_limit.saturating_sub(HANDED * turned_bytes));
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
    memory_limit: usize,
) -> Result<Table, Report> {
    let mut block = Block::new(plans.iter().map(|plan| plan.kind));
    let block_rows = block_rows(plans);
    let mut store = Filling::new(plans, memory_limit);
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

/// Blocks on their way to where the rows will be.
struct Filling {
    memory: MemoryRows,
    file: Option<SpillFile>,
    memory_limit: usize,
    kinds: Vec<Kind>,
}

impl Filling {
    fn new(plans: &[ColumnPlan], memory_limit: usize) -> Filling {
        Filling {
            memory: MemoryRows::default(),
            file: None,
            memory_limit,
            kinds: plans.iter().map(|plan| plan.kind).collect(),
        }
    }

    /// Takes a full block, in whose place comes an empty one with as much room.
    fn take(&mut self, block: &mut Block, words: &Words) -> Result<(), Report> {
        if let Some(file) = &mut self.file {
            file.append(block)?;
            block.clear();
            return Ok(());
        }
        // The dictionaries double their room, the old beside the new; blocks are small.
        memory::ask_for_many(words.memory().saturating_mul(2))?;
        let another = block.another();
        self.memory.push(std::mem::replace(block, another));
        if self.memory.memory() + words.memory() > self.memory_limit {
            let mut created = SpillFile::create(self.kinds.iter().copied());
            for block in std::mem::take(&mut self.memory).into_blocks() {
                created.append(&block)?;
            }
            // The blocks were small: their memory is wanted for other things from here on.
            heap::give_back();
            self.file = Some(created);
        }
        Ok(())
    }

    /// Takes the last block.
    fn finish(mut self, block: Block) -> Result<Store, Report> {
        Ok(match self.file {
            None => {
                self.memory.push(block);
                Store::Memory(self.memory)
            }
            Some(mut file) => {
                file.append(&block)?;
                Store::File(file)
            }
        })
    }
}

/// What turns single values into numbers and codes.
struct Words {
    dictionaries: Vec<Option<Dictionary>>,
    recent: Vec<Recent>,
    /// The target's column.
    required: Option<usize>,
    buffer: String,
}

impl Words {
    fn new(plans: &[ColumnPlan], required: Option<usize>) -> Words {
        Words {
            dictionaries: plans.iter().map(|plan| plan.dictionary.clone()).collect(),
            recent: plans.iter().map(|_| Recent::default()).collect(),
            required,
            buffer: String::new(),
        }
    }

    /// The value of a column of numbers; NaN for NULL, and where it is not to be read.
    ///
    /// # Safety
    /// The datum is of the column's type.
    #[inline]
    unsafe fn number(&mut self, plan: &ColumnPlan, datum: Option<pg_sys::Datum>) -> f64 {
        let (Some(reader), Some(datum)) = (plan.reader, datum) else {
            return f64::NAN;
        };
        // SAFETY: as the caller says.
        unsafe {
            match plan.hashed {
                true => group_key(reader.text(datum, &mut self.buffer)),
                false => reader.number(datum),
            }
        }
    }

    /// The value of a column of integers, which is read where it is not NULL.
    ///
    /// # Safety
    /// The datum is of the column's type.
    #[inline]
    unsafe fn integer(&self, plan: &ColumnPlan, datum: Option<pg_sys::Datum>) -> i64 {
        match (plan.reader, datum) {
            // SAFETY: as the caller says.
            (Some(reader), Some(datum)) => unsafe { reader.integer(datum) },
            _ => 0,
        }
    }

    /// The code of the value of the category column `i`.
    ///
    /// # Safety
    /// As for [`Words::number`].
    unsafe fn code(&mut self, i: usize, plan: &ColumnPlan, datum: Option<pg_sys::Datum>) -> u32 {
        let (Some(reader), Some(datum)) = (plan.reader, datum) else {
            return MISSING;
        };
        self.recent[i].code(reader, datum, || {
            // SAFETY: as the caller says.
            let text = unsafe {
                // The target's classes are its texts as they are.
                if self.required == Some(i) {
                    reader.text(datum, &mut self.buffer)
                } else {
                    reader.level(datum, &mut self.buffer)
                }
            };
            let words = self.dictionaries[i].as_mut();
            words.map_or(MISSING, |words| words.intern(text))
        })
    }

    /// The bytes of memory that the dictionaries take.
    fn memory(&self) -> usize {
        let dictionaries = self.dictionaries.iter().flatten();
        dictionaries.map(Dictionary::memory).sum()
    }
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
        Kind::Number | Kind::Integer | Kind::Array | Kind::Numbers | Kind::Labels => 8,
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
