//! Quantised networks: which layers are computed in 8 bits, and the scales of their inputs.
//!
//! # How it is done
//!
//! * **Weights** are rounded to whole numbers from −127 to 127 with a scale an output, and biases stay
//!   as they are. The rounded weights are ordinary parameters: whatever else reads a model (its
//!   description, a check, an export) sees a network with these values.
//! * **Inputs** of a layer become bytes as they are computed, by one scale and zero point that were
//!   calibrated here on rows, or, for layers of tokens, by a scale for each token. Between layers
//!   values are `f32`, so that every layer can stay as it is.
//! * **The sum** of products is of whole numbers, exact and so the same on every processor
//!   ([`integer`](super::kernels::integer) has the arithmetic).
//! * **A file** has the whole numbers as tensors of type I8, a quarter of the size, and their scales
//!   beside them.
//! * A layer says itself whether it pays (`Layer::quantizable`); what does not stays `f32`.
//!
//! # The scale of an input
//!
//! Reaching as far as the farthest value makes all others coarse. So of eighty ranges, from that
//! one down, the one is taken whose squared error over the rows is least: that of rounding within
//! (a twelfth of the step's square for each value) and that of what is cut off beyond, on a histogram
//! of the values. Zeros, of which a relu gives many, are exact in all of them and do not count. (The
//! search for a least squared error by histograms is that of TensorRT's and PyTorch's calibrators:
//! Migacz, "8-bit inference with TensorRT", 2017, which takes the divergence for the error.)

use super::base::error::Error;
use super::base::stop::{Pace, Stop};
use super::kernels::integer::InputScale;
use super::layer::View;
use super::network::{Network, Quantization};
use super::predict::{Predictor, Scratch};

/// Bins of a histogram.
const BINS: usize = 2048;
/// Ranges that are tried: as far from zero as these hundredths of the farthest value.
const SHARES: std::ops::RangeInclusive<u32> = 20..=100;

/// A layer that can be computed in 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Weights that would be in 8 bits.
    pub weights: usize,
    node: usize,
    is_dynamic: bool,
}

impl Candidate {
    /// The layers of a network that can be computed in 8 bits, in their order.
    pub fn of(network: &Network, parameters: &[f32]) -> Vec<Candidate> {
        let nodes = network.nodes().iter().enumerate();
        let candidates = nodes.filter_map(|(i, node)| {
            let asked = network.quantizable(i, parameters)?;
            Some(Candidate {
                name: node.name().to_owned(),
                weights: node.products(),
                node: i,
                is_dynamic: asked.is_dynamic,
            })
        });
        candidates.collect()
    }
}

/// The values that a layer reads.
#[derive(Debug, Clone)]
struct Seen {
    low: f32,
    high: f32,
    /// How many lie in each part of the range; zeros do not count. Empty until the range is known.
    counts: Vec<u64>,
}

impl Seen {
    /// Takes the values' range in; those that are not finite say nothing.
    fn reach(&mut self, values: &[f32]) {
        for &value in values.iter().filter(|value| value.is_finite()) {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    fn bin(&self) -> f64 {
        (f64::from(self.high) - f64::from(self.low)) / BINS as f64
    }

    fn count(&mut self, values: &[f32]) {
        let (low, bin) = (f64::from(self.low), self.bin());
        let finite = values.iter().filter(|value| value.is_finite());
        for &value in finite.filter(|value| **value != 0.0) {
            let place = ((f64::from(value) - low) / bin) as usize;
            self.counts[place.min(BINS - 1)] += 1;
        }
    }

    /// The scale of least squared error.
    fn scale(&self) -> Option<InputScale> {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let mut best: Option<(f64, f64, f64)> = None;
        for share in SHARES.rev() {
            let reach = high.max(-low) * f64::from(share) / 100.0;
            let (low, high) = (low.max(-reach), high.min(reach));
            let error = self.error(low, high);
            if best.is_none_or(|(least, ..)| error < least) {
                best = Some((error, low, high));
            }
        }
        best.and_then(|(_, low, high)| InputScale::over(low, high))
    }

    /// The squared error of a range from `low` to `high`.
    fn error(&self, low: f64, high: f64) -> f64 {
        let step = (high - low) / 255.0;
        let within = step * step / 12.0;
        let (begin, bin) = (f64::from(self.low), self.bin());
        let errors = self.counts.iter().enumerate().map(|(place, &count)| {
            let value = begin + (place as f64 + 0.5) * bin;
            let beyond = (value - high).max(low - value).max(0.0);
            count as f64 * (beyond * beyond).max(within)
        });
        errors.sum()
    }
}

/// Finds the scales of the layers' inputs on rows, which are to be shown to it twice.
#[derive(Debug)]
pub struct Calibration<'a> {
    predictor: &'a Predictor,
    candidates: Vec<Candidate>,
    seen: Vec<Seen>,
    scratch: Scratch,
    out: Vec<f32>,
}

impl<'a> Calibration<'a> {
    /// Of these layers of the network that predicts so, within so many bytes of memory.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn new(
        predictor: &'a Predictor,
        candidates: Vec<Candidate>,
        bytes: usize,
    ) -> Result<Calibration<'a>, Error> {
        let seen = Seen {
            low: 0.0,
            high: 0.0,
            counts: Vec::new(),
        };
        Ok(Calibration {
            seen: vec![seen; candidates.len()],
            scratch: predictor.scratch_within(bytes)?,
            predictor,
            candidates,
            out: Vec::new(),
        })
    }

    /// Looks at the rows, encoded, one behind the other; ends early, with whatever result, once
    /// `stop` is set.
    pub fn calibrate(&mut self, x: &[f32], stop: &dyn Stop) {
        self.observe(x, stop, Seen::reach);
        for seen in &mut self.seen {
            seen.counts = vec![0; BINS];
        }
        self.observe(x, stop, Seen::count);
    }

    fn observe(&mut self, x: &[f32], stop: &dyn Stop, each: impl Fn(&mut Seen, &[f32])) {
        let width = self.predictor.input_width().max(1);
        let tile = self.predictor.tile();
        self.out.resize(tile * self.predictor.output_units(), 0.0);
        let pace = Pace::new(stop);
        for x in x.chunks(tile * width) {
            let (candidates, seen) = (&self.candidates, &mut self.seen);
            let mut look = |node: usize, view: View<'_>, rows: usize| {
                let Some(place) = candidates.iter().position(|c| c.node == node) else {
                    return;
                };
                for row in 0..rows {
                    if pace.spend_values(view.width) {
                        return;
                    }
                    each(&mut seen[place], view.row(row));
                }
            };
            let rows = x.len() / width;
            let (predictor, out, scratch) = (self.predictor, &mut self.out, &mut self.scratch);
            predictor.observe(stop, x, rows, out, scratch, &mut look);
        }
    }

    /// The layers with their scales. A layer whose inputs are too large to have one is left out.
    pub fn finish(self) -> Quantization {
        let layers = self.candidates.into_iter().zip(&self.seen);
        let scaled = layers.filter_map(|(candidate, seen)| {
            let scale = match candidate.is_dynamic {
                true => Some(InputScale::Dynamic),
                false => seen.scale(),
            };
            Some((candidate.name, scale?))
        });
        Quantization {
            layers: scaled.collect(),
        }
    }
}
