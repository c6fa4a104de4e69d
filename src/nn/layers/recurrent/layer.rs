//! Recurrent layers in training: a stack of layers of one or two directions each.

use super::backward::{self, Left, Working, add_input_gradients, add_weight_gradients};
use super::forward::{self, Buffers, Keep};
use super::kind::Kind;
use super::order::Order;
use super::packed::PackedRecurrent;
use super::stack::{Recurrent, clear_empty};
use super::weights::Direction;
use crate::nn::base::random::Random;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::Processor;
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::packed::Packed;
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec, Quantizable, Quantized};

impl Layer for Recurrent {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        for (layer, direction, _) in self.stack() {
            let suffix = if direction.backwards { "_reverse" } else { "" };
            let gates = direction.gates();
            let mut push = |name, width: Option<usize>, kind, fan_in, initializer| {
                specs.push(ParameterSpec {
                    name: format!("{name}_l{layer}{suffix}").into(),
                    shape: std::iter::once(gates).chain(width).collect(),
                    kind,
                    fan_in,
                    fan_out: gates,
                    initializer,
                    start: None,
                });
            };
            let units = self.units;
            push(
                "weight_ih",
                Some(direction.inputs),
                ParameterKind::RecurrentInput { units },
                direction.inputs,
                self.kernel_initializer,
            );
            let kind = match self.recurrent_initializer {
                None => ParameterKind::Recurrent,
                Some(_) => ParameterKind::Weight,
            };
            let initializer = self.recurrent_initializer;
            push("weight_hh", Some(units), kind, units, initializer);
            if self.use_bias {
                // Of the two, the first starts as Keras's only one.
                let kind = match (self.kind, self.bias_initializer) {
                    (Kind::Lstm, None) => ParameterKind::LstmBias,
                    _ => ParameterKind::Bias,
                };
                push("bias_ih", None, kind, units, self.bias_initializer);
                let second = self.bias_initializer.map(|own| match own {
                    Initializer::Pytorch => own,
                    _ => Initializer::Zeros,
                });
                push("bias_hh", None, ParameterKind::Bias, units, second);
            }
        }
        specs
    }

    fn saved_per_row(&self) -> usize {
        self.each_saved().saturating_add(self.between_saved())
    }

    fn scratch(&self, rows: usize) -> usize {
        let each = |size: fn(&Direction) -> usize| {
            let sizes = self.stack().map(|(_, direction, _)| size(&direction));
            sizes.max().unwrap_or(0)
        };
        let forward = each(Direction::forward_memory);
        let backward = each(Direction::state_gradient_memory)
            .saturating_add(each(Direction::input_gradient_memory))
            .saturating_add(each(Direction::columns))
            .saturating_add(rows.saturating_mul(2 * self.units))
            .saturating_add(
                rows.saturating_mul(self.steps)
                    .saturating_mul(each(|direction| direction.inputs)),
            )
            .saturating_add(match self.layers {
                1 => 0,
                _ => rows.saturating_mul(self.between()).saturating_mul(2),
            });
        Order::memory(rows)
            .saturating_add(each(|direction| direction.kept(true)))
            .saturating_add(forward.max(backward))
    }

    fn products(&self) -> usize {
        let each = self.stack().map(|(_, direction, _)| direction.parameters());
        each.fold(0, usize::saturating_add)
            .saturating_mul(self.steps)
    }

    fn forward(&self, mut pass: Forward<'_>) {
        let rows = pass.rows;
        let (order, scratch) = Order::new(pass.scratch, rows, |row| pass.inputs.steps(0, row));
        if !self.sequences {
            clear_empty(order, rows, pass.output, self.width(), self.width());
        }
        let processor = Processor::detect();
        let (mut saved, between) = pass.saved.split_at_mut(rows * self.each_saved());
        let mut given: &mut [f32] = &mut [];
        let mut between = between;
        let mut layers = self.stack();
        for layer in 0..self.layers {
            let last = layer + 1 == self.layers;
            let (states, rest) = match last {
                true => (&mut [][..], between),
                false => between.split_at_mut(rows * self.between()),
            };
            between = rest;
            for (_, direction, parameters) in layers.by_ref().take(self.directions()) {
                let [entering, columns, kept] = self.saved(&direction);
                let (entering, rest) = saved.split_at_mut(rows * entering);
                let (columns, rest) = rest.split_at_mut(rows * columns);
                let (kept, rest) = rest.split_at_mut(rows * kept);
                saved = rest;
                let (zeros, memory) = scratch.split_at_mut(direction.kept(true));
                zeros.fill(0.0);
                let weights = direction.weights(&pass.parameters[parameters..]);
                let (products, _) = direction.pack(&weights, memory);
                let view = pass.inputs.view(0);
                let source = match layer {
                    0 => (view.data, self.input(&direction, view.stride)),
                    _ => (&*given, self.input(&direction, self.between())),
                };
                let (output, target) = match last {
                    true => {
                        let stride = pass.output.len() / rows;
                        (&mut *pass.output, self.output(&direction, stride))
                    }
                    false => (&mut *states, self.states(&direction)),
                };
                let buffers = Buffers {
                    entering,
                    columns,
                    kept,
                    zeros,
                    products: &mut [],
                };
                let steps = forward::Pass {
                    direction,
                    products,
                    order: order.backwards(direction.backwards),
                    keep: Keep::All,
                    source,
                    all_states: self.sequences || !last,
                    target,
                    processor,
                    pace: pass.pace,
                };
                steps.run(buffers, output);
            }
            if !last && self.dropout > 0.0 {
                let (factors, rest) = between.split_at_mut(rows * self.between());
                between = rest;
                drop_out(self.dropout, pass.random.as_deref_mut(), factors, states);
            }
            given = states;
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let rows = pass.rows;
        let (order, scratch) = Order::new(pass.scratch, rows, |row| pass.inputs.steps(0, row));
        let steps: usize = (0..order.longest()).map(|step| order.active(step)).sum();
        let processor = Processor::detect();
        let size = rows * self.between();
        // The gradients of what one layer hands to the next.
        let stacked = if self.layers > 1 { size } else { 0 };
        let (mut above, scratch) = scratch.split_at_mut(stacked);
        let (mut below, scratch) = scratch.split_at_mut(stacked);
        let (mut saved, mut between) = pass.saved.split_at_mut(rows * self.each_saved());
        let mut stack = self.stack().rev();
        for layer in (0..self.layers).rev() {
            let last = layer + 1 == self.layers;
            if !last && self.dropout > 0.0 {
                let (rest, factors) = between.split_at_mut(between.len() - size);
                between = rest;
                for (gradient, factor) in above.iter_mut().zip(factors) {
                    *gradient *= *factor;
                }
            }
            if !last {
                let length = between.len() - size;
                between = &mut between[..length];
            }
            let mut wanted = match layer {
                0 => pass.input_gradients.get(0),
                _ => Some((&mut *below, false)),
            };
            if let Some((target, false)) = &mut wanted {
                target.fill(0.0);
            }
            for (_, direction, parameters) in stack.by_ref().take(self.directions()) {
                let [entering, columns, kept] = self.saved(&direction);
                let (rest, kept) = saved.split_at_mut(saved.len() - rows * kept);
                let (rest, columns) = rest.split_at_mut(rest.len() - rows * columns);
                let (rest, entering) = rest.split_at_mut(rest.len() - rows * entering);
                saved = rest;
                let order = order.backwards(direction.backwards);
                let weights = direction.weights(&pass.parameters[parameters..]);
                let (zeros, memory) = scratch.split_at_mut(direction.kept(true));
                zeros.fill(0.0);
                let (gradient, memory) = memory.split_at_mut(rows * self.units);
                let (carry, memory) = memory.split_at_mut(rows * self.units);
                let (bias, memory) = memory.split_at_mut(direction.columns());
                let (state_product, memory) = direction.pack_state_gradient(&weights, memory);
                let outer = match last {
                    true => {
                        let stride = pass.gradient.len() / rows;
                        (&*pass.gradient, self.output(&direction, stride))
                    }
                    false => (&*above, self.states(&direction)),
                };
                let mut left = Left {
                    entering,
                    columns,
                    kept,
                    zeros,
                };
                let working = Working {
                    gradient,
                    carry,
                    bias: &mut *bias,
                };
                let back = backward::Pass {
                    direction,
                    order,
                    state_product,
                    gradient: outer,
                    all_states: self.sequences || !last,
                    processor,
                    pace: pass.pace,
                };
                back.run(&mut left, working);
                if let Some(gradients) = pass.parameter_gradient.as_deref_mut() {
                    let gradients = direction.weights_mut(&mut gradients[parameters..]);
                    add_weight_gradients(&direction, &left, bias, steps, gradients, pass.pace);
                }
                if let Some((target, _)) = &mut wanted {
                    let (product, memory) = direction.pack_input_gradient(&weights, memory);
                    let stride = target.len() / rows;
                    let places = self.input(&direction, stride);
                    let target = (&mut **target, places);
                    add_input_gradients(
                        &direction,
                        order,
                        product,
                        left.columns,
                        memory,
                        target,
                        pass.pace,
                    );
                }
            }
            std::mem::swap(&mut above, &mut below);
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        Some(Box::new(PackedRecurrent::new(self.clone(), packer, None)))
    }

    fn quantizable(&self) -> Option<Quantizable> {
        let each = if self.use_bias { 4 } else { 2 };
        let weights = self.stack().enumerate().flat_map(|(i, (_, direction, _))| {
            let places = direction.quantizable().into_iter().enumerate();
            places.filter_map(move |(place, pays)| pays.then_some(i * each + place))
        });
        let weights: Vec<usize> = weights.collect();
        (!weights.is_empty()).then_some(Quantizable {
            weights,
            is_dynamic: false,
        })
    }

    fn pack_quantized(&self, packer: &mut Packer<'_>, input: InputScale) -> Option<Quantized> {
        let packed = PackedRecurrent::new(self.clone(), packer, Some(input));
        Some(Quantized::Layer(Box::new(packed)))
    }
}

/// Dropout in training; `factors` notes by what each value was multiplied.
fn drop_out(rate: f32, random: Option<&mut Random>, factors: &mut [f32], values: &mut [f32]) {
    match random {
        Some(random) => {
            let scale = 1.0 / (1.0 - rate);
            // A value is dropped when 32 random bits are below the rate's share of 2^32.
            let bound = (f64::from(rate) * 4_294_967_296.0) as u32;
            for (factor, value) in factors.iter_mut().zip(values) {
                *factor = if random.next_u32() < bound {
                    0.0
                } else {
                    scale
                };
                *value *= *factor;
            }
        }
        None => factors.fill(1.0),
    }
}
