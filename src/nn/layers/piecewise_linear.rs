//! A dense layer over the piecewise-linear encoding of its inputs: each unit adds up a function of
//! every number that is linear between the edges of bins (Gorishniy et al., "On Embeddings for
//! Numerical Features in Tabular Deep Learning", 2022).
//!
//! Of a number x in a bin from edge e to edge e', the bins before are encoded as 1, those behind as 0
//! and its own as f = (x − e) / (e' − e). Parameters: `edges` of shape inputs × (bins + 1), the
//! quantiles of the training rows' values; `weight`, inputs × bins × units, as `rtdl_num_embeddings`
//! has it; `bias`, one a unit. A number with fewer distinct quantiles has fewer bins: its last edge is
//! repeated.
//!
//! Beyond the first and the last edge the function goes on as in the bin beside it, as there, but no
//! further than by the width of that bin: what lies far out would else be multiplied by as much as a
//! narrow bin is steep.
//!
//! Nothing is encoded in fact. With the weights of the bins before added up beforehand, a number
//! costs two additions of a vector, whatever the bins; a number at its first edge, as of a level that
//! does not apply, none.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::nn::base::error::Error;
use crate::nn::base::lengths::LengthRule;
use crate::nn::base::shape::Shape;
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::packed_memory::{Packer, Values};
use crate::nn::kernels::processor::Processor;
use crate::nn::kernels::row_sums::add_rows;
use crate::nn::kernels::table_sum::{TableAdd, TableSum, Term};
use crate::nn::layer::initializer::{Initializer, ParameterKind};
use crate::nn::layer::packed::{Packed, PackedPass};
use crate::nn::layer::settings::Settings;
use crate::nn::layer::spec::{Built, LayerType, Rank, Site, Spec};
use crate::nn::layer::{Backward, Forward, Layer, ParameterSpec};

/// The type `piecewise_linear`.
pub(in crate::nn) const PIECEWISE_LINEAR: LayerType = LayerType {
    name: "piecewise_linear",
    aliases: &["piecewiselinearembeddings"],
    settings: &[
        "bins",
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
    ],
    rank: Rank::Any,
    read: |_, settings| {
        let hint = "16 to 64 bins do for most tables.";
        let bins = settings.count_within("bins", 1..=MAX_BINS, hint)?;
        Ok(Arc::new(PiecewiseLinearSpec {
            bins: bins.unwrap_or(BINS),
            units: settings.required_count("units")?,
            activation: settings.activation()?.unwrap_or_default(),
            use_bias: settings.flag("use_bias")?.unwrap_or(true),
            kernel_initializer: settings.initializer("kernel_initializer")?,
        }))
    },
};

/// Bins of a number unless told otherwise.
const BINS: usize = 16;
/// Most bins of a number.
const MAX_BINS: usize = 1024;

/// Settings of the layer.
#[derive(Debug, Clone)]
struct PiecewiseLinearSpec {
    bins: usize,
    units: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Option<Initializer>,
}

impl Spec for PiecewiseLinearSpec {
    fn type_name(&self) -> &'static str {
        PIECEWISE_LINEAR.name
    }

    fn reads_columns(&self) -> bool {
        true
    }

    fn write(&self, settings: &mut Map<String, Value>) {
        settings.insert("bins".into(), self.bins.into());
        settings.insert("units".into(), self.units.into());
        if self.activation != Activation::default() {
            Settings::write_activation(self.activation, settings);
        }
        if !self.use_bias {
            settings.insert("use_bias".into(), false.into());
        }
        if let Some(initializer) = self.kernel_initializer {
            settings.insert("kernel_initializer".into(), initializer.name().into());
        }
    }

    fn build(&self, site: &Site<'_>) -> Result<Built, Error> {
        let inputs = site.vector()?;
        let sizes = Sizes {
            inputs,
            bins: self.bins,
            units: self.units,
        };
        if sizes.table() > u32::MAX as usize {
            return Err(site.error(
                "has more parameters than can be addressed",
                "Give it fewer units or bins.",
            ));
        }
        Ok(Built::Layer {
            layer: Box::new(PiecewiseLinear {
                sizes,
                activation: self.activation,
                use_bias: self.use_bias,
                kernel_initializer: self.kernel_initializer,
            }),
            shape: Shape::Vector(self.units),
            lengths: LengthRule::Keep,
        })
    }
}

/// Sizes of the layer.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    inputs: usize,
    bins: usize,
    units: usize,
}

/// Rows [rows, inputs] to rows [rows, units].
#[derive(Debug)]
struct PiecewiseLinear {
    sizes: Sizes,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Option<Initializer>,
}

impl Sizes {
    fn edges(self) -> usize {
        self.inputs.saturating_mul(self.bins + 1)
    }

    fn weights(self) -> usize {
        let rows = self.inputs.saturating_mul(self.bins);
        rows.saturating_mul(self.units)
    }

    /// Values of the table: the weights, and behind them of each bin the sum of those of the bins
    /// before it.
    fn table(self) -> usize {
        self.weights().saturating_mul(2)
    }

    /// Fills the table.
    fn fill_table(self, weight: &[f32], table: &mut [f32]) {
        let (own, before) = table.split_at_mut(self.weights());
        own.copy_from_slice(weight);
        let one = self.bins * self.units;
        for (weight, before) in weight.chunks_exact(one).zip(before.chunks_exact_mut(one)) {
            before[..self.units].fill(0.0);
            for at in self.units..one {
                before[at] = before[at - self.units] + weight[at - self.units];
            }
        }
    }

    /// The bin of a number, by its edges, and how far the number is through it; none where there is
    /// no bin.
    #[inline]
    fn place(self, edges: &[f32], x: f32) -> Option<(usize, f32)> {
        let (first, last) = (edges[0], edges[self.bins]);
        // Not so either where one is no number.
        if first.partial_cmp(&last) != Some(Ordering::Less) {
            return None;
        }
        // The edges behind the last bin repeat its end, which is no bin's begin.
        let begins = &edges[1..self.bins];
        let bin: usize = begins
            .iter()
            .map(|&edge| usize::from(edge <= x && edge < last))
            .sum();
        // Halves, as the difference of two finite numbers need not be one.
        let half = 0.5 * edges[bin];
        let within = (0.5 * x - half) / (0.5 * edges[bin + 1] - half);
        Some((bin, within.clamp(-1.0, 2.0)))
    }

    /// The terms that a row's numbers come to: of each its bin's weights, and the sum of those of the
    /// bins before. There is room for two a number.
    #[inline]
    fn terms<'t>(self, edges: &[f32], row: &[f32], room: &'t mut [Term]) -> &'t [Term] {
        let mut count = 0;
        let mut put = |at: usize, factor: f32| {
            room[count] = Term {
                at: at as u32,
                factor,
            };
            count += 1;
        };
        let columns = edges.chunks_exact(self.bins + 1).zip(row);
        for (input, (edges, &x)) in columns.enumerate() {
            let Some((bin, within)) = self.place(edges, x) else {
                continue;
            };
            let at = (input * self.bins + bin) * self.units;
            if bin > 0 {
                put(self.weights() + at, 1.0);
            }
            if within != 0.0 {
                put(at, within);
            }
        }
        &room[..count]
    }

    /// Values of memory that a row's terms take.
    fn terms_memory(self) -> usize {
        2 * self.inputs * (size_of::<Term>() / size_of::<f32>())
    }

    /// What the table's gradient says of the weights': one counts by how far its own bin is gone
    /// through, and in full in each bin behind.
    fn add_gradient(self, table: &mut [f32], weight: &mut [f32]) {
        let (own, before) = table.split_at_mut(self.weights());
        let one = self.bins * self.units;
        let inputs = weight.chunks_exact_mut(one).zip(own.chunks_exact(one));
        for ((weight, own), before) in inputs.zip(before.chunks_exact_mut(one)) {
            // The first bin has none before it: its place holds the sum over the bins behind.
            let (behind, before) = before.split_at_mut(self.units);
            for bin in (0..self.bins).rev() {
                let at = bin * self.units;
                let bins = weight[at..]
                    .iter_mut()
                    .zip(&own[at..])
                    .zip(behind.iter_mut());
                for ((to, own), behind) in bins {
                    *to += own + *behind;
                }
                if let Some(at) = at.checked_sub(self.units) {
                    let before = &before[at..][..self.units];
                    behind.iter_mut().zip(before).for_each(|(sum, g)| *sum += g);
                }
            }
        }
    }
}

impl Layer for PiecewiseLinear {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let Sizes {
            inputs,
            bins,
            units,
        } = self.sizes;
        let edges = ParameterSpec {
            name: "edges".into(),
            shape: vec![inputs, bins + 1],
            kind: ParameterKind::Fitted,
            fan_in: 1,
            fan_out: 1,
            initializer: None,
            start: None,
        };
        let weight = ParameterSpec {
            name: "weight".into(),
            shape: vec![inputs, bins, units],
            kind: ParameterKind::Weight,
            fan_in: inputs * bins,
            fan_out: units,
            initializer: self.kernel_initializer,
            start: None,
        };
        let mut all = vec![edges];
        all.extend(weight.with_bias(units, self.use_bias, None));
        all
    }

    fn bins(&self) -> Option<usize> {
        Some(self.sizes.bins)
    }

    fn products(&self) -> usize {
        // Two rows of the table and the search for the bin.
        self.sizes.inputs * (2 * self.sizes.units + self.sizes.bins)
    }

    fn saved_per_row(&self) -> usize {
        match self.activation.backward_needs_input() {
            true => self.sizes.units,
            false => 0,
        }
    }

    /// A row's terms, and the gradient with respect to the table.
    fn scratch(&self, _rows: usize) -> usize {
        self.sizes.terms_memory() + self.sizes.table()
    }

    fn prepared(&self) -> usize {
        self.sizes.table()
    }

    fn prepare(&self, parameters: &[f32], prepared: &mut [f32]) {
        let weight = &parameters[self.sizes.edges()..][..self.sizes.weights()];
        self.sizes.fill_table(weight, prepared);
    }

    fn forward(&self, pass: Forward<'_>) {
        let sizes = self.sizes;
        let (edges, rest) = pass.parameters.split_at(sizes.edges());
        let bias = &rest[sizes.weights()..];
        let input = pass.inputs.view(0);
        let room = bytemuck::cast_slice_mut(&mut pass.scratch[..sizes.terms_memory()]);
        let rows = pass.output.chunks_exact_mut(sizes.units);
        for (row, y) in rows.enumerate() {
            if pass.pace.spend(self.products()) {
                return;
            }
            Processor::detect().run_vectors(TableSum {
                terms: sizes.terms(edges, input.row(row), room),
                table: pass.prepared,
                start: bias,
                y,
            });
        }
        if self.activation.backward_needs_input() {
            pass.saved.copy_from_slice(pass.output);
        }
        self.activation
            .apply_paced(pass.output, sizes.units, pass.pace);
    }

    /// The network's columns, which it reads, do not learn.
    fn backward(&self, pass: Backward<'_>) {
        let sizes = self.sizes;
        self.activation.backward_paced(
            pass.saved,
            pass.output,
            pass.gradient,
            sizes.units,
            pass.pace,
        );
        let Some(parameters) = pass.parameter_gradient else {
            return;
        };
        let edges = &pass.parameters[..sizes.edges()];
        let input = pass.inputs.view(0);
        let (room, table) = pass.scratch.split_at_mut(sizes.terms_memory());
        let room = bytemuck::cast_slice_mut(room);
        let table = &mut table[..sizes.table()];
        table.fill(0.0);
        for (row, g) in pass.gradient.chunks_exact(sizes.units).enumerate() {
            if pass.pace.spend(self.products()) {
                return;
            }
            Processor::detect().run_vectors(TableAdd {
                terms: sizes.terms(edges, input.row(row), room),
                x: g,
                table,
            });
        }
        let (weight, bias) = parameters[sizes.edges()..].split_at_mut(sizes.weights());
        sizes.add_gradient(table, weight);
        if self.use_bias {
            add_rows(pass.gradient, bias, pass.pace);
        }
    }

    fn pack(&self, packer: &mut Packer<'_>) -> Option<Box<dyn Packed>> {
        let sizes = self.sizes;
        let edges = packer.copy(0..sizes.edges());
        let table = packer.values(sizes.table(), |own, table| {
            sizes.fill_table(&own[sizes.edges()..][..sizes.weights()], table);
        });
        let behind = sizes.edges() + sizes.weights();
        let biases = if self.use_bias { sizes.units } else { 0 };
        Some(Box::new(PackedPiecewiseLinear {
            sizes,
            activation: self.activation,
            edges,
            table,
            bias: packer.copy(behind..behind + biases),
        }))
    }
}

#[derive(Debug)]
struct PackedPiecewiseLinear {
    sizes: Sizes,
    activation: Activation,
    edges: Values,
    table: Values,
    bias: Values,
}

impl Packed for PackedPiecewiseLinear {
    fn size_bytes(&self) -> usize {
        self.edges.own_bytes() + self.table.own_bytes() + self.bias.own_bytes()
    }

    fn scratch(&self, _rows: usize) -> usize {
        self.sizes.terms_memory()
    }

    fn forward(&self, pass: PackedPass<'_>) {
        let PackedPass {
            rows,
            inputs,
            output,
            stride,
            scratch,
            pace,
        } = pass;
        let (edges, table, bias) = (&*self.edges, &*self.table, &*self.bias);
        let room = bytemuck::cast_slice_mut(&mut scratch[..self.sizes.terms_memory()]);
        let input = inputs.view(0);
        let work = 2 * self.sizes.inputs * self.sizes.units;
        for (row, output) in output.chunks_mut(stride).take(rows).enumerate() {
            if pace.spend(work) {
                return;
            }
            let y = &mut output[..self.sizes.units];
            Processor::detect().run_vectors(TableSum {
                terms: self.sizes.terms(edges, input.row(row), room),
                table,
                start: bias,
                y,
            });
            self.activation.apply(y, y.len());
        }
    }
}
