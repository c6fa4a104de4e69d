//! The rows of a pass, those with the most steps first.
//!
//! The rows that are still there at a step are then the first ones, as in PyTorch's packed
//! sequences, and no step is computed that is not there.

/// The rows in the order in which they are computed.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    /// The rows by their places, as bits.
    rows: &'a [f32],
    /// How many steps each has, as bits.
    steps: &'a [f32],
    /// Whether the last step comes first.
    backwards: bool,
}

impl<'a> Order<'a> {
    /// Values of memory that it takes.
    pub fn memory(rows: usize) -> usize {
        rows.saturating_mul(2)
    }

    /// The order of so many rows. Also hands back the memory that is left.
    pub fn new(
        memory: &'a mut [f32],
        rows: usize,
        steps: impl Fn(usize) -> usize,
    ) -> (Self, &'a mut [f32]) {
        let (order, memory) = memory.split_at_mut(rows);
        let (lengths, memory) = memory.split_at_mut(rows);
        for (row, (place, length)) in order.iter_mut().zip(lengths.iter_mut()).enumerate() {
            *place = f32::from_bits(row as u32);
            *length = f32::from_bits(steps(row) as u32);
        }
        if !lengths.is_sorted_by(|a, b| a.to_bits() >= b.to_bits()) {
            let key = |place: &f32| {
                let row = place.to_bits();
                (std::cmp::Reverse(lengths[row as usize].to_bits()), row)
            };
            order.sort_unstable_by_key(key);
            for (place, length) in order.iter().zip(lengths.iter_mut()) {
                *length = f32::from_bits(steps(place.to_bits() as usize) as u32);
            }
        }
        let order = Order {
            rows: order,
            steps: lengths,
            backwards: false,
        };
        (order, memory)
    }

    /// The same rows, each from its last step to its first.
    pub fn backwards(self, backwards: bool) -> Self {
        Self { backwards, ..self }
    }

    /// Steps of the longest row.
    pub fn longest(&self) -> usize {
        self.steps
            .first()
            .map_or(0, |steps| steps.to_bits() as usize)
    }

    /// How many of the first rows are there at a step.
    pub fn active(&self, step: usize) -> usize {
        self.steps
            .partition_point(|steps| steps.to_bits() as usize > step)
    }

    /// The row at a place.
    #[inline]
    pub fn row(&self, place: usize) -> usize {
        self.rows[place].to_bits() as usize
    }

    /// How many steps the row at a place has.
    #[inline]
    pub fn steps(&self, place: usize) -> usize {
        self.steps[place].to_bits() as usize
    }

    /// When the row at a place takes a step, counted from where it begins: at which of its steps.
    #[inline]
    pub fn time(&self, place: usize, step: usize) -> usize {
        if self.backwards {
            self.steps(place) - 1 - step
        } else {
            step
        }
    }
}

/// Where the values of a row's steps lie: those of row r, time t begin at
/// `r * stride + t * step + first`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Distance from a row to the next.
    pub stride: usize,
    /// Distance from a step to the next.
    pub step: usize,
    /// From a step's first value on.
    pub first: usize,
    /// Number of values.
    pub width: usize,
}

impl Places {
    /// Where those of a row at a time begin.
    #[inline]
    pub fn at(&self, row: usize, time: usize) -> usize {
        row * self.stride + time * self.step + self.first
    }
}
