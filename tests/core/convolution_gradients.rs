//! The kernels of a convolution's gradients against sums of products one after the other, on every
//! processor.

use pg_neural::nn::convolution::{Axis, Convolution};
use pg_neural::nn::processor::Processor;
use pg_neural::nn::{Pace, Padding, Random, Window};

const IMAGES: usize = 3;

/// Channels, filters, and for each axis its length, kernel, stride, dilation and padding.
const SHAPES: [(usize, usize, [usize; 5], [usize; 5]); 9] = [
    // Turned for the weights, by the kernel turned round for the image.
    (16, 16, [9, 3, 1, 1, 1], [20, 3, 1, 1, 1]),
    (12, 30, [7, 3, 1, 1, 1], [7, 3, 1, 1, 1]),
    (6, 47, [11, 5, 1, 1, 2], [6, 3, 1, 2, 2]),
    // With more padding than windows reach beyond; with none.
    (8, 16, [6, 3, 1, 1, 3], [6, 3, 1, 1, 1]),
    (8, 16, [14, 3, 1, 1, 0], [60, 1, 1, 1, 0]),
    // Strides, and filters and channels that are too few.
    (16, 32, [9, 3, 2, 1, 1], [12, 3, 2, 1, 1]),
    (5, 18, [9, 3, 2, 2, 2], [7, 4, 3, 1, 2]),
    (1, 6, [12, 5, 1, 1, 2], [28, 5, 1, 1, 2]),
    (64, 64, [4, 1, 2, 1, 0], [5, 1, 2, 1, 0]),
];

fn axis([input, size, stride, dilation, padding]: [usize; 5]) -> Axis {
    let padding = Padding::Fixed(padding, padding);
    let window = Window {
        size,
        stride,
        dilation,
        padding,
    };
    Axis::new(window, input)
}

struct Case {
    rows: Axis,
    columns: Axis,
    convolution: Convolution,
    images: Vec<f32>,
    gradients: Vec<f32>,
    weight: Vec<f32>,
}

impl Case {
    fn new(channels: usize, filters: usize, rows: [usize; 5], columns: [usize; 5]) -> Case {
        let (rows, columns) = (axis(rows), axis(columns));
        let convolution = Convolution::new(channels, filters, rows, columns);
        let mut random = Random::new(3, 0);
        let mut values = |count| (0..count).map(|_| random.normal_f32()).collect();
        Case {
            images: values(IMAGES * convolution.inputs()),
            gradients: values(IMAGES * filters * convolution.positions()),
            weight: values(filters * convolution.taps()),
            rows,
            columns,
            convolution,
        }
    }

    /// The gradients with respect to the weights and to the images.
    fn expected(&self, channels: usize, filters: usize) -> (Vec<f64>, Vec<f64>) {
        let (rows, columns) = (self.rows, self.columns);
        let mut of_weight = vec![0.0; self.weight.len()];
        let mut of_images = vec![0.0; self.images.len()];
        let mut gradients = self.gradients.iter();
        for image in 0..IMAGES {
            for filter in 0..filters {
                for (i, j) in pairs(rows.output, columns.output) {
                    let slope = f64::from(*gradients.next().unwrap());
                    for (channel, tap) in pairs(channels, rows.kernel * columns.kernel) {
                        let (a, b) = (tap / columns.kernel, tap % columns.kernel);
                        let row = (i * rows.stride + a * rows.dilation).checked_sub(rows.before);
                        let column = j * columns.stride + b * columns.dilation;
                        let column = column.checked_sub(columns.before);
                        let (Some(row), Some(column)) = (row, column) else {
                            continue;
                        };
                        if row >= rows.input || column >= columns.input {
                            continue;
                        }
                        let plane = image * channels + channel;
                        let at = (plane * rows.input + row) * columns.input + column;
                        let weight = (filter * channels + channel) * rows.kernel * columns.kernel;
                        of_weight[weight + tap] += slope * f64::from(self.images[at]);
                        of_images[at] += slope * f64::from(self.weight[weight + tap]);
                    }
                }
            }
        }
        (of_weight, of_images)
    }

    fn weight_gradient(&self, on: Processor) -> Vec<f32> {
        let convolution = &self.convolution;
        let size = convolution.unfolded();
        let mut unfolded = vec![f32::NAN; IMAGES * size];
        let images = self.images.chunks(convolution.inputs());
        for (image, unfolded) in images.zip(unfolded.chunks_mut(size)) {
            convolution.unfold(on, image, unfolded);
        }
        let mut turned = vec![f32::NAN; IMAGES * convolution.turned()];
        let mut target = vec![0.0; self.weight.len()];
        let stride = self.gradients.len() / IMAGES;
        convolution.weight_gradient(
            on,
            IMAGES,
            &unfolded,
            &self.gradients,
            stride,
            &mut turned,
            &mut target,
            &Pace::endless(),
        );
        target
    }

    /// Added to what is there, or not.
    fn image_gradient(&self, on: Processor, there: Option<f32>) -> Option<Vec<f32>> {
        let mirrored = self.convolution.mirrored()?;
        let convolution = &mirrored.convolution;
        let mut packed = vec![f32::NAN; self.weight.len()];
        mirrored.pack(&self.weight, &mut packed);
        let mut unfolded = vec![f32::NAN; convolution.unfolded()];
        let mut target = vec![there.unwrap_or(f32::NAN); self.images.len()];
        let (from, to) = (self.gradients.len() / IMAGES, self.images.len() / IMAGES);
        for (gradient, image) in self.gradients.chunks(from).zip(target.chunks_mut(to)) {
            convolution.unfold(on, gradient, &mut unfolded);
            let (add, pace) = (there.is_some(), Pace::endless());
            convolution.product(on, &unfolded, &packed, image, add, &pace);
        }
        Some(target)
    }
}

fn pairs(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn close(shape: usize, found: &[f32], expected: &[f64], there: f64) {
    for (found, expected) in found.iter().zip(expected) {
        let expected = expected + there;
        let off = (f64::from(*found) - expected).abs();
        assert!(off < 1e-4, "shape {shape}: {found} instead of {expected}");
    }
}

#[test]
fn a_convolutions_gradients_are_those_of_its_products_on_any_processor() {
    let mut ways = [0; 2];
    for (shape, (channels, filters, rows, columns)) in SHAPES.into_iter().enumerate() {
        let case = Case::new(channels, filters, rows, columns);
        let (of_weight, of_images) = case.expected(channels, filters);
        let detected = Processor::detect();
        let weight = case.weight_gradient(detected);
        close(shape, &weight, &of_weight, 0.0);
        let image = case.image_gradient(detected, None);
        if let Some(image) = &image {
            close(shape, image, &of_images, 0.0);
            let added = case.image_gradient(detected, Some(2.0));
            close(shape, &added.unwrap(), &of_images, 2.0);
        }
        ways[0] += usize::from(case.convolution.turned() > 0);
        ways[1] += usize::from(image.is_some());
        for on in Processor::available() {
            assert!(bits(&case.weight_gradient(on)) == bits(&weight), "{on:?}");
            let other = case.image_gradient(on, None);
            let bits = |of: &Option<Vec<f32>>| of.as_deref().map(bits);
            assert!(bits(&other) == bits(&image), "{on:?}");
        }
    }
    assert!(ways.iter().all(|&count| count > 2 && count < SHAPES.len()));
}
