//! One direction of one layer, from step to step.

use std::marker::PhantomData;

use super::cell::{Cell, StepForward};
use super::kind::{Kind, with_cell};
use super::order::{Order, Places};
use super::weights::{Direction, StepProducts, StepWeights};
use crate::nn::base::stop::Pace;
use crate::nn::kernels::processor::{Processor, Task};

/// Where the values of the steps are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// One step after the other, for a backward pass.
    All,
    /// Only what the next step needs: two blocks of so many rows in turn; the columns of one step.
    Last(usize),
}

/// The buffers of the steps, row after row.
pub(super) struct Buffers<'a> {
    /// What enters a step: its input and the state before it.
    pub entering: &'a mut [f32],
    /// What the products give.
    pub columns: &'a mut [f32],
    /// What the cell keeps beside.
    pub kept: &'a mut [f32],
    /// As many zeros as are kept of a step of one row.
    pub zeros: &'a [f32],
    /// Working memory of the products.
    pub products: &'a mut [f32],
}

/// A pass through the steps.
pub(super) struct Pass<'a> {
    pub direction: Direction,
    pub products: StepProducts<'a>,
    pub order: Order<'a>,
    pub keep: Keep,
    /// The values that enter, and where they lie.
    pub source: (&'a [f32], Places),
    /// Where the states go: all of them, or each row's last.
    pub all_states: bool,
    pub target: Places,
    pub processor: Processor,
    /// Asked at each step: once it says stop, the pass ends with whatever result.
    pub pace: &'a Pace<'a>,
}

impl Pass<'_> {
    /// Computes the states. Rows of no steps are left alone.
    pub fn run(&self, buffers: Buffers<'_>, output: &mut [f32]) {
        let direction = &self.direction;
        let entering = direction.entering();
        let columns = direction.columns();
        let kept = direction.kept(self.keep == Keep::All);
        let mut rows = self.order.active(0);
        // Where the rows of this step, of the one before and of the next begin.
        let (mut before, mut here) = (0, 0);
        let mut step = 0;
        for row in buffers.entering[..rows * entering].chunks_exact_mut(entering) {
            row[direction.inputs..].fill(0.0);
        }
        while rows > 0 {
            // Beside the products, which look for themselves.
            if self.pace.spend_values(rows * (entering + columns)) {
                return;
            }
            let next_rows = self.order.active(step + 1);
            let (next, first_column) = match self.keep {
                Keep::All => (here + rows, here * columns),
                Keep::Last(most) => (most - here, 0),
            };
            let (now, after) = apart(buffers.entering, here, next, rows, next_rows, entering);
            self.enter(now, step);
            let values = &mut buffers.columns[first_column..][..rows * columns];
            for product in self.products.iter().flatten() {
                let x = &now[product.from..];
                let values = &mut values[product.column..];
                match product.weights {
                    StepWeights::Floats(panels) => {
                        panels.forward(x, entering, rows, values, columns, self.pace);
                    }
                    StepWeights::Integers(dense) => dense.forward_paced(
                        x,
                        entering,
                        rows,
                        values,
                        columns,
                        buffers.products,
                        self.pace,
                    ),
                }
            }
            let (kept_before, kept_now) = match step {
                0 => (&[][..], &mut buffers.kept[here * kept..][..rows * kept]),
                _ => {
                    let (a, b) = apart(buffers.kept, before, here, rows, rows, kept);
                    (&*a, b)
                }
            };
            let task = Step {
                direction,
                order: self.order,
                step,
                entering: now,
                after,
                columns: values,
                kept_before,
                kept: kept_now,
                zeros: buffers.zeros,
                output,
                target: self.target,
                all_states: self.all_states,
            };
            with_cell!(direction.kind, C => self.processor.run(On::<C>(task, PhantomData)));
            (before, here, rows) = (here, next, next_rows);
            step += 1;
        }
    }

    /// Fetches the inputs of a step.
    fn enter(&self, entering: &mut [f32], step: usize) {
        let (source, places) = self.source;
        let rows = entering.chunks_exact_mut(self.direction.entering());
        for (place, row) in rows.enumerate() {
            let from = places.at(self.order.row(place), self.order.time(place, step));
            row[..places.width].copy_from_slice(&source[from..][..places.width]);
        }
    }
}

/// Two blocks of a buffer of rows: `rows` from one place and `other_rows` from another, which does
/// not overlap; the second may be empty.
fn apart(
    buffer: &mut [f32],
    place: usize,
    other: usize,
    rows: usize,
    other_rows: usize,
    width: usize,
) -> (&mut [f32], &mut [f32]) {
    let (size, other_size) = (rows * width, other_rows * width);
    if other_rows == 0 {
        (&mut buffer[place * width..][..size], &mut [])
    } else if place < other {
        let (low, high) = buffer.split_at_mut(other * width);
        (&mut low[place * width..][..size], &mut high[..other_size])
    } else {
        let (low, high) = buffer.split_at_mut(place * width);
        (&mut high[..size], &mut low[other * width..][..other_size])
    }
}

/// The cells of a step.
struct Step<'a> {
    direction: &'a Direction,
    order: Order<'a>,
    step: usize,
    entering: &'a [f32],
    /// What enters the next step; has fewer rows where some end here.
    after: &'a mut [f32],
    columns: &'a mut [f32],
    kept_before: &'a [f32],
    kept: &'a mut [f32],
    zeros: &'a [f32],
    output: &'a mut [f32],
    target: Places,
    all_states: bool,
}

struct On<'a, C>(Step<'a>, PhantomData<C>);

impl<C: Cell> Task for On<'_, C> {
    #[inline(always)]
    fn run(self) {
        let step = self.0;
        let Direction {
            activation,
            inputs,
            units,
            ..
        } = *step.direction;
        let width = inputs + units;
        let columns = C::COLUMNS * units;
        let rows = step.columns.len() / columns;
        let kept = step.kept.len() / rows;
        let going_on = step.after.len() / width;
        for place in 0..rows {
            let at = step
                .target
                .at(step.order.row(place), step.order.time(place, step.step));
            let before = match step.kept_before {
                [] => step.zeros,
                before => &before[place * kept..][..kept],
            };
            let goes_on = place < going_on;
            let output = if goes_on {
                &mut step.after[place * width + inputs..][..units]
            } else {
                &mut step.output[at..][..units]
            };
            C::forward(StepForward {
                units,
                activation,
                columns: &mut step.columns[place * columns..][..columns],
                kept: &mut step.kept[place * kept..][..kept],
                before,
                state: &step.entering[place * width + inputs..][..units],
                output,
            });
            if goes_on && step.all_states {
                let state = &step.after[place * width + inputs..][..units];
                step.output[at..][..units].copy_from_slice(state);
            }
        }
    }
}
