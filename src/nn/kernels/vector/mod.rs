//! Sixteen `f32` lanes on each set of vector instructions, for the kernels.

#[cfg(target_arch = "aarch64")]
mod arm;
mod baseline;
mod lanes;
mod run;
#[cfg(target_arch = "x86_64")]
pub(in crate::nn) mod x86;

pub(in crate::nn) use baseline::Baseline as Portable;
pub(in crate::nn) use lanes::{
    LANES, Vector, even, load, store, tile_rows, unrolled, with_constant,
};
pub(in crate::nn) use run::VectorTask;
