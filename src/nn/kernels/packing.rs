//! The order in which the packed kernel reads a dense layer's weights.
//!
//! Up to [`NARROW`] outputs: `[n][k / 16]` lines, filled up with zeros. Else sixteen outputs are a
//! panel, four panels a group, and the weights lie as `[group][k][panel of the group]` lines.

use bytemuck::{Pod, Zeroable};

use super::vector::LANES;
use crate::nn::base::stop::Pace;

/// The layout of packed weights: to be raised with each change of what is packed or where, so that
/// weights packed by another release are not taken for this one's.
pub const PACKING_VERSION: u32 = 1;
/// Up to so many outputs a layer is computed by dot products; padding to a vector would cost more.
pub(in crate::nn) const NARROW: usize = 4;
/// Panels (of sixteen outputs) that are packed together and computed at the same time.
pub(in crate::nn) const GROUP: usize = 4;

/// Sixteen weights where a vector load never crosses a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(in crate::nn) struct Line(pub [f32; LANES]);

// SAFETY: zeros are sixteen f32.
unsafe impl Zeroable for Line {}
// SAFETY: sixteen f32 fill it to the last byte, and any bits are valid ones.
unsafe impl Pod for Line {}

pub(in crate::nn) const ZEROS: Line = Line([0.0; LANES]);

/// Lines of weights and of biases of `n` outputs and `k` inputs.
pub(in crate::nn) fn lines(n: usize, k: usize) -> (usize, usize) {
    let panels = n.div_ceil(LANES);
    if n <= NARROW {
        (n * k.div_ceil(LANES), panels)
    } else {
        (panels * k, panels)
    }
}

/// Packs weights that change from call to call, in memory of the caller's.
pub(in crate::nn) struct Packing<'a> {
    pub weight: &'a mut [Line],
    pub bias: &'a mut [Line],
    pub n: usize,
    pub k: usize,
    /// Asked whether to go on, if the weights may be many.
    pub pace: Option<&'a Pace<'a>>,
}

impl<'a> Packing<'a> {
    /// Values of memory that `n` outputs and `k` inputs take at most.
    pub fn memory(n: usize, k: usize) -> usize {
        let (weights, biases) = lines(n, k);
        (weights.saturating_add(biases).saturating_add(1)).saturating_mul(LANES)
    }

    /// Begins with zero biases; the weight of every input is to be given. Also hands back the memory
    /// that is left.
    ///
    /// # Panics
    /// When there is less memory than [`Packing::memory`].
    pub fn new(memory: &'a mut [f32], n: usize, k: usize) -> (Self, &'a mut [f32]) {
        let (memory, rest) = memory.split_at_mut(Self::memory(n, k));
        let (_, memory, _) = bytemuck::pod_align_to_mut::<f32, Line>(memory);
        let (weights, biases) = lines(n, k);
        let (weight, memory) = memory.split_at_mut(weights);
        let bias = &mut memory[..biases];
        bias.fill(ZEROS);
        if n <= NARROW {
            // Products beyond the inputs must give zero, whatever was there.
            weight.fill(ZEROS);
        }
        let packing = Self {
            weight,
            bias,
            n,
            k,
            pace: None,
        };
        (packing, rest)
    }

    /// Adds to the biases.
    ///
    /// # Panics
    /// When there are not as many as outputs.
    pub fn bias(&mut self, bias: &[f32]) {
        assert_eq!(bias.len(), self.n, "biases of a layer of {} units", self.n);
        for (line, bias) in self.bias.iter_mut().zip(bias.chunks(LANES)) {
            line.0
                .iter_mut()
                .zip(bias)
                .for_each(|(to, bias)| *to += bias);
        }
    }

    /// The weights of `width` inputs from the first given on: `[n, width]`, PyTorch's layout.
    ///
    /// # Panics
    /// When there are fewer weights or inputs.
    pub fn rows(&mut self, weight: &[f32], first: usize, width: usize) {
        assert!(
            first + width <= self.k,
            "weights of inputs that are not there"
        );
        if width == 0 {
            return;
        }
        if self.n <= NARROW {
            let blocks = self.k.div_ceil(LANES);
            for (j, row) in weight.chunks_exact(width).take(self.n).enumerate() {
                for (i, &w) in (first..).zip(row) {
                    self.weight[j * blocks + i / LANES].0[i % LANES] = w;
                }
            }
            return;
        }
        for panel in 0..self.n.div_ceil(LANES) {
            let (start, step) = self.panel(panel);
            let lines = self.weight[start + first * step..].iter_mut().step_by(step);
            let j = panel * LANES;
            let height = LANES.min(self.n - j);
            let rows: [&[f32]; LANES] =
                std::array::from_fn(|lane| &weight[(j + lane.min(height - 1)) * width..][..width]);
            if self
                .pace
                .is_some_and(|pace| pace.spend_values(width * height))
            {
                return;
            }
            for (i, line) in lines.take(width).enumerate() {
                for (to, row) in line.0.iter_mut().zip(&rows) {
                    *to = row[i];
                }
            }
        }
    }

    /// The weights of `height` inputs from the first given on, input by input: `[height, n]`.
    ///
    /// # Panics
    /// When there are fewer weights or inputs.
    pub fn columns(&mut self, weight: &[f32], first: usize, height: usize) {
        assert!(
            first + height <= self.k,
            "weights of inputs that are not there"
        );
        let rows = weight.chunks_exact(self.n).take(height);
        if self.n <= NARROW {
            let blocks = self.k.div_ceil(LANES);
            for (i, row) in (first..).zip(rows) {
                for (j, &w) in row.iter().enumerate() {
                    self.weight[j * blocks + i / LANES].0[i % LANES] = w;
                }
            }
            return;
        }
        for (i, row) in (first..).zip(rows) {
            for (panel, part) in row.chunks(LANES).enumerate() {
                let (start, step) = self.panel(panel);
                self.weight[start + i * step].0[..part.len()].copy_from_slice(part);
            }
        }
    }

    /// A panel's first line, and the distance from one to the next.
    fn panel(&self, panel: usize) -> (usize, usize) {
        let first = panel - panel % GROUP;
        let step = GROUP.min(self.n.div_ceil(LANES) - first);
        (first * self.k + panel % GROUP, step)
    }

    /// What was packed: weights and biases.
    pub fn finish(self) -> (&'a [Line], &'a [Line]) {
        (self.weight, self.bias)
    }
}
