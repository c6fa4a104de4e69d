//! Products of 8-bit integers, for quantised networks.
//!
//! A weight is `q · s` with q from −127 to 127 and a scale s an output; an input is `(b − z) · t`
//! with a byte b from 0 to 255, a zero point z and a scale t, both fixed for a layer or found anew
//! for each row. An output is
//!
//! `activation(t · s · Σ (b − z) · q + bias)`,
//!
//! whose sum is of whole numbers and exact in 32 bits up to `MOST_INPUTS` inputs, so that its bits
//! depend neither on the order nor on the instructions: not on the rows it is computed with, nor on
//! the processor. What follows it is one product, one fused multiply-add and the activation, each
//! rounded once on every processor.
//!
//! Inputs keep all of their 8 bits. `vpmaddubsw`, AVX2's product of bytes, adds pairs up in 16 bits
//! and saturates there, which would cost a bit of each input; so AVX2 takes products of 16 bits
//! (`vpmaddwd`), at half the speed, and VNNI products of bytes added up in 32 bits (`vpdpbusd`, the
//! form that does not saturate).

mod lanes;
mod packed;
mod portable;
mod product;
mod rows;
mod run;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(in crate::nn) use packed::IntegerPacking;
pub use packed::PackedIntegers;
pub use rows::InputScale;
pub(in crate::nn) use weights::{can_round, round};
pub(crate) use weights::{integer, is_row_scale, row_scale};

/// Most inputs of a layer: 255 · 128 times as many is less than 2³¹.
pub(in crate::nn) const MOST_INPUTS: usize = 1 << 16;
