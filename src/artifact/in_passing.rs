//! A model's bytes checked as they pass by: of a large one no more than its header is kept.

use super::container::MAX_HEADER;
use super::error::Error;
use super::model::Model;
use crate::memory;
use crate::nn::{Network, Stop};

/// Bytes of a value.
const VALUE: usize = size_of::<f32>();

/// Checks what [`Model::from_bytes`] checks, of bytes that come piece by piece.
#[derive(Debug, Default)]
pub struct InPassing {
    /// The header with its length, as far as it has come.
    header: Vec<u8>,
    /// How long it is, once that is known: no longer than a header can be.
    header_size: Option<usize>,
    /// Bytes behind it.
    data: usize,
    /// The begin of a value whose other bytes have not come.
    begun: Vec<u8>,
    /// Where the first value lies that is not finite, were all of type f32.
    not_finite: Option<usize>,
    /// Bytes that were looked at.
    seen: usize,
}

impl InPassing {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// No memory for the header.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        if self.header_size.is_none() {
            bytes = self.fill(size_of::<u64>(), bytes);
            let Some(length) = self.header.first_chunk() else {
                return Ok(());
            };
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
            let length = if length > MAX_HEADER { 0 } else { length };
            memory::ask_for_many(length)?;
            self.header.reserve_exact(length);
            self.header_size = Some(self.header.len() + length);
        }
        let data = self.fill(self.header_size.unwrap_or_default(), bytes);
        self.data += data.len();
        self.look_at(data);
        Ok(())
    }

    /// Lets the header become so long, and returns the bytes that are left.
    fn fill<'a>(&mut self, size: usize, bytes: &'a [u8]) -> &'a [u8] {
        let missing = size.saturating_sub(self.header.len());
        let (own, rest) = bytes.split_at(missing.min(bytes.len()));
        self.header.extend_from_slice(own);
        rest
    }

    /// Looks whether all values are finite, as if they all were of type f32. Those that are not come
    /// last in our files.
    fn look_at(&mut self, mut data: &[u8]) {
        if !self.begun.is_empty() {
            let missing = VALUE - self.begun.len();
            let (own, rest) = data.split_at(missing.min(data.len()));
            self.begun.extend_from_slice(own);
            data = rest;
            if let Some(value) = self.begun.first_chunk() {
                if !f32::from_le_bytes(*value).is_finite() {
                    self.not_finite.get_or_insert(self.seen);
                }
                self.begun.clear();
                self.seen += VALUE;
            }
        }
        let (values, rest) = data.as_chunks::<VALUE>();
        if self.not_finite.is_none() {
            let mut values = values.iter();
            let first = values.position(|value| !f32::from_le_bytes(*value).is_finite());
            self.not_finite = first.map(|place| self.seen + place * VALUE);
        }
        self.seen += values.len() * VALUE;
        self.begun.extend_from_slice(rest);
    }

    /// The model that they are, without its parameters, and its network.
    ///
    /// # Errors
    /// As of [`Model::from_bytes_until`].
    pub fn finish(self, stop: &dyn Stop) -> Result<(Model, Network), Error> {
        let checked = Model::check_header(&self.header, self.data, stop)?;
        let integers = checked.1.parameters().iter().filter(|p| p.is_integer);
        let integers: usize = integers.map(|parameter| parameter.range.len()).sum();
        let floats = self.data.saturating_sub(integers);
        if self.not_finite.is_some_and(|first| first < floats) {
            return Err(Error::damaged(
                "a tensor",
                "it has a value that is not finite",
            ));
        }
        Ok(checked)
    }
}
