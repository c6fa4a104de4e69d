//! Loops over numbers, compiled for each processor, with the same bits on all of them.

#![expect(
    unsafe_code,
    reason = "vector instructions, and pointers that leave a loop no checks"
)]

pub mod activation;
pub(in crate::nn) mod add;
pub mod blas;
pub mod convolution;
pub(in crate::nn) mod copy_rows;
pub(in crate::nn) mod dot_products;
pub mod integer;
pub mod math;
pub mod matrix;
pub mod packed_dense;
pub(in crate::nn) mod packed_memory;
pub(in crate::nn) mod packed_product;
pub(in crate::nn) mod packing;
pub mod processor;
pub(in crate::nn) mod product;
pub(in crate::nn) mod reduction;
pub(in crate::nn) mod row_sums;
pub(in crate::nn) mod table_sum;
pub(in crate::nn) mod transpose;
pub(in crate::nn) mod vector;

#[cfg(test)]
mod suite;
