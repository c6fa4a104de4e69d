//! Recurrent layers in prediction: the steps of the training's forward pass, nothing kept.

use super::forward::{Buffers, Keep, Pass};
use super::kept::{KeptProduct, STATE};
use super::order::Order;
use super::stack::{Recurrent, clear_empty};
use super::weights::Direction;
use crate::nn::kernels::integer::InputScale;
use crate::nn::kernels::packed_memory::Packer;
use crate::nn::kernels::processor::Processor;
use crate::nn::layer::packed::{Packed, PackedPass};

/// A stack with its weights packed.
///
/// A row's bits are its own: the products are the packed kernel's, the cells work row by row.
#[derive(Debug)]
pub(super) struct PackedRecurrent {
    layer: Recurrent,
    stack: Vec<PackedDirection>,
    processor: Processor,
}

#[derive(Debug)]
struct PackedDirection {
    layer: usize,
    direction: Direction,
    /// The products of a step.
    products: Vec<KeptProduct>,
}

impl PackedRecurrent {
    /// In 8 bits where the scale of the input is given.
    pub fn new(layer: Recurrent, packer: &mut Packer<'_>, input: Option<InputScale>) -> Self {
        let stack = layer
            .stack()
            .map(|(layer, direction, first)| PackedDirection {
                layer,
                direction,
                products: {
                    // What a layer after the first reads are states.
                    let input = match layer {
                        0 => input,
                        _ => input.map(|_| STATE),
                    };
                    direction.pack_to_keep(packer, first, input)
                },
            })
            .collect();
        Self {
            layer,
            stack,
            processor: Processor::detect(),
        }
    }

    /// Working memory of the products for so many rows.
    fn product_scratch(&self, rows: usize) -> usize {
        let products = self.stack.iter().flat_map(|packed| &packed.products);
        let each = products.map(|product| product.scratch(rows));
        each.max().unwrap_or(0)
    }

    /// The most that a direction of the stack takes.
    fn most(&self, size: impl Fn(&Direction) -> usize) -> usize {
        let sizes = self.stack.iter().map(|packed| size(&packed.direction));
        sizes.max().unwrap_or(0)
    }
}

impl Packed for PackedRecurrent {
    fn size_bytes(&self) -> usize {
        let products = self.stack.iter().flat_map(|packed| &packed.products);
        products.map(KeptProduct::size_bytes).sum::<usize>()
            + std::mem::size_of_val(&self.stack[..])
            + size_of::<Self>()
    }

    fn scratch(&self, rows: usize) -> usize {
        let row = self
            .most(Direction::entering)
            .saturating_mul(2)
            .saturating_add(self.most(Direction::columns))
            .saturating_add(
                self.most(|direction| direction.kept(false))
                    .saturating_mul(2),
            )
            .saturating_add(match self.layer.layers {
                1 => 0,
                _ => self.layer.between().saturating_mul(2),
            });
        Order::memory(rows)
            .saturating_add(self.product_scratch(rows))
            .saturating_add(self.most(|direction| direction.kept(false)))
            .saturating_add(rows.saturating_mul(row))
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let (layer, rows) = (&self.layer, pass.rows);
        let product_scratch = self.product_scratch(rows);
        let (order, scratch) = Order::new(pass.scratch, rows, |row| pass.inputs.steps(0, row));
        if !layer.sequences {
            clear_empty(order, rows, pass.output, pass.stride, layer.width());
        }
        let size = match layer.layers {
            1 => 0,
            _ => rows * layer.between(),
        };
        let (mut given, scratch) = scratch.split_at_mut(size);
        let (mut states, scratch) = scratch.split_at_mut(size);
        for (i, packed) in self.stack.iter().enumerate() {
            let direction = packed.direction;
            let last = packed.layer + 1 == layer.layers;
            let (zeros, memory) = scratch.split_at_mut(direction.kept(false));
            zeros.fill(0.0);
            let (entering, memory) = memory.split_at_mut(2 * rows * direction.entering());
            let (columns, memory) = memory.split_at_mut(rows * direction.columns());
            let (kept, memory) = memory.split_at_mut(2 * rows * direction.kept(false));
            let view = pass.inputs.view(0);
            let source = match packed.layer {
                0 => (view.data, layer.input(&direction, view.stride)),
                _ => (&*given, layer.input(&direction, layer.between())),
            };
            let steps = Pass {
                direction,
                products: KeptProduct::ready(&packed.products),
                order: order.backwards(direction.backwards),
                keep: Keep::Last(rows),
                source,
                all_states: layer.sequences || !last,
                target: match last {
                    true => layer.output(&direction, pass.stride),
                    false => layer.states(&direction),
                },
                processor: self.processor,
                pace: pass.pace,
            };
            let buffers = Buffers {
                entering,
                columns,
                kept,
                zeros,
                products: &mut memory[..product_scratch],
            };
            match last {
                true => steps.run(buffers, pass.output),
                false => steps.run(buffers, states),
            }
            let next = self
                .stack
                .get(i + 1)
                .map_or(packed.layer, |next| next.layer);
            if next != packed.layer {
                std::mem::swap(&mut given, &mut states);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::base::lengths::{Lengths, Steps};
    use crate::nn::base::random::Random;
    use crate::nn::base::stop::Pace;
    use crate::nn::kernels::activation::Activation;
    use crate::nn::layer::Layer;
    use crate::nn::layer::View;
    use crate::nn::layer::packed::PackedInputs;
    use crate::nn::layers::recurrent::kind::Kind;

    /// The last states of rows that tell their lengths in a first column.
    fn states(packed: &PackedRecurrent, x: &[f32], rows: usize) -> Vec<u32> {
        let layer = &packed.layer;
        let size = layer.steps * layer.features;
        let view = |_: usize| View {
            data: &x[1..],
            stride: size + 1,
            width: size,
        };
        let steps = Steps {
            most: layer.steps,
            size: layer.features,
            lengths: Some(Lengths::Column(0)),
        };
        let inputs = PackedInputs {
            views: &view,
            steps: &[steps],
            x,
            x_width: size + 1,
        };
        let mut output = vec![f32::NAN; rows * layer.width()];
        let mut scratch = vec![f32::NAN; packed.scratch(rows)];
        packed.forward(PackedPass {
            rows,
            inputs,
            output: &mut output,
            stride: layer.width(),
            scratch: &mut scratch,
            pace: &Pace::endless(),
        });
        output.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn every_processor_gives_a_row_the_same_bits_whatever_it_comes_with() {
        let mut random = Random::new(3, 0);
        for (kind, units, layers, bidirectional, activation) in [
            (Kind::Rnn, 1, 1, false, Activation::Tanh),
            (Kind::Rnn, 33, 2, true, Activation::Relu),
            (Kind::Lstm, 20, 2, true, Activation::Tanh),
            (Kind::Lstm, 7, 1, false, Activation::Gelu),
            (Kind::Gru, 48, 1, true, Activation::Tanh),
            (Kind::Gru, 2, 3, false, Activation::Softmax),
        ] {
            let layer = Recurrent {
                kind,
                steps: 6,
                features: 5,
                units,
                layers,
                bidirectional,
                sequences: false,
                activation,
                dropout: 0.0,
                use_bias: true,
                kernel_initializer: None,
                recurrent_initializer: None,
                bias_initializer: None,
            };
            let mut values =
                |count| -> Vec<f32> { (0..count).map(|_| 0.5 * random.normal_f32()).collect() };
            let parameters = layer.parameters();
            let sizes = parameters
                .iter()
                .map(|spec| spec.shape.iter().product::<usize>());
            let parameters = values(sizes.sum());
            let rows: Vec<Vec<f32>> = [3, 6, 0, 1, 6, 2, 5, 4]
                .iter()
                .map(|steps| [vec![*steps as f32], values(30)].concat())
                .collect();
            let all = Processor::available();
            let pack =
                || PackedRecurrent::new(layer.clone(), &mut Packer::new(&parameters, None), None);
            let on = |processor| pack().on(processor);
            let together = states(&on(all[0]), &rows.concat(), rows.len());
            for processor in all {
                let packed = on(processor);
                let again = states(&packed, &rows.concat(), rows.len());
                assert_eq!(again, together, "{kind:?}");
                for (row, expected) in rows.iter().zip(together.chunks(layer.width())) {
                    assert_eq!(states(&packed, row, 1), expected, "{kind:?}");
                }
            }
        }
    }

    impl PackedRecurrent {
        /// The same layer, computed with other instructions of this machine.
        fn on(mut self, processor: Processor) -> Self {
            for packed in &mut self.stack {
                for product in &mut packed.products {
                    *product = product.clone().on(processor);
                }
            }
            self.processor = processor;
            self
        }
    }
}
