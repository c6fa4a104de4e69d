//! OpenBLAS for the trainings of pg_neural, in a library of its own: a process opens it when it first
//! trains, and whoever predicts does not wait for OpenBLAS to be loaded.
//!
//! It exports [`PG_NEURAL_BLAS`] and nothing else.

// For the link: ndarray calls what this brings.
use blas_src as _;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

pub mod table;

use table::{ABI, Place, Product, Table};

/// What the extension asks this library for, by this name.
#[unsafe(no_mangle)]
pub static PG_NEURAL_BLAS: Table = Table { abi: ABI, multiply };

/// See [`Table::multiply`].
unsafe extern "C" fn multiply(product: &Product) {
    let &Product {
        rows,
        columns,
        inner,
        a,
        b,
        beta,
        c,
    } = product;
    // SAFETY: the caller says that the matrices lie there, and that `c` is its own.
    let (a, b, mut c) = unsafe {
        (
            ArrayView2::from_shape_ptr((rows, inner).strides(steps(&a)), a.first),
            ArrayView2::from_shape_ptr((inner, columns).strides(steps(&b)), b.first),
            ArrayViewMut2::from_shape_ptr((rows, columns).strides(steps(&c)), c.first),
        )
    };
    general_mat_mul(1.0, &a, &b, beta, &mut c);
}

/// From an axis's value to the next. ndarray gives an axis of one value that it slices a step of 0,
/// and asks BLAS for no product of such a matrix.
fn steps<P>(place: &Place<P>) -> (usize, usize) {
    (place.row.max(1), place.column.max(1))
}
