//! How large a table is, and how it is cut into batches.
//!
//! Batches are ranges of pages. The partitions of a table, or the tables that inherit from it,
//! are walked side by side: a batch is the same range of pages in each. So every statement names
//! the table of the call alone, whose rights and policies count, as in any UPDATE.

use pgrx::PgSqlErrorCode as Code;
use pgrx::pg_sys;

use crate::pg::error::{Report, Result};
use crate::pg::inheritance::inheritors;

/// Pages from `from` up to but not including `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Pages {
    /// The first half, quarter, … of the pages, halved so many times: at least one page.
    pub(super) fn first_part(self, halved: u32) -> Self {
        let pages = (self.to - self.from).checked_shr(halved).unwrap_or(0);
        Self {
            from: self.from,
            to: self.from + pages.max(1),
        }
    }
}

/// The tables that hold the rows, as large as they were at one moment.
pub(super) struct Extent {
    leaves: Vec<Leaf>,
}

/// A table of its own, a partition or a table that inherits.
struct Leaf {
    file: File,
    pages: u32,
    /// As the planner estimates it.
    rows_per_page: f64,
}

/// The file that a table's rows are in: another one after TRUNCATE, VACUUM FULL, CLUSTER or an
/// ALTER TABLE that rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    table: pg_sys::Oid,
    number: pg_sys::Oid,
}

/// The files of a table, its partitions and heirs, which stay the same until the transaction
/// ends: all are locked as an UPDATE locks them.
///
/// # Errors
/// 42809 for a foreign table among them, 0A000 for one that is no heap.
pub(super) fn files(table: pg_sys::Oid) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for_each_leaf(table, |file, _| files.push(file))?;
    Ok(files)
}

/// A table, its partitions and heirs, which are locked as an UPDATE locks them.
pub(super) fn heirs(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    inheritors(table, pg_sys::RowExclusiveLock)
}

fn for_each_leaf(table: pg_sys::Oid, mut each: impl FnMut(File, pg_sys::Relation)) -> Result<()> {
    for oid in heirs(table) {
        // SAFETY: locked by the search; the relation is closed again, the lock stays.
        unsafe {
            let relation = pg_sys::relation_open(oid, pg_sys::NoLock as i32);
            let row = &*(*relation).rd_rel;
            let temporary_elsewhere = row.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP
                && !(*relation).rd_islocaltemp;
            let partitioned = row.relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
            // An UPDATE leaves out other sessions' temporary tables, too.
            if !partitioned && !temporary_elsewhere {
                check_storage(relation)?;
                let file = File {
                    table: oid,
                    number: row.relfilenode,
                };
                each(file, relation);
            }
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        }
    }
    Ok(())
}

/// # Safety
/// `relation` is open.
unsafe fn check_storage(relation: pg_sys::Relation) -> Result<()> {
    // SAFETY: as the caller says.
    let (row, name) = unsafe {
        let row = &*(*relation).rd_rel;
        (row, pg_sys::name_data_to_str(&row.relname))
    };
    if row.relkind as u8 == pg_sys::RELKIND_FOREIGN_TABLE {
        return Err(Report::new(
            Code::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{name}\" is a foreign table, whose pages cannot be walked"),
        )
        .hint("Score it with UPDATE and neural.predict, or on the server that holds it."));
    }
    if row.relam != pg_sys::HEAP_TABLE_AM_OID {
        return Err(Report::new(
            Code::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("table \"{name}\" is not stored as a heap"),
        )
        .hint("Score it with UPDATE and neural.predict."));
    }
    Ok(())
}

impl Extent {
    /// The extent of a table and of what belongs to it, as of now.
    ///
    /// # Errors
    /// As for [`files`].
    pub(super) fn read(table: pg_sys::Oid) -> Result<Self> {
        let mut leaves = Vec::new();
        for_each_leaf(table, |file, relation| {
            let (mut pages, mut rows, mut visible) = (0, 0.0, 0.0);
            // SAFETY: the relation is open and a heap.
            let now = unsafe {
                pg_sys::estimate_rel_size(
                    relation,
                    std::ptr::null_mut(),
                    &mut pages,
                    &mut rows,
                    &mut visible,
                );
                let main = pg_sys::ForkNumber::MAIN_FORKNUM;
                pg_sys::RelationGetNumberOfBlocksInFork(relation, main)
            };
            leaves.push(Leaf {
                file,
                pages: now,
                rows_per_page: rows / f64::from(pages.max(1)),
            });
        })?;
        Ok(Self { leaves })
    }

    /// Whether these are its files still.
    pub(super) fn is_in(&self, files: &[File]) -> bool {
        self.leaves.iter().map(|leaf| &leaf.file).eq(files)
    }

    /// Pages of the longest table.
    pub(super) fn pages(&self) -> u32 {
        self.leaves.iter().map(|leaf| leaf.pages).max().unwrap_or(0)
    }

    /// Rows in all pages before this one, about.
    pub(super) fn rows_before(&self, page: u32) -> f64 {
        let rows = |leaf: &Leaf| leaf.rows_per_page * f64::from(page.min(leaf.pages));
        self.leaves.iter().map(rows).sum()
    }

    /// Where a batch of about so many rows ends that begins at this page: at least one page on.
    pub(super) fn end_of(&self, from: u32, rows: f64) -> u32 {
        // What has ended by then makes batches smaller, not larger.
        let running = self.leaves.iter().filter(|leaf| leaf.pages > from);
        let a_page: f64 = running.map(|leaf| leaf.rows_per_page).sum();
        let pages = (rows / a_page.max(1.0)) as u32;
        from.saturating_add(pages.max(1)).min(self.pages())
    }
}
