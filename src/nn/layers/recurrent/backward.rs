//! The gradients of one direction of one layer, from the last step to the first.

use std::marker::PhantomData;

use super::cell::{Cell, StepBackward};
use super::kind::{Kind, with_cell};
use super::order::{Order, Places};
use super::weights::{Direction, Weights};
use crate::nn::base::stop::Pace;
use crate::nn::kernels::matrix::{matrix_mut, multiply_paced, strided};
use crate::nn::kernels::packed_product::Panels;
use crate::nn::kernels::processor::{Processor, Task};

/// What a forward pass left, one step after the other.
pub(super) struct Left<'a> {
    /// What entered the steps.
    pub entering: &'a [f32],
    /// What the cells made of the products; becomes the gradient with respect to them.
    pub columns: &'a mut [f32],
    /// What the cells kept beside.
    pub kept: &'a [f32],
    /// As many zeros as are kept of a step of one row.
    pub zeros: &'a [f32],
}

/// Working memory, a row of `units` for each of the rows.
pub(super) struct Working<'a> {
    /// The gradient with respect to the state.
    pub gradient: &'a mut [f32],
    /// What a cell hands back besides.
    pub carry: &'a mut [f32],
    /// The gradient with respect to the biases of the columns: one row of them.
    pub bias: &'a mut [f32],
}

/// A pass back through the steps.
pub(super) struct Pass<'a> {
    pub direction: Direction,
    pub order: Order<'a>,
    /// Gives the gradient of a state from the columns it enters.
    pub state_product: Panels<'a>,
    /// The gradient with respect to the output, and where it lies.
    pub gradient: (&'a [f32], Places),
    /// Whether that is with respect to all states or each row's last.
    pub all_states: bool,
    pub processor: Processor,
    /// Asked at each step: once it says stop, the pass ends with whatever result.
    pub pace: &'a Pace<'a>,
}

impl Pass<'_> {
    /// Turns the columns into the gradients with respect to the products, and adds up those of the
    /// biases.
    pub fn run(&self, left: &mut Left<'_>, working: Working<'_>) {
        let direction = &self.direction;
        let (units, columns) = (direction.units, direction.columns());
        let (entering, kept) = (direction.entering(), direction.kept(true));
        working.gradient.fill(0.0);
        working.carry.fill(0.0);
        working.bias.fill(0.0);
        let longest = self.order.longest();
        let mut here: usize = (0..longest).map(|step| self.order.active(step)).sum();
        for step in (0..longest).rev() {
            let rows = self.order.active(step);
            here -= rows;
            if self.pace.spend_values(rows * (entering + columns)) {
                return;
            }
            let kept_before = match step {
                0 => &[][..],
                _ => &left.kept[(here - self.order.active(step - 1)) * kept..][..rows * kept],
            };
            let task = Step {
                pass: self,
                step,
                entering: &left.entering[here * entering..][..rows * entering],
                columns: &mut left.columns[here * columns..][..rows * columns],
                kept_before,
                kept: &left.kept[here * kept..][..rows * kept],
                zeros: left.zeros,
                gradient: &mut *working.gradient,
                carry: &mut *working.carry,
                bias: &mut *working.bias,
            };
            with_cell!(direction.kind, C => self.processor.run(On::<C>(task, PhantomData)));
            if step > 0 {
                let first = here * columns + direction.kind.state_column() * units;
                self.state_product.forward(
                    &left.columns[first..],
                    columns,
                    rows,
                    working.gradient,
                    units,
                    self.pace,
                );
            }
        }
    }
}

/// Adds up the gradients with respect to the weights, over `steps` steps of rows.
pub(super) fn add_weight_gradients(
    direction: &Direction,
    left: &Left<'_>,
    bias: &[f32],
    steps: usize,
    gradients: Weights<&mut [f32]>,
    pace: &Pace<'_>,
) {
    let (inputs, units) = (direction.inputs, direction.units);
    let (gates, columns) = (direction.gates(), direction.columns());
    let state_column = direction.kind.state_column() * units;
    if steps == 0 {
        return;
    }
    let entering = direction.entering();
    let states = strided(&left.entering[inputs..], steps, units, entering);
    let products = strided(&left.columns[state_column..], steps, gates, columns);
    let mut target = matrix_mut(gradients.state, gates, units);
    multiply_paced(&products.t(), &states, 1.0, &mut target, pace);
    if inputs > 0 {
        let values = strided(left.entering, steps, inputs, entering);
        let mut column = 0;
        for part in direction.input_parts() {
            let products = strided(&left.columns[column..], steps, part.len(), columns);
            column += part.len();
            let target = &mut gradients.input[part.start * inputs..part.end * inputs];
            let mut target = matrix_mut(target, part.len(), inputs);
            multiply_paced(&products.t(), &values, 1.0, &mut target, pace);
        }
    }
    if direction.use_bias {
        add(gradients.state_bias, &bias[state_column..]);
        let mut column = 0;
        for part in direction.input_parts() {
            let length = part.len();
            add(&mut gradients.input_bias[part], &bias[column..]);
            column += length;
        }
    }
}

fn add(to: &mut [f32], values: &[f32]) {
    to.iter_mut()
        .zip(values)
        .for_each(|(to, value)| *to += value);
}

/// Adds the gradient with respect to the input of each step to where it belongs; `memory` has room
/// for those of all steps.
pub(super) fn add_input_gradients(
    direction: &Direction,
    order: Order<'_>,
    product: Panels<'_>,
    columns: &[f32],
    memory: &mut [f32],
    target: (&mut [f32], Places),
    pace: &Pace<'_>,
) {
    let inputs = direction.inputs;
    let longest = order.longest();
    let steps: usize = (0..longest).map(|step| order.active(step)).sum();
    product.forward(columns, direction.columns(), steps, memory, inputs, pace);
    let (target, places) = target;
    let mut values = memory.chunks_exact(inputs.max(1));
    for step in 0..longest {
        let rows = order.active(step);
        if pace.spend_values(rows * inputs) {
            return;
        }
        for (place, values) in values.by_ref().take(rows).enumerate() {
            let at = places.at(order.row(place), order.time(place, step));
            add(&mut target[at..][..inputs], values);
        }
    }
}

/// The cells of a step.
struct Step<'a> {
    pass: &'a Pass<'a>,
    step: usize,
    entering: &'a [f32],
    columns: &'a mut [f32],
    kept_before: &'a [f32],
    kept: &'a [f32],
    zeros: &'a [f32],
    gradient: &'a mut [f32],
    carry: &'a mut [f32],
    bias: &'a mut [f32],
}

struct On<'a, C>(Step<'a>, PhantomData<C>);

impl<C: Cell> Task for On<'_, C> {
    #[inline(always)]
    fn run(self) {
        let step = self.0;
        let Pass {
            direction, order, ..
        } = step.pass;
        let (outer, places) = step.pass.gradient;
        let Direction {
            activation,
            inputs,
            units,
            ..
        } = *direction;
        let width = inputs + units;
        let columns = C::COLUMNS * units;
        let rows = step.columns.len() / columns;
        let kept = step.kept.len() / rows;
        for place in 0..rows {
            let gradient = &mut step.gradient[place * units..][..units];
            if step.pass.all_states || order.steps(place) == step.step + 1 {
                let at = places.at(order.row(place), order.time(place, step.step));
                let outer = &outer[at..][..units];
                gradient.iter_mut().zip(outer).for_each(|(g, o)| *g += o);
            }
            let before = match step.kept_before {
                [] => step.zeros,
                before => &before[place * kept..][..kept],
            };
            let values = &mut step.columns[place * columns..][..columns];
            C::backward(StepBackward {
                units,
                activation,
                columns: values,
                kept: &step.kept[place * kept..][..kept],
                before,
                state: &step.entering[place * width + inputs..][..units],
                gradient,
                carry: &mut step.carry[place * units..][..units],
            });
            let bias = &mut step.bias[..columns];
            for (bias, value) in bias.iter_mut().zip(values.iter()) {
                *bias += value;
            }
        }
    }
}
