//! Typed raw rows in a temporary file of the backend, read back by position.
//!
//! The file is PostgreSQL's own (`BufFile`): it stands in `temp_tablespaces`, counts against
//! `temp_file_limit`, and is gone at the end of the transaction, or of the process, however that comes.
//! Where the server has keys, it is encrypted.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::encryption::{self, Blocks};
use crate::features::{Arrays, Block, Error, Kind, RawRows, Values};
use crate::pg::encryption::blocks;
use crate::pg::error::Report;

/// Rows one after the other. In a row a number, whole or not, takes 8 bytes, a category's code 4, and an array 4
/// for its length; behind these cells come the arrays' values, 4 or 8 bytes each.
pub struct SpillFile {
    file: *mut pg_sys::BufFile,
    kinds: Vec<Kind>,
    /// Bytes of a row's cells.
    width: usize,
    rows: usize,
    /// Bytes in the file.
    bytes: u64,
    /// Where each row begins, and the end; only where arrays make rows unequal.
    starts: Option<Vec<u64>>,
    buffer: Vec<u8>,
    /// What the bytes go through on their way to the disk and back.
    sealed: Option<Box<Blocks>>,
    /// A block of those.
    record: Vec<u8>,
}

/// Bytes carried at once between the file and the columns, but at least a row.
const CHUNK_BYTES: usize = 256 << 10;
/// `BufFile` cuts a file in segments of this size (MAX_PHYSICAL_FILESIZE).
const SEGMENT: u64 = 0x4000_0000;

/// How long a temporary file stays at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the transaction ends.
    Transaction,
    /// Until the process ends. It stands in the database's default tablespace, so that none of
    /// `temp_tablespaces` is kept from being dropped.
    Process,
}

impl SpillFile {
    /// An empty file for columns of these kinds.
    pub fn create(
        kinds: impl Iterator<Item = Kind>,
        lifetime: Lifetime,
    ) -> Result<SpillFile, Report> {
        let kinds: Vec<Kind> = kinds.collect();
        let width = kinds.iter().map(|kind| size(*kind)).sum::<usize>().max(1);
        // SAFETY: makes a file owned by the current resource owner or by the process, in a context that
        // lives as long.
        let file = unsafe {
            let outer = pg_sys::MemoryContextSwitchTo(match lifetime {
                Lifetime::Transaction => pg_sys::TopTransactionContext,
                Lifetime::Process => pg_sys::TopMemoryContext,
            });
            pg_sys::PrepareTempTablespaces();
            let file = pg_sys::BufFileCreateTemp(lifetime == Lifetime::Process);
            pg_sys::MemoryContextSwitchTo(outer);
            file
        };
        Ok(SpillFile {
            file,
            starts: kinds.iter().any(|kind| kind.is_array()).then(|| vec![0]),
            kinds,
            width,
            rows: 0,
            bytes: 0,
            buffer: Vec::new(),
            sealed: blocks()?.map(Box::new),
            record: Vec::new(),
        })
    }

    /// The bytes of memory it takes, the file itself not counted.
    pub fn memory(&self) -> usize {
        let starts = self.starts.as_ref().map_or(0, Vec::capacity) * size_of::<u64>();
        self.buffer.capacity() + starts + 16 * 1024
    }

    /// Adds the rows of a block.
    pub fn append(&mut self, block: &Block) -> Result<(), Report> {
        if self.sealed.is_none() {
            seek(self.file, self.bytes).map_err(failed)?;
        }
        let mut start = 0;
        while start < block.rows {
            self.buffer.clear();
            let mut end = start;
            while end < block.rows && (end == start || self.buffer.len() < CHUNK_BYTES) {
                self.put(block, end);
                end += 1;
                if let Some(starts) = &mut self.starts {
                    starts.push(self.bytes + self.buffer.len() as u64);
                }
            }
            match &mut self.sealed {
                None => write(self.file, &mut self.buffer),
                Some(blocks) => blocks
                    .append(&self.buffer, |place, record| {
                        seek(self.file, place)?;
                        write(self.file, record);
                        Ok::<_, Error>(())
                    })
                    .map_err(failed)?,
            }
            self.bytes += self.buffer.len() as u64;
            start = end;
        }
        self.rows += block.rows;
        Ok(())
    }

    /// Puts a row of the block behind what the buffer holds.
    fn put(&mut self, block: &Block, row: usize) {
        let begin = self.buffer.len();
        for values in &block.columns {
            match values {
                Values::Number(column) => {
                    self.buffer.extend_from_slice(&column[row].to_ne_bytes());
                }
                Values::Integer(column) => {
                    self.buffer.extend_from_slice(&column[row].to_ne_bytes());
                }
                Values::Category(column) => {
                    self.buffer.extend_from_slice(&column[row].to_ne_bytes());
                }
                Values::Array(column) => put_length(column, row, &mut self.buffer),
                Values::Numbers(column) => put_length(column, row, &mut self.buffer),
                Values::Labels(column) => put_length(column, row, &mut self.buffer),
            }
        }
        self.buffer.resize(begin + self.width, 0);
        for values in &block.columns {
            match values {
                Values::Number(_) | Values::Integer(_) | Values::Category(_) => {}
                Values::Array(column) => put_array(column, row, &mut self.buffer),
                Values::Numbers(column) => put_array(column, row, &mut self.buffer),
                Values::Labels(column) => put_array(column, row, &mut self.buffer),
            }
        }
    }

    /// Where a row begins.
    fn position(&self, row: usize) -> u64 {
        match &self.starts {
            Some(starts) => starts.get(row).copied().unwrap_or(self.bytes),
            None => row as u64 * self.width as u64,
        }
    }

    /// Fills the buffer with what stands from that position on.
    fn fill(&mut self, position: u64, bytes: usize) -> Result<(), Error> {
        self.buffer.clear();
        self.buffer.resize(bytes, 0);
        match &self.sealed {
            None => {
                seek(self.file, position)?;
                match read(self.file, &mut self.buffer) == bytes {
                    true => Ok(()),
                    false => Err(unreadable("it ends too early")),
                }
            }
            Some(blocks) => {
                let file = self.file;
                let (into, record) = (&mut self.buffer, &mut self.record);
                blocks.read(position, into, record, |place, record| {
                    seek(file, place)?;
                    Ok(read(file, record))
                })
            }
        }
    }
}

impl From<encryption::Error> for Error {
    fn from(error: encryption::Error) -> Self {
        unreadable(&error.to_string())
    }
}

fn failed(error: Error) -> Report {
    Report::new(Code::ERRCODE_IO_ERROR, error.to_string())
}

fn seek(file: *mut pg_sys::BufFile, position: u64) -> Result<(), Error> {
    // SAFETY: the file is open; the position is within it or at its end.
    let failed = unsafe {
        pg_sys::BufFileSeek(
            file,
            (position / SEGMENT) as i32,
            (position % SEGMENT) as _,
            libc::SEEK_SET,
        )
    };
    if failed == 0 {
        Ok(())
    } else {
        Err(unreadable("a position that cannot be reached"))
    }
}

fn write(file: *mut pg_sys::BufFile, bytes: &mut [u8]) {
    // SAFETY: the file is open and the bytes are there; a full disk or temp_file_limit raises
    // PostgreSQL's own error.
    unsafe { pg_sys::BufFileWrite(file, bytes.as_mut_ptr().cast(), bytes.len() as _) };
}

/// How many bytes could be read.
fn read(file: *mut pg_sys::BufFile, into: &mut [u8]) -> usize {
    // SAFETY: the file is open and there is room for that many bytes.
    let read = unsafe { pg_sys::BufFileRead(file, into.as_mut_ptr().cast(), into.len() as _) };
    read as usize
}

/// Bytes of a cell.
fn size(kind: Kind) -> usize {
    match kind {
        Kind::Number | Kind::Integer => 8,
        Kind::Category | Kind::Array | Kind::Numbers | Kind::Labels => 4,
    }
}

/// An array's value in the file.
trait Stored: Copy {
    const SIZE: usize;
    fn put(self, into: &mut Vec<u8>);
    fn take(bytes: &mut &[u8]) -> Result<Self, Error>;
}

macro_rules! stored {
    ($($type:ty)*) => {$(
        impl Stored for $type {
            const SIZE: usize = size_of::<$type>();

            fn put(self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_ne_bytes());
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, Error> {
                take(bytes).map(<$type>::from_ne_bytes)
            }
        }
    )*};
}

stored!(f32 f64 u32);

/// Puts the length of a row's array behind what the buffer holds.
fn put_length<T: Copy>(column: &Arrays<T>, row: usize, buffer: &mut Vec<u8>) {
    let length = column.get(row).map_or(0, <[T]>::len) as u32;
    buffer.extend_from_slice(&length.to_ne_bytes());
}

/// Puts a row's array behind what the buffer holds.
fn put_array<T: Stored>(column: &Arrays<T>, row: usize, buffer: &mut Vec<u8>) {
    for value in column.get(row).unwrap_or_default() {
        value.put(buffer);
    }
}

/// Takes an array's length from the cells, and its values from what stands behind them.
fn take_array<T: Stored>(
    cells: &mut &[u8],
    values: &mut &[u8],
    column: &mut Arrays<T>,
) -> Result<(), Error> {
    let length = u32::take(cells)? as usize;
    let (mut own, rest) = values
        .split_at_checked(T::SIZE * length)
        .ok_or_else(|| unreadable("an array that ends too early"))?;
    column.open().reserve(length);
    for _ in 0..length {
        let value = T::take(&mut own)?;
        column.open().push(value);
    }
    column.close();
    *values = rest;
    Ok(())
}

/// The first bytes of the slice, which is cut by them.
fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Error> {
    let (head, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| unreadable("a row that ends too early"))?;
    *bytes = rest;
    Ok(*head)
}

/// Puts the rows of the bytes behind those of the block.
fn unpack(mut bytes: &[u8], rows: usize, width: usize, into: &mut Block) -> Result<(), Error> {
    for _ in 0..rows {
        let row = bytes;
        let mut cells = row;
        let mut numbers = row
            .get(width..)
            .ok_or_else(|| unreadable("a row that ends too early"))?;
        for values in &mut into.columns {
            match values {
                Values::Number(column) => column.push(f64::from_ne_bytes(take(&mut cells)?)),
                Values::Integer(column) => column.push(i64::from_ne_bytes(take(&mut cells)?)),
                Values::Category(column) => column.push(u32::from_ne_bytes(take(&mut cells)?)),
                Values::Array(column) => take_array(&mut cells, &mut numbers, column)?,
                Values::Numbers(column) => take_array(&mut cells, &mut numbers, column)?,
                Values::Labels(column) => take_array(&mut cells, &mut numbers, column)?,
            }
        }
        bytes = numbers;
    }
    Ok(())
}

impl RawRows for SpillFile {
    fn rows(&self) -> usize {
        self.rows
    }

    fn row_bytes(&self) -> usize {
        (self.bytes as usize).div_ceil(self.rows.max(1))
    }

    fn read(&mut self, start: usize, count: usize, into: &mut Block) -> Result<(), Error> {
        if start.saturating_add(count) > self.rows {
            return Err(unreadable("a read beyond the last row"));
        }
        let fits = into.columns.len() == self.kinds.len()
            && into
                .columns
                .iter()
                .zip(&self.kinds)
                .all(|(values, kind)| values.kind() == *kind);
        if !fits {
            *into = Block::new(self.kinds.iter().copied());
        }
        into.clear();
        let (mut row, end) = (start, start + count);
        while row < end {
            let from = self.position(row);
            let rows = match &self.starts {
                None => (CHUNK_BYTES / self.width).clamp(1, end - row),
                Some(starts) => starts[row + 1..end]
                    .partition_point(|&start| start - from <= CHUNK_BYTES as u64)
                    .max(1),
            };
            let bytes = (self.position(row + rows) - from) as usize;
            self.fill(from, bytes)?;
            unpack(&self.buffer, rows, self.width, into)?;
            row += rows;
        }
        into.rows = count;
        Ok(())
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // When an error unwinds through here the resource owner closes the file at the end of the
        // transaction; only the ordinary way closes it early.
        if !std::thread::panicking() {
            // SAFETY: created by us, closed once.
            unsafe { pg_sys::BufFileClose(self.file) };
        }
    }
}

fn unreadable(what: &str) -> Error {
    Error::Read(std::io::Error::other(format!(
        "the temporary file of the rows: {what}"
    )))
}
