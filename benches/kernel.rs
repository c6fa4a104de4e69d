//! The packed kernel beside OpenBLAS, in one run on one thread: `cargo bench --bench kernel`.
//!
//! Both compute x · weightᵀ for the same matrices; OpenBLAS gets neither bias nor activation.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::linalg::{general_mat_mul, general_mat_vec_mul};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use pg_neural::nn::kernel::PackedDense;
use pg_neural::nn::{Activation, Random};

unsafe extern "C" {
    fn openblas_set_num_threads(threads: i32);
}

fn layer(
    random: &mut Random,
    n: usize,
    k: usize,
    activation: Activation,
) -> (Vec<f32>, PackedDense) {
    let weight: Vec<f32> = (0..n * k).map(|_| random.normal_f32()).collect();
    let bias: Vec<f32> = (0..n).map(|_| random.normal_f32()).collect();
    let packed = PackedDense::new(&weight, Some(&bias), n, k, activation);
    (weight, packed)
}

fn beside_openblas(c: &mut Criterion) {
    // SAFETY: a plain setter of the linked library.
    unsafe { openblas_set_num_threads(1) };
    let mut random = Random::new(0, 0);
    for rows in [1, 256] {
        let mut group = c.benchmark_group(format!("{rows} rows"));
        for (n, k) in [
            (64, 20),
            (64, 64),
            (1, 64),
            (256, 256),
            (512, 512),
            (1024, 1024),
        ] {
            let (weight, packed) = layer(&mut random, n, k, Activation::Relu);
            let x: Vec<f32> = (0..rows * k).map(|_| random.normal_f32()).collect();
            let mut out = vec![0.0; rows * n];
            group.throughput(Throughput::Elements((rows * n * k) as u64));
            let shape = format!("{k} to {n}");
            group.bench_function(BenchmarkId::new("packed", &shape), |b| {
                b.iter(|| packed.forward(black_box(&x), k, rows, black_box(&mut out), n));
            });
            group.bench_function(BenchmarkId::new("OpenBLAS", &shape), |b| {
                b.iter(|| {
                    let weight = ArrayView2::from_shape((n, k), &weight[..]).unwrap();
                    if rows == 1 {
                        let x = ArrayView1::from(black_box(&x[..]));
                        let mut out = ArrayViewMut1::from(&mut out[..]);
                        general_mat_vec_mul(1.0, &weight, &x, 0.0, &mut out);
                    } else {
                        let x = ArrayView2::from_shape((rows, k), black_box(&x[..])).unwrap();
                        let out = ArrayViewMut2::from_shape((rows, n), &mut out[..]);
                        general_mat_mul(1.0, &x, &weight.t(), 0.0, &mut out.unwrap());
                    }
                });
            });
        }
    }
}

fn one_row_through_a_small_network(c: &mut Criterion) {
    let mut random = Random::new(0, 0);
    let layers = [
        layer(&mut random, 64, 20, Activation::Relu).1,
        layer(&mut random, 64, 64, Activation::Relu).1,
        layer(&mut random, 1, 64, Activation::Sigmoid).1,
    ];
    let x: Vec<f32> = (0..20).map(|_| random.normal_f32()).collect();
    let (mut a, mut b, mut out) = ([0.0; 64], [0.0; 64], [0.0; 1]);
    c.bench_function("20-64-64-1, one row", |bencher| {
        bencher.iter(|| {
            layers[0].forward(black_box(&x), 20, 1, &mut a, 64);
            layers[1].forward(&a, 64, 1, &mut b, 64);
            layers[2].forward(&b, 64, 1, black_box(&mut out), 1);
        });
    });
}

criterion_group!(benches, beside_openblas, one_row_through_a_small_network);
criterion_main!(benches);
