//! Raw rows that tell how they are read.

use pg_neural::features::{self, Block, Blocks, MemoryRows, RawRows};

/// Raw rows that count how often they are read.
pub struct Counted {
    pub rows: MemoryRows,
    pub reads: usize,
    /// Whether they can be looked at where they lie.
    pub in_place: bool,
}

impl RawRows for Counted {
    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn row_bytes(&self) -> usize {
        self.rows.row_bytes()
    }

    fn blocks(&self) -> Option<Blocks<'_>> {
        self.rows.blocks().filter(|_| self.in_place)
    }

    fn read(
        &mut self,
        start: usize,
        count: usize,
        into: &mut Block,
    ) -> Result<(), features::Error> {
        self.reads += 1;
        self.rows.read(start, count, into)
    }
}
