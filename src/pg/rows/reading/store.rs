//! Where the rows that are read go.

use super::words::Words;
use crate::features::{Block, Kind, MemoryRows, RawRows};
use crate::memory;
use crate::pg::error::Report;
use crate::pg::heap;
use crate::pg::rows::ColumnPlan;
use crate::pg::rows::spill::{Lifetime, SpillFile};

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

/// Blocks on their way to where the rows will be.
pub(super) struct Filling {
    memory: MemoryRows,
    file: Option<SpillFile>,
    memory_limit: usize,
    lifetime: Lifetime,
    kinds: Vec<Kind>,
}

impl Filling {
    pub(super) fn new(plans: &[ColumnPlan], memory_limit: usize, lifetime: Lifetime) -> Filling {
        Filling {
            memory: MemoryRows::default(),
            file: None,
            memory_limit,
            lifetime,
            kinds: plans.iter().map(|plan| plan.kind).collect(),
        }
    }

    /// Takes a full block, in whose place comes an empty one with as much room.
    pub(super) fn take(&mut self, block: &mut Block, words: &Words) -> Result<(), Report> {
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
            let mut created = SpillFile::create(self.kinds.iter().copied(), self.lifetime)?;
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
    pub(super) fn finish(mut self, block: Block) -> Result<Store, Report> {
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
