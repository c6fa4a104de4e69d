//! Recurrent layers in prediction: the steps of the training's forward pass, nothing kept.

use super::forward::{Buffers, Keep, Pass};
use super::layer::{Recurrent, clear_empty};
use super::order::Order;
use super::weights::{Direction, StepProduct, StepProducts};
use crate::nn::kernel::PackedDense;
use crate::nn::packed::{Packed, PackedPass};
use crate::nn::processor::Processor;

/// A stack with its weights packed.
///
/// A row's bits are its own: the products are the packed kernel's, the cells work row by row.
#[derive(Debug)]
pub(super) struct PackedRecurrent {
    layer: Recurrent,
    stack: Vec<PackedDirection>,
}

#[derive(Debug)]
struct PackedDirection {
    layer: usize,
    direction: Direction,
    /// The products of a step, each with where it reads and where it writes.
    products: Vec<(PackedDense, usize, usize)>,
}

impl PackedRecurrent {
    pub fn new(layer: Recurrent, parameters: &[f32]) -> Self {
        let stack = layer
            .stack()
            .map(|(layer, direction, first)| PackedDirection {
                layer,
                direction,
                products: direction.pack_to_keep(&direction.weights(&parameters[first..])),
            })
            .collect();
        Self { layer, stack }
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
        products
            .map(|(product, ..)| product.size_bytes())
            .sum::<usize>()
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
            .saturating_add(self.most(|direction| direction.kept(false)))
            .saturating_add(rows.saturating_mul(row))
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let (layer, rows) = (&self.layer, pass.rows);
        let (order, scratch) = Order::new(pass.scratch, rows, |row| pass.inputs.steps(0, row));
        if !layer.sequences {
            clear_empty(order, rows, pass.output, pass.stride, layer.width());
        }
        let processor = Processor::detect();
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
            let (kept, _) = memory.split_at_mut(2 * rows * direction.kept(false));
            let view = pass.inputs.view(0);
            let source = match packed.layer {
                0 => (view.data, layer.input(&direction, view.stride)),
                _ => (&*given, layer.input(&direction, layer.between())),
            };
            let mut products: StepProducts<'_> = [None; 3];
            for (product, (dense, from, column)) in products.iter_mut().zip(&packed.products) {
                *product = Some(StepProduct {
                    panels: dense.panels(),
                    from: *from,
                    column: *column,
                });
            }
            let steps = Pass {
                direction,
                products,
                order: order.backwards(direction.backwards),
                keep: Keep::Last(rows),
                source,
                all_states: layer.sequences || !last,
                target: match last {
                    true => layer.output(&direction, pass.stride),
                    false => layer.states(&direction),
                },
                processor,
            };
            let buffers = Buffers {
                entering,
                columns,
                kept,
                zeros,
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
