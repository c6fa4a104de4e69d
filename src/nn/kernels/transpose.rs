//! Rows become columns.

use super::processor::{Processor, Task};

/// Side of the squares that are turned at once.
const SIDE: usize = 8;

/// Writes the matrix `from`, rows of `columns` values one after the other, into `to`, whose rows
/// are the columns of `from` and begin `stride` apart.
///
/// # Panics
/// If `to` is too short, or its rows overlap.
pub(in crate::nn) fn transpose(from: &[f32], columns: usize, to: &mut [f32], stride: usize) {
    let rows = from.len().checked_div(columns).unwrap_or(0);
    if rows == 0 {
        return;
    }
    assert!(
        rows <= stride && (columns - 1) * stride + rows <= to.len(),
        "a matrix that does not hold the columns"
    );
    Processor::detect().run(Transpose {
        from,
        rows,
        columns,
        to,
        stride,
    });
}

struct Transpose<'a> {
    from: &'a [f32],
    rows: usize,
    columns: usize,
    to: &'a mut [f32],
    stride: usize,
}

impl Task for Transpose<'_> {
    #[inline(always)]
    fn run(self) {
        let Transpose {
            from,
            rows,
            columns,
            to,
            stride,
        } = self;
        let (whole_rows, whole_columns) = (rows / SIDE * SIDE, columns / SIDE * SIDE);
        for row in (0..whole_rows).step_by(SIDE) {
            for column in (0..whole_columns).step_by(SIDE) {
                let square: [[f32; SIDE]; SIDE] = std::array::from_fn(|r| {
                    let start = (row + r) * columns + column;
                    *from[start..].first_chunk().unwrap_or(&[0.0; SIDE])
                });
                let turned = turned(square);
                for (c, values) in turned.iter().enumerate() {
                    let start = (column + c) * stride + row;
                    to[start..start + SIDE].copy_from_slice(values);
                }
            }
        }
        // What is left beside and below the squares.
        for row in 0..rows {
            let first = if row < whole_rows { whole_columns } else { 0 };
            for column in first..columns {
                to[column * stride + row] = from[row * columns + column];
            }
        }
    }
}

/// The square with rows and columns exchanged: halves of ever smaller squares change places, which
/// compilers make shuffles of.
#[inline(always)]
fn turned(mut square: [[f32; SIDE]; SIDE]) -> [[f32; SIDE]; SIDE] {
    let mut half = SIDE / 2;
    while half > 0 {
        for row in 0..SIDE {
            if row & half == 0 {
                let (upper, lower) = (square[row], square[row + half]);
                for column in 0..SIDE {
                    if column & half == 0 {
                        square[row][column + half] = lower[column];
                        square[row + half][column] = upper[column + half];
                    }
                }
            }
        }
        half /= 2;
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_finds_its_place() {
        for (rows, columns) in [(1, 1), (8, 8), (64, 20), (20, 64), (13, 9), (3, 40)] {
            let stride = rows + 5;
            let from: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let mut to = vec![-1.0; columns * stride];
            transpose(&from, columns, &mut to, stride);
            for row in 0..rows {
                for column in 0..columns {
                    assert_eq!(to[column * stride + row], from[row * columns + column]);
                }
            }
            assert_eq!(to.iter().filter(|&&x| x == -1.0).count(), columns * 5);
        }
    }
}
