#!/usr/bin/env bash
# One row of a matrix, multiplied over BLAS, has other bits when it is cut out of a matrix than as one of its own.
#
# Run:      ndarray 0.17.2 with the feature blas, blas-src 0.14.0, openblas-src 0.10.4 (system), OpenBLAS 0.3.21
# Guess:    general_mat_mul asks BLAS for every product of single precision whose rows lie side by side.
# Happens:  s![1..2, ..] sets the step from row to row to 0, and a matrix with such a step is multiplied by
#           ndarray's own code; the copy of the row keeps a step and goes to BLAS. Both are right to rounding.
# Output:   equal rows: true, steps [0, 1] and [1000, 1]
#           bits that differ: 32 of 33 (how many depends on the processor)
# Matters:  whoever computes rows in batches and has one left over gets results that depend on where batches end.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml << 'TOML'
[package]
name = "seen"
version = "0.0.0"
edition = "2021"

[dependencies]
blas-src = { version = "=0.14.0", default-features = false, features = ["openblas"] }
ndarray = { version = "=0.17.2", features = ["blas"] }
openblas-src = { version = "=0.10.4", default-features = false, features = ["cblas", "system"] }
TOML
cat > src/main.rs << 'RUST'
use blas_src as _;
use ndarray::linalg::general_mat_mul;
use ndarray::{s, Array2};

fn main() {
    let value = |i: usize| ((i * 7919 % 1009) as f32 - 504.0) / 333.0;
    let a = Array2::from_shape_fn((4, 1000), |(i, j)| value(1000 * i + j));
    let b = Array2::from_shape_fn((1000, 33), |(i, j)| value(3 * (33 * i + j)));
    let cut = a.slice(s![1..2, ..]);
    let copy = Array2::from_shape_vec((1, 1000), cut.iter().copied().collect()).unwrap();
    let (mut of_cut, mut of_copy) = (Array2::zeros((1, 33)), Array2::zeros((1, 33)));
    general_mat_mul(1.0, &cut, &b, 0.0, &mut of_cut);
    general_mat_mul(1.0, &copy, &b, 0.0, &mut of_copy);
    let differ = of_cut.iter().zip(&of_copy).filter(|(x, y)| f32::to_bits(**x) != f32::to_bits(**y)).count();
    println!("equal rows: {}, steps {:?} and {:?}", cut == copy, cut.strides(), copy.strides());
    println!("bits that differ: {differ} of 33");
    assert!(cut == copy && cut.strides()[0] == 0 && copy.strides()[0] != 0 && differ > 0);
}
RUST
CARGO_TARGET_DIR=$folder/target cargo run --quiet
