//! The safetensors container: a JSON header, then the tensors' bytes.
//!
//! The safetensors crate writes headers. Reading is our own, since the bytes may be hostile: the
//! crate adds up offsets that can overflow, keeps the last of two tensors of one name, and buffers
//! any JSON before it looks at it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::error::{Error, clip};
use super::file_format::FileFormat;
use crate::nn::{NAME, Never, Pace, Stop};

/// Longest header: that of 1600 features of 100 long levels is a fifth of it.
pub(super) const MAX_HEADER: usize = 64 << 20;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// The header's entry that is not a tensor.
const METADATA: &str = "__metadata__";

/// A tensor of a file.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// The tensor's name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its elements, row-major and little-endian: exactly as many bytes as type and shape ask for, or
    /// none where but the header was read.
    pub data: &'a [u8],
}

impl Tensor<'_> {
    /// The bytes of its elements, if it is of type f32.
    pub(super) fn f32_bytes(&self) -> Option<&[[u8; 4]]> {
        (self.dtype == Dtype::F32).then_some(self.data.as_chunks().0)
    }

    /// Its elements, if it is of type f32.
    pub fn f32s(&self) -> Option<impl ExactSizeIterator<Item = f32> + '_> {
        (self.dtype == Dtype::F32).then(|| {
            self.data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
        })
    }
}

/// A file that was read: its metadata, and its tensors in the order of their bytes.
#[derive(Debug, Clone)]
pub struct TensorFile<'a> {
    /// The metadata, texts by key.
    pub metadata: BTreeMap<String, String>,
    /// Whether null stands where metadata would, as MLX writes it.
    pub null_metadata: bool,
    /// The tensors; no name comes twice.
    pub tensors: Vec<Tensor<'a>>,
}

/// An f32 tensor to be written.
#[derive(Debug, Clone)]
pub struct TensorSource<'a> {
    /// The tensor's name.
    pub name: Cow<'a, str>,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub values: &'a [f32],
}

/// A tensor of type I8 to be written.
#[derive(Debug, Clone)]
pub(super) struct IntegerSource {
    pub name: String,
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub values: Vec<u8>,
}

/// A file's bytes, those of the tensors where their values are.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    /// The header with its length, then each tensor.
    pieces: Vec<Cow<'a, [u8]>>,
}

impl<'a> Pieces<'a> {
    /// A file of these pieces.
    pub fn new(pieces: Vec<Cow<'a, [u8]>>) -> Pieces<'a> {
        Pieces { pieces }
    }

    /// The number of bytes.
    pub fn size(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// The bytes, piece by piece.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(Cow::as_ref)
    }

    /// The whole file.
    pub fn concat(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        self.iter().for_each(|piece| bytes.extend_from_slice(piece));
        bytes
    }
}

/// The values as a file has them.
fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytemuck::cast_slice(values));
    }
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

impl<'a> TensorFile<'a> {
    /// Reads a file's header; the tensors' bytes stay where they are.
    ///
    /// # Errors
    /// [`Error::NotSafetensors`] when there is no readable header, which says what else the file is,
    /// if that can be told; [`Error::Damaged`] when a tensor is cut off, of a size that its shape
    /// does not give, or there are bytes of no tensor.
    pub fn read(bytes: &'a [u8]) -> Result<TensorFile<'a>, Error> {
        TensorFile::read_until(bytes, &Never)
    }

    /// [`TensorFile::read`] that ends early once `stop` is set.
    ///
    /// # Errors
    /// As [`TensorFile::read`], and [`Error::Interrupted`].
    pub fn read_until(bytes: &'a [u8], stop: &dyn Stop) -> Result<TensorFile<'a>, Error> {
        let pace = Pace::new(stop);
        let read =
            split(bytes).and_then(|(header, data)| TensorFile::parse(header, data.into(), &pace));
        outcome(read, bytes, &pace)
    }

    /// The same of a file whose header, with its length, stands elsewhere than its tensors.
    ///
    /// # Errors
    /// As of [`TensorFile::read_until`].
    pub fn read_parts_until(
        header: &[u8],
        data: &'a [u8],
        stop: &dyn Stop,
    ) -> Result<TensorFile<'a>, Error> {
        let pace = Pace::new(stop);
        let read =
            split(header).and_then(|(header, _)| TensorFile::parse(header, data.into(), &pace));
        outcome(read, header, &pace)
    }

    /// The same of a header, with its length, behind which so many bytes follow that are not here.
    ///
    /// # Errors
    /// As of [`TensorFile::read_until`].
    pub fn read_header_until(
        header: &[u8],
        length: usize,
        stop: &dyn Stop,
    ) -> Result<TensorFile<'a>, Error> {
        let pace = Pace::new(stop);
        let data = Data {
            bytes: None,
            length,
        };
        let read = split(header).and_then(|(header, _)| TensorFile::parse(header, data, &pace));
        outcome(read, header, &pace)
    }

    fn parse(header: &[u8], data: Data<'a>, pace: &Pace<'_>) -> Result<TensorFile<'a>, Error> {
        let mut json = serde_json::Deserializer::from_slice(header);
        let header = Entries { pace }
            .deserialize(&mut json)
            .and_then(|header| json.end().map(|()| header))
            .map_err(|e| Error::not_safetensors(format!("its header cannot be read: {e}")))?;
        let mut entries = header.tensors;
        entries.sort_by(|a, b| {
            // It cannot stop here, but a look may unwind.
            pace.spend(NAME / 4);
            (a.1.data_offsets, &a.0).cmp(&(b.1.data_offsets, &b.0))
        });
        let mut tensors = Vec::with_capacity(entries.len());
        let mut next = 0;
        for (name, entry) in entries {
            if pace.spend(NAME / 4) {
                return Err(Error::Interrupted);
            }
            tensors.push(entry.locate(name, data, &mut next)?);
        }
        if next != data.length {
            return Err(Error::damaged(
                "the file",
                "it has bytes that belong to no tensor",
            ));
        }
        Ok(TensorFile {
            metadata: header.metadata,
            null_metadata: header.null_metadata,
            tensors,
        })
    }

    /// Writes tensors with one entry of metadata: with more, their order in the file, and so its
    /// bytes, would be left to chance.
    ///
    /// # Errors
    /// Two tensors of one name, a shape that does not fit the values, or a header over the limit.
    pub fn write(key: &str, text: String, tensors: &[TensorSource<'_>]) -> Result<Vec<u8>, Error> {
        TensorFile::pieces(key, text, tensors, &[]).map(|pieces| pieces.concat())
    }

    /// What [`TensorFile::write`] writes, without a copy of the values, and tensors of integers behind
    /// the others.
    ///
    /// # Errors
    /// As there.
    pub(super) fn pieces<'b>(
        key: &str,
        text: String,
        tensors: &[TensorSource<'b>],
        integers: &'b [IntegerSource],
    ) -> Result<Pieces<'b>, Error> {
        let floats = tensors.iter().map(|tensor| {
            let count = tensor.values.len();
            let values = little_endian(tensor.values);
            (&*tensor.name, Dtype::F32, &tensor.shape, count, values)
        });
        let integers = integers.iter().map(|tensor| {
            let count = tensor.values.len();
            let values = Cow::Borrowed(&*tensor.values);
            (&*tensor.name, Dtype::I8, &tensor.shape, count, values)
        });
        let mut sorted: Vec<_> = floats.chain(integers).collect();
        let mut names = HashSet::new();
        for (name, _, shape, count, _) in &sorted {
            let part = || format!("tensor \"{}\"", clip(name));
            if *name == METADATA || !names.insert(*name) {
                return Err(Error::damaged(part(), "its name is taken"));
            }
            if elements(shape) != Some(*count) {
                return Err(Error::damaged(part(), "its shape does not fit its values"));
            }
        }
        // The order of the safetensors crate's own writer: by size, and then by name.
        sorted.sort_by(|a, b| (b.1.bitsize(), a.0).cmp(&(a.1.bitsize(), b.0)));
        let mut offset = 0;
        let infos = sorted.iter().map(|(name, dtype, shape, _, values)| {
            let start = offset;
            offset += values.len();
            let info = TensorInfo {
                dtype: *dtype,
                shape: (*shape).clone(),
                data_offsets: (start, offset),
            };
            ((*name).to_owned(), info)
        });
        let metadata = HashMap::from([(key.to_owned(), text)]);
        let broken = |error: String| Error::damaged("the model", error);
        let header = Metadata::new(Some(metadata), infos.collect())
            .map_err(|error| broken(error.to_string()))?;
        let mut bytes = vec![0; size_of::<u64>()];
        serde_json::to_writer(&mut bytes, &header).map_err(|error| broken(error.to_string()))?;
        drop(header);
        bytes.resize(bytes.len().next_multiple_of(size_of::<u64>()), b' ');
        let length = bytes.len() - size_of::<u64>();
        if length > MAX_HEADER {
            return Err(broken(format!(
                "its description takes {length} bytes, more than {MAX_HEADER}"
            )));
        }
        if let Some(first) = bytes.first_chunk_mut() {
            *first = (length as u64).to_le_bytes();
        }
        let values = sorted.into_iter().map(|(.., values)| values);
        Ok(Pieces::new(
            [Cow::Owned(bytes)].into_iter().chain(values).collect(),
        ))
    }
}

/// What follows a header.
#[derive(Clone, Copy)]
struct Data<'a> {
    /// Nothing where it is elsewhere.
    bytes: Option<&'a [u8]>,
    length: usize,
}

impl<'a> From<&'a [u8]> for Data<'a> {
    fn from(bytes: &'a [u8]) -> Data<'a> {
        Data {
            bytes: Some(bytes),
            length: bytes.len(),
        }
    }
}

/// A file's header, and what follows it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (length, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or_else(|| Error::not_safetensors("it is shorter than 8 bytes"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER {
        return Err(Error::not_safetensors(format!(
            "its header would be {length} bytes long, more than {MAX_HEADER}"
        )));
    }
    rest.split_at_checked(length)
        .ok_or_else(|| Error::not_safetensors("its header is cut off"))
}

/// What came of reading a file that begins with `bytes`.
fn outcome<T>(read: Result<T, Error>, bytes: &[u8], pace: &Pace<'_>) -> Result<T, Error> {
    if pace.is_stopped() {
        return Err(Error::Interrupted);
    }
    read.map_err(|error| recognised(error, bytes))
}

/// The error of a file that is none of ours, with what else it is, if that can be told.
fn recognised(error: Error, bytes: &[u8]) -> Error {
    match (&error, FileFormat::recognise(bytes)) {
        (Error::NotSafetensors { .. }, Some(FileFormat { name, way })) => Error::NotSafetensors {
            why: name.to_owned(),
            way: Some(way),
        },
        _ => error,
    }
}

/// The number of elements of a shape, unless it cannot be counted.
fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |count, n| count.checked_mul(*n))
}

/// A tensor's entry in the header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (usize, usize),
}

impl Entry {
    /// The tensor, whose bytes must begin at `next`, which is moved behind them.
    fn locate<'a>(
        self,
        name: String,
        data: Data<'a>,
        next: &mut usize,
    ) -> Result<Tensor<'a>, Error> {
        let part = || format!("tensor \"{}\"", clip(&name));
        let (start, end) = self.data_offsets;
        let bits = elements(&self.shape.0).and_then(|n| n.checked_mul(self.dtype.bitsize()));
        let bytes = bits
            .filter(|bits| bits.is_multiple_of(8))
            .map(|bits| bits / 8);
        if start != *next {
            return Err(Error::damaged(
                part(),
                "it overlaps another tensor or leaves a gap",
            ));
        }
        let length = end.checked_sub(start).filter(|_| end <= data.length);
        let Some(length) = length else {
            return Err(Error::damaged(part(), "it is cut off"));
        };
        if bytes != Some(length) {
            return Err(Error::damaged(
                part(),
                "its size does not follow from its shape",
            ));
        }
        *next = end;
        Ok(Tensor {
            name,
            dtype: self.dtype,
            shape: self.shape.0,
            data: data
                .bytes
                .and_then(|bytes| bytes.get(start..end))
                .unwrap_or_default(),
        })
    }
}

/// A shape of at most [`MAX_RANK`] dimensions, refused before a longer one is stored.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a shape")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(n) = list.next_element()? {
                    if shape.len() == MAX_RANK {
                        return Err(A::Error::custom("a tensor has too many dimensions"));
                    }
                    shape.push(n);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Dimensions)
    }
}

/// The header, in which no name may come twice.
struct Header {
    metadata: BTreeMap<String, String>,
    null_metadata: bool,
    tensors: Vec<(String, Entry)>,
}

/// Reads a header, and looks now and then whether to go on.
struct Entries<'p> {
    pace: &'p Pace<'p>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Header;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Header, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header {
            metadata: BTreeMap::new(),
            null_metadata: false,
            tensors: Vec::new(),
        };
        // Their hashes: of very many names, a copy each takes long to give back.
        let (hashing, mut hashes) = (RandomState::new(), HashSet::new());
        let mut has_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if self.pace.spend(NAME) {
                return Err(A::Error::custom("interrupted"));
            }
            let is_metadata = name == METADATA;
            let known = |header: &Header| match is_metadata {
                true => has_metadata,
                false => header.tensors.iter().any(|(known, _)| *known == name),
            };
            if !hashes.insert(hashing.hash_one(&name)) && known(&header) {
                map.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom(format!("\"{}\" comes twice", clip(&name))));
            }
            if is_metadata {
                has_metadata = true;
                let metadata: Option<BTreeMap<String, String>> = map.next_value()?;
                header.null_metadata = metadata.is_none();
                header.metadata = metadata.unwrap_or_default();
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}
