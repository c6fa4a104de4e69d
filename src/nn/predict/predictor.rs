//! A network ready to predict: weights packed, buffers laid out, nothing left to decide a call.

use super::layout::{Home, Layout, Place, place_of};
use super::scratch::{Buffer, Scratch, Taken};
use super::step::{Action, Step, pack, starts, working};
use crate::memory;
use crate::nn::base::error::Error;
use crate::nn::base::stop::{Never, Pace, Stop, VALUE};
use crate::nn::kernels::activation::Activation;
use crate::nn::kernels::packed_memory::{Keep, Packer, SharedWeights};
use crate::nn::layer::{Operation, Source, View};
use crate::nn::network::Network;

/// Rows taken through all layers before the next ones' turn, so that they stay in cache.
const TILE: usize = 64;
/// The same where the weights do not fit a core's cache and should be read less often.
const LARGE_TILE: usize = 256;
/// Bytes of packed weights from which on that is so.
const LARGE: usize = 1 << 20;
/// Bytes that the buffers of a tile may take; very wide networks get a smaller one.
const SCRATCH_BYTES: usize = 8 << 20;

/// Is shown what each node reads.
type Observe<'a> = &'a mut dyn FnMut(usize, View<'_>, usize);

/// A network with its parameters, in the form in which it predicts fastest.
///
/// The bits of a row's result depend on that row, the network and the parameters alone: not on the
/// rows it came with, not on the processor.
#[derive(Debug)]
pub struct Predictor {
    steps: Vec<Step>,
    /// Values a row of each buffer.
    buffers: Vec<usize>,
    input_width: usize,
    output_units: usize,
    tile: usize,
    members: usize,
    /// Where the members' results stand side by side; with one member they are the result.
    member_outputs: Option<Place>,
    /// For a last step that does not apply it itself.
    output_activation: Activation,
    /// What holds the packed weights, if it is not the steps.
    shared: Option<SharedWeights>,
}

impl Predictor {
    /// Packs a network and its flat parameter buffer.
    ///
    /// # Errors
    /// [`Error::ParameterCount`] if the buffer does not belong to the network.
    pub fn new(network: &Network, parameters: &[f32]) -> Result<Self, Error> {
        Self::pack(network, parameters, None, &Never)
    }

    /// [`Predictor::new`] that ends early once `stop` is set.
    ///
    /// # Errors
    /// As [`Predictor::new`], and [`Error::Interrupted`].
    pub fn new_until(
        network: &Network,
        parameters: &[f32],
        stop: &dyn Stop,
    ) -> Result<Self, Error> {
        Self::pack(network, parameters, None, stop)
    }

    /// [`Predictor::new_until`], which also hands what it packs to `keep`, piece after piece, for
    /// [`Predictor::shared`].
    ///
    /// # Errors
    /// As [`Predictor::new_until`].
    pub fn keeping<'a>(
        network: &Network,
        parameters: &'a [f32],
        keep: Keep<'a>,
        stop: &'a dyn Stop,
    ) -> Result<Self, Error> {
        Self::pack(network, parameters, Some(keep), stop)
    }

    /// The predictor of a network whose weights were packed before, and stay where they are.
    ///
    /// # Errors
    /// [`Error::PackedWeights`] if they do not belong to the network.
    pub fn shared(network: &Network, weights: SharedWeights) -> Result<Self, Error> {
        Self::build(network, Packer::shared(weights))
    }

    fn pack<'a>(
        network: &Network,
        parameters: &'a [f32],
        keep: Option<Keep<'a>>,
        stop: &'a dyn Stop,
    ) -> Result<Self, Error> {
        if parameters.len() != network.parameter_count() {
            return Err(Error::ParameterCount {
                expected: network.parameter_count(),
                given: parameters.len(),
            });
        }
        Self::build(network, Packer::new(parameters, keep).until(stop))
    }

    fn build(network: &Network, mut packer: Packer<'_>) -> Result<Self, Error> {
        let Layout {
            places,
            in_place,
            buffers,
        } = Layout::new(network);
        let mut output_activation = network.output_activation();
        let mut steps = Vec::new();
        let members = network.members();
        let last = network.nodes().len().saturating_sub(1);
        let is_output = |i: usize| match members {
            1 => i == last,
            _ => network.nodes()[last].sources().contains(&Source::Node(i)),
        };
        // Each member's output layer applies it, so that only their mean is left to take.
        let member_activation = output_activation;
        for (i, node) in network.nodes().iter().enumerate() {
            if packer.is_stopped() {
                return Err(Error::Interrupted);
            }
            packer.node(node.parameters());
            let mut sources: Vec<Place> = node
                .sources()
                .iter()
                .map(|s| place_of(*s, &places))
                .collect();
            let action = match node.operation() {
                Operation::Packed => {
                    let mut action = pack(node, &mut packer)?;
                    if is_output(i) && action.activation() == Some(Activation::Linear) {
                        action.set_activation(member_activation);
                        output_activation = Activation::Linear;
                    }
                    if let Action::Layer(layer) = &action
                        && is_output(i)
                        && layer.is_activated()
                    {
                        output_activation = Activation::Linear;
                    }
                    action
                }
                // Whoever reads the node reads its source; only a last one has to be copied.
                Operation::Identity if i != last => continue,
                Operation::Identity => Action::Copy(vec![0]),
                Operation::Select { ranges } => {
                    sources = ranges
                        .iter()
                        .map(|r| Place {
                            home: Home::Input,
                            start: r.start,
                            width: r.len(),
                        })
                        .collect();
                    Action::Copy(starts(&sources))
                }
                Operation::Concat => {
                    let (copied, kept) = starts(&sources)
                        .into_iter()
                        .zip(sources)
                        .zip(&in_place[i])
                        .filter_map(|(copy, in_place)| (!in_place).then_some(copy))
                        .unzip();
                    sources = kept;
                    Action::Copy(copied)
                }
            };
            if matches!(&action, Action::Copy(starts) if starts.is_empty()) {
                continue;
            }
            let read = sources.iter().map(|source| source.width).sum::<usize>();
            steps.push(Step {
                work: (read + places[i].width).saturating_mul(VALUE / 4),
                action,
                sources,
                target: places[i],
                steps: node.steps.clone(),
                source_steps: node.source_steps.clone(),
                node: i,
            });
        }
        let weights = packer.size_bytes();
        let row_bytes = buffers.iter().sum::<usize>().max(1) * size_of::<f32>();
        let most = if weights < LARGE { TILE } else { LARGE_TILE };
        let mut tile = most.min(SCRATCH_BYTES / row_bytes).max(1);
        while tile > 1 && working(&steps, tile) > SCRATCH_BYTES / size_of::<f32>() {
            tile /= 2;
        }
        Ok(Self {
            steps,
            buffers,
            input_width: network.input_width(),
            output_units: network.output_units(),
            members,
            member_outputs: (members > 1).then(|| places[last]),
            tile,
            output_activation,
            shared: packer.finish()?,
        })
    }

    /// Length of an encoded row.
    pub fn input_width(&self) -> usize {
        self.input_width
    }

    /// Number of values a row gives.
    pub fn output_units(&self) -> usize {
        self.output_units
    }

    /// How many networks the result is the mean of.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Memory it holds for itself, in bytes, without the callers' [`Scratch`].
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.steps.iter().map(Step::size_bytes).sum::<usize>()
    }

    /// Size of the packed weights that it shares with others.
    pub fn shared_bytes(&self) -> usize {
        self.shared.as_ref().map_or(0, SharedWeights::size_bytes)
    }

    /// Buffers for [`Predictor::forward`], one for each caller at a time.
    pub fn scratch(&self) -> Scratch {
        self.scratch_for(self.tile)
    }

    /// The same in so many bytes: with room for fewer rows at a time where that is what it takes.
    ///
    /// # Errors
    /// [`Error::Memory`] if a single row needs more, its input and its result counted;
    /// [`Error::Refused`] if the system has not so much.
    pub fn scratch_within(&self, bytes: usize) -> Result<Scratch, Error> {
        self.scratch_of(self.tile, bytes)
    }

    /// [`Predictor::scratch_within`] for a caller that has one row at a time, which takes more rows
    /// as it would take each by itself.
    ///
    /// # Errors
    /// As [`Predictor::scratch_within`].
    pub fn scratch_of_a_row(&self, bytes: usize) -> Result<Scratch, Error> {
        self.scratch_of(1, bytes)
    }

    fn scratch_of(&self, most: usize, bytes: usize) -> Result<Scratch, Error> {
        let mut tile = most;
        while tile > 1 && self.scratch_bytes(tile) > bytes {
            tile /= 2;
        }
        let needed = self.scratch_bytes(tile);
        if needed > bytes {
            return Err(Error::Memory {
                what: "predicting a row".to_string(),
                needed,
                limit: bytes,
            });
        }
        memory::ask_for_many(needed)?;
        Ok(self.scratch_for(tile))
    }

    fn scratch_for(&self, tile: usize) -> Scratch {
        let buffers = self.buffers.iter().map(|width| Buffer::new(width * tile));
        Scratch {
            tile,
            buffers: buffers.collect(),
            working: Buffer::new(working(&self.steps, tile)),
        }
    }

    fn scratch_bytes(&self, tile: usize) -> usize {
        let row = self.buffers.iter().sum::<usize>() + self.input_width + self.output_units;
        (row * tile + working(&self.steps, tile)) * size_of::<f32>()
    }

    /// Rows that are taken through all layers before the next ones' turn.
    pub fn tile(&self) -> usize {
        self.tile
    }

    /// The results of `rows` rows: reads rows of [`Predictor::input_width`] values and writes rows
    /// of [`Predictor::output_units`], after the output activation. Allocates nothing.
    ///
    /// Every NaN is written as [`f32::NAN`], since processors differ in the bits they give it.
    ///
    /// # Panics
    /// If `x` or `out` is shorter than that, or the scratch is another predictor's.
    pub fn forward(&self, x: &[f32], rows: usize, out: &mut [f32], scratch: &mut Scratch) {
        self.forward_until(&Never, x, rows, out, scratch);
    }

    /// [`Predictor::forward`] that ends early, with whatever result, once `stop` is set, at which it
    /// looks whenever some milliseconds of work are done. A look may unwind: the scratch stays good.
    ///
    /// # Panics
    /// As [`Predictor::forward`].
    pub fn forward_until(
        &self,
        stop: &dyn Stop,
        x: &[f32],
        rows: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.compute(&Pace::new(stop), x, rows, None, out, scratch, None);
    }

    /// [`Predictor::forward_until`] that shows what each node reads, before it is computed, to
    /// `observe`: the node, the values of its only or first source, and how many rows these are.
    ///
    /// # Panics
    /// As [`Predictor::forward`].
    pub(in crate::nn) fn observe(
        &self,
        stop: &dyn Stop,
        x: &[f32],
        rows: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
        observe: &mut dyn FnMut(usize, View<'_>, usize),
    ) {
        let pace = Pace::new(stop);
        self.compute(&pace, x, rows, None, out, scratch, Some(observe));
    }

    /// [`Predictor::forward_until`] with the result of one member for each row, given in `folds`, in
    /// place of the mean: of the member that was not trained on the row, the result is that of a
    /// network that has not seen it.
    ///
    /// # Panics
    /// As [`Predictor::forward`], and if there are fewer folds than rows.
    pub fn forward_held_out(
        &self,
        stop: &dyn Stop,
        x: &[f32],
        folds: &[u8],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let pace = Pace::new(stop);
        self.compute(&pace, x, folds.len(), Some(folds), out, scratch, None);
    }

    #[expect(clippy::too_many_arguments, reason = "where to read and to write")]
    fn compute(
        &self,
        pace: &Pace<'_>,
        x: &[f32],
        rows: usize,
        folds: Option<&[u8]>,
        out: &mut [f32],
        scratch: &mut Scratch,
        mut observe: Option<Observe<'_>>,
    ) {
        assert_eq!(
            scratch.buffers.len(),
            self.buffers.len(),
            "the scratch of another predictor"
        );
        let x = &x[..rows * self.input_width];
        let out = &mut out[..rows * self.output_units];
        let mut begin = 0;
        while begin < rows {
            let count = scratch.tile.min(rows - begin);
            let x = &x[begin * self.input_width..];
            let out = &mut out[begin * self.output_units..][..count * self.output_units];
            for step in &self.steps {
                if pace.spend(step.work.saturating_mul(count)) {
                    return;
                }
                if let (Some(observe), [source, ..]) = (&mut observe, &step.sources[..]) {
                    observe(step.node, self.rows(*source, x, &scratch.buffers), count);
                }
                self.run(step, x, count, out, scratch, pace);
            }
            if let Some(place) = self.member_outputs {
                let results = self.rows(place, x, &scratch.buffers);
                for (row, out) in out.chunks_exact_mut(self.output_units).enumerate() {
                    let fold = folds.map(|folds| usize::from(folds[begin + row]));
                    self.join(results.row(row), fold, out);
                }
            }
            self.output_activation.apply(out, self.output_units);
            for value in out {
                if value.is_nan() {
                    *value = f32::NAN;
                }
            }
            begin += count;
        }
    }

    /// The mean of the members' results for a row, added up in their order; or that of one.
    #[inline]
    fn join(&self, results: &[f32], member: Option<usize>, out: &mut [f32]) {
        let units = self.output_units;
        if let Some(member) = member {
            let start = member.min(self.members - 1) * units;
            out.copy_from_slice(&results[start..start + units]);
            return;
        }
        for (unit, out) in out.iter_mut().enumerate() {
            let results = results[unit..].iter().step_by(units);
            let sum: f64 = results.map(|&result| f64::from(result)).sum();
            *out = (sum / self.members as f64) as f32;
        }
    }

    #[inline]
    fn run(
        &self,
        step: &Step,
        x: &[f32],
        count: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
        pace: &Pace<'_>,
    ) {
        let Scratch {
            buffers, working, ..
        } = scratch;
        match step.target.home {
            Home::Buffer(buffer) => {
                // Out of the list while it is written; no step reads the buffer it writes to.
                let mut taken = Taken::from(buffers, buffer);
                let stride = self.buffers[buffer];
                let target = &mut taken.own[step.target.start..];
                let sources = &*taken.buffers;
                let x_rows = (x, self.input_width);
                step.run(count, target, stride, x_rows, working, pace, |p| {
                    self.rows(p, x, sources)
                });
                step.steps.mask(x, self.input_width, target, stride, count);
            }
            _ => {
                let stride = self.output_units;
                let x_rows = (x, self.input_width);
                step.run(count, out, stride, x_rows, working, pace, |p| {
                    self.rows(p, x, buffers)
                });
            }
        }
    }

    #[inline]
    fn rows<'a>(&self, place: Place, x: &'a [f32], buffers: &'a [Buffer]) -> View<'a> {
        let (data, stride) = match place.home {
            Home::Buffer(buffer) => (&buffers[buffer][..], self.buffers[buffer]),
            // Nothing reads the output.
            Home::Input | Home::Output => (x, self.input_width),
        };
        View {
            data: &data[place.start..],
            stride,
            width: place.width,
        }
    }
}
