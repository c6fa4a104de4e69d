//! Typed raw rows in a temporary file of the backend, read back by position.
//!
//! The file is PostgreSQL's own (`BufFile`): it stands in `temp_tablespaces`, counts against
//! `temp_file_limit`, and is gone at the end of the transaction however that comes.

use pgrx::{PgSqlErrorCode as Code, pg_sys};

use crate::features::{Block, Error, Kind, RawRows, Values};
use crate::pg::error::Report;

/// Rows of fixed width, one after the other: a number takes 8 bytes, a category's code 4.
pub struct SpillFile {
    file: *mut pg_sys::BufFile,
    kinds: Vec<Kind>,
    width: usize,
    rows: usize,
    buffer: Vec<u8>,
}

/// Rows carried at once between the file and the columns.
const CHUNK_BYTES: usize = 256 << 10;
/// `BufFile` cuts a file in segments of this size (MAX_PHYSICAL_FILESIZE).
const SEGMENT: u64 = 0x4000_0000;

impl SpillFile {
    /// An empty file for columns of these kinds.
    pub fn create(kinds: impl Iterator<Item = Kind>) -> SpillFile {
        let kinds: Vec<Kind> = kinds.collect();
        let width = kinds.iter().map(|kind| size(*kind)).sum::<usize>().max(1);
        // SAFETY: makes a file owned by the current resource owner, in a context that outlives
        // the reading of one batch.
        let file = unsafe {
            let outer = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
            pg_sys::PrepareTempTablespaces();
            let file = pg_sys::BufFileCreateTemp(false);
            pg_sys::MemoryContextSwitchTo(outer);
            file
        };
        SpillFile {
            file,
            kinds,
            width,
            rows: 0,
            buffer: Vec::new(),
        }
    }

    /// The bytes of memory it takes, the file itself not counted.
    pub fn memory(&self) -> usize {
        self.buffer.capacity() + 16 * 1024
    }

    /// Adds the rows of a block.
    pub fn append(&mut self, block: &Block) -> Result<(), Report> {
        self.seek(self.rows)
            .map_err(|error| Report::new(Code::ERRCODE_IO_ERROR, error.to_string()))?;
        let step = (CHUNK_BYTES / self.width).max(1);
        let mut start = 0;
        while start < block.rows {
            let count = step.min(block.rows - start);
            self.buffer.clear();
            self.buffer.resize(count * self.width, 0);
            let mut offset = 0;
            for values in &block.columns {
                match values {
                    Values::Number(column) => {
                        for (i, value) in column[start..start + count].iter().enumerate() {
                            let at = i * self.width + offset;
                            self.buffer[at..at + 8].copy_from_slice(&value.to_ne_bytes());
                        }
                        offset += 8;
                    }
                    Values::Category(column) => {
                        for (i, code) in column[start..start + count].iter().enumerate() {
                            let at = i * self.width + offset;
                            self.buffer[at..at + 4].copy_from_slice(&code.to_ne_bytes());
                        }
                        offset += 4;
                    }
                }
            }
            // SAFETY: the file is open and the buffer holds that many bytes; a full disk or
            // temp_file_limit raises PostgreSQL's own error.
            unsafe {
                pg_sys::BufFileWrite(
                    self.file,
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len() as _,
                );
            }
            start += count;
        }
        self.rows += block.rows;
        Ok(())
    }

    fn seek(&mut self, row: usize) -> Result<(), Error> {
        let position = row as u64 * self.width as u64;
        // SAFETY: the file is open; the position is within it or at its end.
        let failed = unsafe {
            pg_sys::BufFileSeek(
                self.file,
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
}

fn size(kind: Kind) -> usize {
    match kind {
        Kind::Number => 8,
        Kind::Category => 4,
    }
}

impl RawRows for SpillFile {
    fn rows(&self) -> usize {
        self.rows
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
        self.seek(start)?;
        let step = (CHUNK_BYTES / self.width).max(1);
        let mut done = 0;
        while done < count {
            let rows = step.min(count - done);
            self.buffer.clear();
            self.buffer.resize(rows * self.width, 0);
            // SAFETY: the file is open and the buffer holds that many bytes.
            let read = unsafe {
                pg_sys::BufFileRead(
                    self.file,
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len() as _,
                )
            };
            if read as usize != self.buffer.len() {
                return Err(unreadable("it ends too early"));
            }
            let mut offset = 0;
            for values in &mut into.columns {
                let cells = self.buffer.chunks_exact(self.width);
                match values {
                    Values::Number(column) => {
                        column.extend(cells.map(|row| {
                            let mut bytes = [0; 8];
                            bytes.copy_from_slice(&row[offset..offset + 8]);
                            f64::from_ne_bytes(bytes)
                        }));
                        offset += 8;
                    }
                    Values::Category(column) => {
                        column.extend(cells.map(|row| {
                            let mut bytes = [0; 4];
                            bytes.copy_from_slice(&row[offset..offset + 4]);
                            u32::from_ne_bytes(bytes)
                        }));
                        offset += 4;
                    }
                }
            }
            done += rows;
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
