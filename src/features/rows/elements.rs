//! Statistics of the numbers within arrays, in one pass: of each place of a vector, each channel
//! of an image, each feature of a sequence.

use super::arrays::Real;
use super::statistics::Sample;
use crate::features::column::ArrayShape;

/// Numbers that a sample of arrays holds, at most, as far as it must not get too small.
const SAMPLE: usize = 1 << 20;
/// Values of one place that a sample holds at most.
const SAMPLE_VALUES: usize = 65_536;
/// Values of one place that a sample holds at least, if there are as many.
const SAMPLE_LEAST: usize = 64;

/// The statistics of the places, one after the other; missing numbers are in none of them.
#[derive(Clone, Debug)]
pub(in crate::features) struct Elements {
    shape: ArrayShape,
    places: Vec<Place>,
    /// Most steps of a sequence.
    pub longest: usize,
    /// Which training rows are sampled.
    rows: Sample,
    /// Values of each place that a sampled row gives.
    values_a_row: usize,
    samples: Vec<Vec<f64>>,
}

/// The statistics of one place. Sums are relative to its first value, so that large numbers close
/// together keep their digits.
#[derive(Clone, Debug)]
pub(in crate::features) struct Place {
    count: u64,
    first: f64,
    sum: f64,
    squares: f64,
    pub low: f64,
    pub high: f64,
    /// Numbers that are infinite, which enter nothing else.
    pub infinite: u64,
}

impl Place {
    fn new() -> Place {
        Place {
            count: 0,
            first: 0.0,
            sum: 0.0,
            squares: 0.0,
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
            infinite: 0,
        }
    }

    #[inline]
    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.infinite += u64::from(value.is_infinite());
            return;
        }
        if self.count == 0 {
            self.first = value;
        }
        let difference = value - self.first;
        self.count += 1;
        self.sum += difference;
        self.squares += difference * difference;
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    /// Numbers seen that are finite.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; 0 without any.
    pub fn mean(&self) -> f64 {
        match self.count {
            0 => 0.0,
            n => self.first + self.sum / n as f64,
        }
    }

    /// Whether the numbers are so large that sums over them are none.
    pub fn overflows(&self) -> bool {
        !self.sum.is_finite() || !self.squares.is_finite()
    }

    /// Their standard deviation, as that of a whole population.
    pub fn deviation(&self) -> f64 {
        match self.count {
            0 => 0.0,
            n => {
                let mean = self.sum / n as f64;
                (self.squares / n as f64 - mean * mean).max(0.0).sqrt()
            }
        }
    }
}

impl Elements {
    /// For the arrays of this shape, of so many training rows.
    pub fn new(shape: ArrayShape, training: usize) -> Elements {
        let count = match shape {
            ArrayShape::Vector { length } => length,
            ArrayShape::Image { channels, .. } => channels,
            ArrayShape::Sequence { features } => features,
        };
        let values = (SAMPLE / count.max(1)).clamp(SAMPLE_LEAST, SAMPLE_VALUES);
        let (rows, values_a_row) = match shape {
            ArrayShape::Vector { .. } => (values, 1),
            ArrayShape::Image { .. } => (0, 0),
            ArrayShape::Sequence { .. } => (values, values.div_ceil(training.max(1))),
        };
        Elements {
            shape,
            places: vec![Place::new(); count],
            longest: 0,
            rows: Sample::new(training, rows),
            values_a_row,
            samples: vec![Vec::new(); count],
        }
    }

    /// The shape of the arrays.
    pub fn shape(&self) -> ArrayShape {
        self.shape
    }

    /// Whether an array is of the shape.
    pub fn fits<T>(&self, array: &[T]) -> bool {
        match self.shape {
            ArrayShape::Vector { length } => array.is_empty() || array.len() == length,
            ArrayShape::Image {
                channels,
                height,
                width,
            } => array.len() == channels * height * width && !array.is_empty(),
            ArrayShape::Sequence { features } => {
                !array.is_empty() && array.len().is_multiple_of(features.max(1))
            }
        }
    }

    /// Adds the array of a training row, which is of the shape; `ordinal` counts them.
    pub fn add<T: Real>(&mut self, ordinal: u64, array: &[T]) {
        let sampled = self.rows.takes(ordinal);
        match self.shape {
            ArrayShape::Vector { .. } => {
                for (place, &value) in self.places.iter_mut().zip(array) {
                    place.add(value.double());
                }
                if sampled {
                    for (sample, &value) in self.samples.iter_mut().zip(array) {
                        let value = value.double();
                        sample.extend(value.is_finite().then_some(value));
                    }
                }
            }
            ArrayShape::Image { height, width, .. } => {
                let planes = array.chunks_exact((height * width).max(1));
                for (place, plane) in self.places.iter_mut().zip(planes) {
                    plane.iter().for_each(|value| place.add(value.double()));
                }
            }
            ArrayShape::Sequence { features } => {
                let steps = array.len() / features.max(1);
                self.longest = self.longest.max(steps);
                for step in array.chunks_exact(features.max(1)) {
                    for (place, &value) in self.places.iter_mut().zip(step) {
                        place.add(value.double());
                    }
                }
                if sampled {
                    let wanted = self.values_a_row.min(steps);
                    for i in 0..wanted {
                        let step = &array[i * steps / wanted * features..];
                        for (sample, &value) in self.samples.iter_mut().zip(step) {
                            sample.push(value.double());
                        }
                    }
                }
            }
        }
    }

    /// Ends the pass: samples are sorted.
    pub fn finish(&mut self) {
        for sample in &mut self.samples {
            sample.sort_unstable_by(f64::total_cmp);
        }
    }

    /// The places, each with its sorted sample.
    pub fn places(&self) -> impl Iterator<Item = (&Place, &[f64])> {
        self.places
            .iter()
            .zip(self.samples.iter().map(Vec::as_slice))
    }
}

/// The mean of an array's finite numbers; NaN if there are none.
pub(in crate::features) fn row_mean<T: Real>(array: &[T]) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in array
        .iter()
        .map(|value| value.double())
        .filter(|value| value.is_finite())
    {
        sum += value;
        count += 1;
    }
    sum / f64::from(count)
}
