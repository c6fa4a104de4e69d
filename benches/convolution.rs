//! The passes of convolutions on one thread, 32 images at a time: `cargo bench
//! --no-default-features --bench convolution`.
//! `convolution_pytorch.py` times the same layers in PyTorch.
//!
//! Beside them stand products by OpenBLAS over the same unfolded images, one a row of the kernel:
//! what else could compute them.

use std::hint::black_box;

use pg_neural::nn::convolution::{Axis, Convolution};
use pg_neural::nn::matrix::{matrix, matrix_mut, multiply, strided, strided_mut};
use pg_neural::nn::processor::Processor;
use pg_neural::nn::{Pace, Padding, Random, Window, blas};

use timing::least;

mod timing;

const ROWS: usize = 32;

struct Shape {
    channels: usize,
    filters: usize,
    size: usize,
    kernel: usize,
    padding: usize,
}

const SHAPES: [Shape; 6] = [
    // lenet5's two, cnn_32's, and what residual networks are made of.
    shape(1, 6, 28, 5, 2),
    shape(6, 16, 14, 5, 0),
    shape(1, 32, 28, 3, 0),
    shape(16, 16, 28, 3, 1),
    shape(64, 64, 8, 3, 1),
    shape(64, 64, 28, 3, 1),
];

const fn shape(
    channels: usize,
    filters: usize,
    size: usize,
    kernel: usize,
    padding: usize,
) -> Shape {
    Shape {
        channels,
        filters,
        size,
        kernel,
        padding,
    }
}

fn values(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.normal_f32()).collect()
}

fn main() {
    blas::load().expect("OpenBLAS");
    for shape in &SHAPES {
        convolution(shape);
    }
}

fn convolution(shape: &Shape) {
    let &Shape {
        channels,
        filters,
        size,
        kernel,
        padding,
    } = shape;
    let processor = Processor::detect();
    let mut random = Random::new(0, 0);
    let window = Window {
        size: kernel,
        stride: 1,
        dilation: 1,
        padding: Padding::Fixed(padding, padding),
    };
    let axis = Axis::new(window, size);
    let convolution = Convolution::new(channels, filters, axis, axis);
    let (positions, taps) = (convolution.positions(), convolution.taps());
    let (inputs, outputs) = (convolution.inputs(), filters * positions);
    let x = values(&mut random, ROWS * inputs);
    let dy = values(&mut random, ROWS * outputs);
    let weight = values(&mut random, filters * taps);
    let bias = values(&mut random, filters);
    let pace = Pace::endless();
    let mut packed = vec![0.0; weight.len()];
    let mirrored = convolution.mirrored();
    match &mirrored {
        Some(mirrored) => mirrored.pack(&weight, &mut packed),
        None => convolution.pack_for_input_gradient(&weight, &mut packed),
    }
    let unfolded_size = convolution.unfolded();
    let at_once = ((1 << 17) / (unfolded_size + outputs)).clamp(1, ROWS);
    let other = mirrored.as_ref();
    let other = other.map_or(0, |mirrored| mirrored.convolution.unfolded());
    let mut unfolded = vec![0.0; other.max(at_once * unfolded_size)];
    let mut turned = vec![0.0; at_once * convolution.turned()];
    let mut y = vec![0.0; ROWS * outputs];
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; weight.len()];
    let name = format!("{channels} to {filters} channels, {kernel}×{kernel} over {size}×{size}");
    let report = |pass: &str, mut task: &mut dyn FnMut()| {
        let [seconds] = least([&mut task]);
        let operations = (2 * ROWS * outputs * taps) as f64;
        println!(
            "{name:40} {pass:27} {:8.0} µs, {:4.0} GFLOP/s",
            1e6 * seconds,
            1e-9 * operations / seconds
        );
    };
    report("forward", &mut || {
        for (x, y) in x.chunks(inputs).zip(y.chunks_mut(outputs)) {
            convolution.unfold(processor, black_box(x), &mut unfolded);
            convolution.forward(processor, &unfolded, &weight, Some(&bias), true, y, &pace);
        }
    });
    report("weight gradient", &mut || {
        for (x, dy) in x.chunks(at_once * inputs).zip(dy.chunks(at_once * outputs)) {
            let images = x.chunks(inputs).zip(unfolded.chunks_mut(unfolded_size));
            images.for_each(|(x, unfolded)| convolution.unfold(processor, x, unfolded));
            let images = x.len() / inputs;
            let (turned, dw) = (&mut turned, &mut dw);
            convolution
                .weight_gradient(processor, images, &unfolded, dy, outputs, turned, dw, &pace);
        }
    });
    report("input gradient", &mut || {
        for (dx, dy) in dx.chunks_mut(inputs).zip(dy.chunks(outputs)) {
            let (dy, unfolded) = (black_box(dy), &mut unfolded);
            if let Some(mirrored) = &mirrored {
                let convolution = &mirrored.convolution;
                convolution.unfold(processor, dy, unfolded);
                convolution.product(processor, unfolded, &packed, dx, false, &pace);
            } else {
                dx.fill(0.0);
                convolution.input_gradient(processor, dy, &packed, unfolded, &pace);
                convolution.fold(processor, unfolded, dx);
            }
        }
    });
    // The same by BLAS: the taps of one kernel row are rows of a matrix, one plane apart.
    let planes = channels * kernel;
    let plane = (unfolded_size - 16) / planes;
    report("forward by OpenBLAS", &mut || {
        for (x, y) in x.chunks(inputs).zip(y.chunks_mut(outputs)) {
            convolution.unfold(processor, black_box(x), &mut unfolded);
            let mut y = matrix_mut(y, filters, positions);
            for row in 0..kernel {
                let values = strided(&unfolded[row * axis.output..], planes, positions, plane);
                let w = strided(&weight[row * planes..], filters, planes, taps);
                let beta = if row == 0 { 0.0 } else { 1.0 };
                multiply(&w, &values, beta, &mut y);
            }
        }
    });
    report("weight gradient by OpenBLAS", &mut || {
        for (x, dy) in x.chunks(inputs).zip(dy.chunks(outputs)) {
            convolution.unfold(processor, black_box(x), &mut unfolded);
            let dy = matrix(dy, filters, positions);
            for row in 0..kernel {
                let values = strided(&unfolded[row * axis.output..], planes, positions, plane);
                let mut dw = strided_mut(&mut dw[row * planes..], filters, planes, taps);
                multiply(&dy, &values.t(), 1.0, &mut dw);
            }
        }
    });
}
