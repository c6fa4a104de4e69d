//! The buffers that predictions are computed in.

use std::ops::{Deref, DerefMut};

use crate::nn::kernels::vector::LANES;

/// The buffers of one caller; see [`Predictor::scratch`](super::predictor::Predictor::scratch).
#[derive(Debug, Default)]
pub struct Scratch {
    /// Rows that it has room for.
    pub(super) tile: usize,
    pub(super) buffers: Vec<Buffer>,
    /// Working memory of the packed layers.
    pub(super) working: Buffer,
}

impl Scratch {
    /// Memory that it takes, in bytes.
    pub fn size_bytes(&self) -> usize {
        let buffers = self.buffers.iter().chain([&self.working]);
        let values: usize = buffers.map(|buffer| buffer.memory.len()).sum();
        values * size_of::<f32>()
    }
}

/// Values that begin where a cache line does: a vector that straddles two costs the kernels twice.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    memory: Box<[f32]>,
    /// Where in the memory, which never moves, a cache line begins.
    begin: usize,
}

impl Buffer {
    /// At least so many zeros. The system gives a page of them when it is first touched, so that a
    /// connection that computes a row does not pay for a tile: zeros of a type aligned to cache
    /// lines would all be written here.
    pub fn new(values: usize) -> Self {
        let memory = vec![0.0; values.next_multiple_of(LANES) + LANES].into_boxed_slice();
        let begin = memory.as_ptr().align_offset(LANES * size_of::<f32>());
        Self { memory, begin }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.memory[self.begin..]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.begin..]
    }
}

/// A buffer that is out of the list, and comes back to it even where a look unwinds.
pub(super) struct Taken<'a> {
    pub buffers: &'a mut [Buffer],
    place: usize,
    pub own: Buffer,
}

impl<'a> Taken<'a> {
    #[inline]
    pub fn from(buffers: &'a mut [Buffer], place: usize) -> Self {
        let own = std::mem::take(&mut buffers[place]);
        Self {
            buffers,
            place,
            own,
        }
    }
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        self.buffers[self.place] = std::mem::take(&mut self.own);
    }
}
