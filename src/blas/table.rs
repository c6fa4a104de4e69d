//! What pg_neural.so and the library with OpenBLAS, two files, agree on: both are built with these
//! lines.

/// Raised with every change of what stands below.
pub const ABI: u32 = 1;

/// What the library offers.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// The [`ABI`] that it was built with. Where it is another, nothing else here may be read.
    pub abi: u32,
    /// `c = a · b + beta · c`; where beta is 0, whatever `c` holds.
    ///
    /// # Safety
    /// The matrices must lie at the pointers, and nobody else have access to `c`.
    pub multiply: unsafe extern "C" fn(product: &Product),
}

/// A product of matrices.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Rows of `a` and `c`.
    pub rows: usize,
    /// Columns of `b` and `c`.
    pub columns: usize,
    /// Columns of `a`, rows of `b`.
    pub inner: usize,
    /// The left factor.
    pub a: Place<*const f32>,
    /// The right factor.
    pub b: Place<*const f32>,
    /// What `c` is multiplied by before the product is added.
    pub beta: f32,
    /// The product.
    pub c: Place<*mut f32>,
}

/// Where a matrix lies.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Place<P> {
    /// Its first value.
    pub first: P,
    /// Values from a row to the next, if there is one.
    pub row: usize,
    /// Values from a column to the next, if there is one.
    pub column: usize,
}
