//! The sum of rows, column by column: a bias's gradient.

use super::processor::{Processor, Task};
use crate::nn::base::stop::{Pace, VALUE};

/// Adds rows, each as long as the sum, to it.
pub(in crate::nn) fn add_rows(rows: &[f32], sum: &mut [f32], pace: &Pace<'_>) {
    let width = sum.len();
    let count = rows.len() / width.max(1);
    for part in pace.parts(count, width * VALUE / 4, FOUR) {
        let rows = &rows[part.start * width..part.end * width];
        Processor::detect().run(AddRows { rows, sum });
    }
}

/// Rows that are added up before they are added to the sum.
const FOUR: usize = 4;

struct AddRows<'a> {
    rows: &'a [f32],
    sum: &'a mut [f32],
}

impl Task for AddRows<'_> {
    #[inline(always)]
    fn run(self) {
        // Four rows at a time, so that the sum is read and written less often.
        let width = self.sum.len();
        let mut fours = self.rows.chunks_exact(FOUR * width);
        for four in &mut fours {
            let (a, rest) = four.split_at(width);
            let (b, rest) = rest.split_at(width);
            let (c, d) = rest.split_at(width);
            let rows = a.iter().zip(b).zip(c.iter().zip(d));
            for (sum, ((a, b), (c, d))) in self.sum.iter_mut().zip(rows) {
                *sum += (a + b) + (c + d);
            }
        }
        for row in fours.remainder().chunks_exact(width) {
            self.sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
    }
}
