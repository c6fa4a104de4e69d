//! The packed kernel beside OpenBLAS, in turns on one thread: `cargo bench --no-default-features
//! --bench kernel`.
//!
//! Both compute x · weightᵀ for the same matrices; OpenBLAS gets neither bias nor activation. A time
//! is the least of several samples: what else the machine does only adds to it.

#![expect(unsafe_code, reason = "BLAS, to compare with")]

use std::ffi::c_int;
use std::hint::black_box;
use std::time::Instant;

use pg_neural::nn::kernel::PackedDense;
use pg_neural::nn::matrix::{matrix, matrix_mut, multiply};
use pg_neural::nn::processor::Processor;
use pg_neural::nn::{
    Activation, Architecture, Head, Initializer, InputFeature, InputForm, Network, Predictor,
    Random, blas,
};

const SAMPLES: usize = 15;
/// Of a sample.
const SECONDS: f64 = 0.003;

#[link(name = "libopenblas.so.0", kind = "dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn cblas_sgemv(
        layout: c_int,
        transpose: c_int,
        m: c_int,
        n: c_int,
        alpha: f32,
        a: *const f32,
        lda: c_int,
        x: *const f32,
        x_step: c_int,
        beta: f32,
        y: *mut f32,
        y_step: c_int,
    );
}

/// `y = a · x` for rows of as many values as x.
fn multiply_vector(a: &[f32], x: &[f32], y: &mut [f32]) {
    assert_eq!(a.len(), x.len() * y.len());
    let (rows, columns) = (y.len() as c_int, x.len() as c_int);
    let (row_major, as_it_lies) = (101, 111);
    let (a, x, y) = (a.as_ptr(), x.as_ptr(), y.as_mut_ptr());
    // SAFETY: the function of cblas.h, and slices of these sizes.
    unsafe {
        cblas_sgemv(
            row_major, as_it_lies, rows, columns, 1.0, a, columns, x, 1, 0.0, y, 1,
        );
    }
}

fn values(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.normal_f32()).collect()
}

/// The least seconds that each takes, in turns.
fn least<const N: usize>(mut tasks: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::MAX; N];
    let mut repeats = [1; N];
    for _ in 0..SAMPLES {
        for ((task, least), repeats) in tasks.iter_mut().zip(&mut least).zip(&mut repeats) {
            let begin = Instant::now();
            for _ in 0..*repeats {
                task();
            }
            *least = least.min(begin.elapsed().as_secs_f64() / f64::from(*repeats));
            *repeats = (SECONDS / *least).ceil() as u32;
        }
    }
    least
}

fn beside_openblas(rows: usize, n: usize, k: usize) {
    let mut random = Random::new(0, 0);
    let (weight, bias) = (values(&mut random, n * k), values(&mut random, n));
    let x = values(&mut random, rows * k);
    let (mut out, mut other) = (vec![0.0; rows * n], vec![0.0; rows * n]);
    let mut blas = || {
        if rows == 1 {
            multiply_vector(&weight, black_box(&x), &mut other);
        } else {
            let (x, weight) = (matrix(black_box(&x), rows, k), matrix(&weight, n, k));
            multiply(&x, &weight.t(), 0.0, &mut matrix_mut(&mut other, rows, n));
        }
    };
    let packed = PackedDense::new(&weight, Some(&bias), n, k, Activation::Relu);
    let mut own = || packed.forward(black_box(&x), k, rows, black_box(&mut out), n);
    let [own, blas] = least([&mut own, &mut blas]);
    let products = 2e-9 * (rows * n * k) as f64;
    println!(
        "{rows:5} rows, {k:4} to {n:4}: {:10.3} µs, {:4.0} GFLOP/s; OpenBLAS {:10.3} µs, {:4.0}; \
         {:.2} times as fast",
        1e6 * own,
        products / own,
        1e6 * blas,
        products / blas,
        blas / own
    );
}

/// A network of two hidden layers beside the sum of its layers' products.
fn network(rows: usize, width: usize, units: usize) {
    let layers = format!(
        r#"{{"layers": [{{"type": "input", "features": ["x"]}},
            {{"type": "dense", "units": {units}, "activation": "relu"}},
            {{"type": "dense", "units": {units}, "activation": "relu"}}]}}"#
    );
    let architecture = Architecture::parse(&layers).unwrap();
    let features = [InputFeature::column("x", width, None)];
    let network = Network::build(&architecture, &features, Head::Binary, None).unwrap();
    let predictor = Predictor::new(&network, &network.initialise(1, Initializer::Pytorch)).unwrap();
    let mut random = Random::new(0, 0);
    let x = values(&mut random, rows * width);
    let (mut out, mut scratch) = (vec![0.0; rows], predictor.scratch());
    let mut whole = || predictor.forward(black_box(&x), rows, black_box(&mut out), &mut scratch);
    let [whole] = least([&mut whole]);
    let mut products = 0.0;
    for (n, k) in [(units, width), (units, units), (1, units)] {
        let layer = PackedDense::new(&values(&mut random, n * k), None, n, k, Activation::Relu);
        let x = values(&mut random, rows * k);
        let mut out = vec![0.0; rows * n];
        let [time] = least([&mut || layer.forward(black_box(&x), k, rows, black_box(&mut out), n)]);
        products += time;
    }
    println!(
        "{rows:5} rows through {width}-{units}-{units}-1: {:.1} ns a row; its products alone {:.1} ns",
        1e9 * whole / rows as f64,
        1e9 * products / rows as f64
    );
}

/// A recurrent network of 128 units over 28 steps of 28 values.
fn recurrent(layer: &str) {
    let layers = format!(r#"{{"layers": [{{"type": "{layer}", "units": 128}}]}}"#);
    let architecture = Architecture::parse(&layers).unwrap();
    let form = InputForm::Sequence {
        steps: 28,
        features: 28,
        vocabulary: None,
    };
    let name = "x".into();
    let head = Head::Multiclass { classes: 10 };
    let network =
        Network::build(&architecture, &[InputFeature { name, form }], head, None).unwrap();
    let predictor = Predictor::new(&network, &network.initialise(1, Initializer::Pytorch)).unwrap();
    let (rows, width) = (256, predictor.input_width());
    let mut x = values(&mut Random::new(0, 0), rows * width);
    // The first column tells how many steps are there.
    x.chunks_mut(width).for_each(|row| row[0] = 28.0);
    let (mut out, mut scratch) = (vec![0.0; rows * 10], predictor.scratch());
    let mut whole = || predictor.forward(black_box(&x), rows, black_box(&mut out), &mut scratch);
    let [whole] = least([&mut whole]);
    println!(
        "{layer} of 128 units, 28 steps: {:.2} µs a row",
        1e6 * whole / rows as f64
    );
}

fn main() {
    blas::load().expect("OpenBLAS");
    println!("on {:?}", Processor::detect());
    for rows in [1, 256, 1024] {
        for (n, k) in [
            (64, 20),
            (64, 64),
            (1, 64),
            (128, 128),
            (256, 256),
            (512, 512),
            (1024, 1024),
        ] {
            beside_openblas(rows, n, k);
        }
    }
    for rows in [1, 8, 64, 256] {
        network(rows, 20, 64);
        network(rows, 20, 256);
    }
    for layer in ["rnn", "lstm", "gru"] {
        recurrent(layer);
    }
}
