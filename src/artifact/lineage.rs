//! Where an exported file says what it was made from.
//!
//! The lineage is a second entry of the file's metadata, put in front of the description and taken out
//! again to the byte: a version keeps its hash on the way into another database, whether its lineage
//! goes along or not. Every reader of safetensors skips metadata that it does not know.

use std::borrow::Cow;

use serde_json::Value;

/// How the header of every file of ours begins.
const METADATA: &str = "{\"__metadata__\":{";
/// The entry's key, as it is written.
const KEY: &str = "\"pg_neural.lineage\":";
/// Headers are padded to a multiple of this, so that tensors are aligned.
const ALIGNMENT: usize = 8;

/// The bytes to be added to a file for its lineage.
pub fn entry(lineage: &Value) -> Vec<u8> {
    let Ok(text) = serde_json::to_string(&lineage.to_string()) else {
        return Vec::new();
    };
    let mut entry = format!("{KEY}{text},");
    let padding = entry.len().next_multiple_of(ALIGNMENT) - entry.len();
    entry.extend(std::iter::repeat_n(' ', padding));
    entry.into_bytes()
}

/// Puts an [`entry`] into a file of ours that stands behind as many bytes of room. The file then begins
/// at the number that is returned: at the room's begin, or behind it when it is no such file.
pub fn attach(room_and_file: &mut [u8], entry: &[u8]) -> usize {
    let room = entry.len();
    let start = size_of::<u64>() + METADATA.len();
    let length = room_and_file.get(room..).and_then(header_length);
    let Some(length) = length.filter(|_| room > 0) else {
        return room;
    };
    room_and_file.copy_within(room..room + start, 0);
    if let Some(place) = room_and_file.get_mut(start..start + room) {
        place.copy_from_slice(entry);
    }
    set_header_length(room_and_file, length + room as u64);
    0
}

/// A file without its lineage.
#[derive(Debug, Clone, PartialEq)]
pub struct Detached<'a> {
    /// The header with its length; the whole file when it has none.
    pub header: Cow<'a, [u8]>,
    /// The tensors.
    pub data: &'a [u8],
    /// The lineage where there was one.
    pub lineage: Option<Value>,
}

/// The file as it was before [`attach`], and the lineage where there is one.
pub fn detach(file: &[u8]) -> Detached<'_> {
    // Of any file of this format: whose it is, its reader says.
    let cut = || {
        let length = u64::from_le_bytes(*file.first_chunk()?);
        file.split_at_checked(size_of::<u64>().checked_add(usize::try_from(length).ok()?)?)
    };
    let Some((header, data)) = cut() else {
        return Detached {
            header: file.into(),
            data: &[],
            lineage: None,
        };
    };
    let found = || {
        let start = size_of::<u64>() + METADATA.len();
        let length = header_length(header)?;
        let value = header.get(start..)?.strip_prefix(KEY.as_bytes())?;
        let mut texts = serde_json::Deserializer::from_slice(value).into_iter::<String>();
        let text = texts.next()?.ok()?;
        let rest = value
            .get(texts.byte_offset()..)?
            .strip_prefix(b",")?
            .trim_ascii_start();
        let lineage = serde_json::from_str(&text).ok()?;
        let mut plain = [header.get(..start)?, rest].concat();
        let removed = header.len().checked_sub(plain.len())?;
        set_header_length(&mut plain, length.checked_sub(removed as u64)?);
        Some((plain, lineage))
    };
    match found() {
        Some((plain, lineage)) => Detached {
            header: plain.into(),
            data,
            lineage: Some(lineage),
        },
        None => Detached {
            header: header.into(),
            data,
            lineage: None,
        },
    }
}

/// The length of the header, if the file is one of ours.
fn header_length(file: &[u8]) -> Option<u64> {
    let (length, rest) = file.split_first_chunk()?;
    rest.starts_with(METADATA.as_bytes())
        .then(|| u64::from_le_bytes(*length))
}

fn set_header_length(file: &mut [u8], length: u64) {
    if let Some(first) = file.first_chunk_mut() {
        *first = length.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{attach, detach, entry};
    use crate::artifact::container::{TensorFile, TensorSource};
    use crate::nn::Never;

    fn file() -> Vec<u8> {
        let tensor = TensorSource {
            name: "fc.weight".into(),
            shape: vec![2],
            values: &[1.0, 2.0],
        };
        TensorFile::write("pg_neural", "{\"a\": \"é\"}".into(), &[tensor]).unwrap()
    }

    #[test]
    fn what_is_attached_comes_off_to_the_byte() {
        let plain = file();
        for query in [
            "",
            "SELECT 1",
            "SELECT \"x\", 'é\\' -- ,\n FROM t;  ",
            "12345678",
        ] {
            let lineage = json!({"query": query, "options": {"epochs": 3}});
            let entry = entry(&lineage);
            let mut sent = vec![1; entry.len()];
            sent.extend(&plain);
            assert_eq!(attach(&mut sent, &entry), 0);
            assert_ne!(sent, plain);
            assert_eq!((sent.len() - plain.len()) % 8, 0);
            let read = TensorFile::read(&sent).unwrap();
            assert_eq!(read.metadata["pg_neural"], "{\"a\": \"é\"}");
            assert_eq!(
                read.tensors[0].f32s().unwrap().collect::<Vec<_>>(),
                [1.0, 2.0]
            );
            let back = detach(&sent);
            assert_eq!([&back.header, back.data].concat(), plain);
            assert_eq!(back.data.len(), 8);
            assert_eq!(back.lineage, Some(lineage));
        }
    }

    /// What is wrong with it is for its reader to say.
    #[test]
    fn a_file_of_other_software_is_parted_as_ours() {
        let tensor = TensorSource {
            name: "fc.weight".into(),
            shape: vec![2],
            values: &[1.0, 2.0],
        };
        let ours = TensorFile::write("other", "{}".into(), &[tensor]).unwrap();
        let spaced = b"\x02\0\0\0\0\0\0\0{}".to_vec();
        for file in [ours, spaced] {
            let back = detach(&file);
            assert_eq!([&back.header, back.data].concat(), file);
            let read = TensorFile::read_parts_until(&back.header, back.data, &Never);
            assert!(!read.unwrap().metadata.contains_key("pg_neural"));
        }
    }

    #[test]
    fn other_bytes_stay_as_they_are() {
        for bytes in [
            &b""[..],
            b"12345678",
            b"\x20\0\0\0\0\0\0\0{\"__metadata__\":{\"pg_neural.lineage\":\"cut",
            b"\xff\xff\xff\xff\xff\xff\xff\xff{\"__metadata__\":{\"pg_neural.lineage\":\"{}\",  \"",
        ] {
            let back = detach(bytes);
            assert_eq!([&back.header, back.data].concat(), bytes);
            assert_eq!(back.lineage, None);
        }
        let mut foreign = b"12345678no file of ours".to_vec();
        assert_eq!(attach(&mut foreign, b"12345678"), 8);
        assert_eq!(foreign, b"12345678no file of ours");
        let back = detach(&foreign);
        assert_eq!((back.header.as_ref(), back.data), (&foreign[..], &b""[..]));
    }
}
