//! Columns of the network's input that do not stand side by side, gathered; no parameters.

use std::ops::Range;

use crate::nn::layer::{Backward, Forward, Layer, Operation};

/// Rows of the network's input to rows [rows, width].
#[derive(Debug)]
pub(in crate::nn) struct Select {
    pub ranges: Vec<Range<usize>>,
    pub width: usize,
}

impl Layer for Select {
    fn forward(&self, pass: Forward<'_>) {
        let columns = pass.inputs.columns();
        for (row, output) in pass.output.chunks_exact_mut(self.width).enumerate() {
            let x = columns.row(row);
            let mut start = 0;
            for range in &self.ranges {
                output[start..start + range.len()].copy_from_slice(&x[range.clone()]);
                start += range.len();
            }
        }
    }

    /// The network's input does not learn.
    fn backward(&self, _pass: Backward<'_>) {}

    fn operation(&self) -> Operation {
        Operation::Select {
            ranges: self.ranges.clone(),
        }
    }
}
