//! Rows one behind the other, as they are read, and their turning into columns.

use super::block::Block;
use super::values::Values;

/// Rows turned at once: their cells stay in the processor's nearest cache, column after column.
const TURNED_ROWS: usize = 64;

/// The cells of some rows, row by row: of a number or a whole number its bits, of a category its code.
///
/// Reading writes them in one place after the other. Writing each into its column at once costs
/// several times as much, as columns that begin at like addresses drive each other from the cache.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    rows: usize,
    cells: Vec<u64>,
}

impl Cells {
    /// No cells, with room for so many.
    pub fn with_capacity(cells: usize) -> Cells {
        Cells {
            rows: 0,
            cells: Vec::with_capacity(cells),
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row's cells.
    #[inline]
    pub fn push(&mut self, row: impl Iterator<Item = u64>) {
        self.cells.extend(row);
        self.rows += 1;
    }

    /// Adds the rows to a block that has a column of numbers or categories for each cell of a row,
    /// and forgets them.
    pub fn turn_into(&mut self, block: &mut Block) {
        let width = block.columns.len();
        for rows in self.cells.chunks(TURNED_ROWS * width.max(1)) {
            for (place, column) in block.columns.iter_mut().enumerate() {
                let cells = rows.iter().skip(place).step_by(width);
                match column {
                    Values::Number(numbers) => numbers.extend(cells.map(|&x| f64::from_bits(x))),
                    Values::Integer(integers) => integers.extend(cells.map(|&x| x as i64)),
                    Values::Category(codes) => codes.extend(cells.map(|&code| code as u32)),
                    Values::Array(_) | Values::Numbers(_) | Values::Labels(_) => {}
                }
            }
        }
        block.rows += self.rows;
        self.rows = 0;
        self.cells.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Kind;

    #[test]
    fn rows_become_columns() {
        for rows in [0, 1, TURNED_ROWS, 3 * TURNED_ROWS + 5] {
            let mut block = Block::new([Kind::Number, Kind::Category, Kind::Number]);
            let mut cells = Cells::default();
            for row in 0..rows {
                let number = |x: f64| (x + row as f64).to_bits();
                cells.push([number(0.5), row as u64, number(-0.25)].into_iter());
            }
            assert_eq!(cells.rows(), rows);
            cells.turn_into(&mut block);
            assert_eq!((cells.rows(), block.rows), (0, rows));
            let numbers = |x: f64| Values::Number((0..rows).map(|row| x + row as f64).collect());
            let codes = Values::Category((0..rows as u32).collect());
            assert_eq!(block.columns, [numbers(0.5), codes, numbers(-0.25)]);
        }
    }
}
