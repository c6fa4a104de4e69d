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

/// Adds a lineage to a file of ours; bytes that are no such file stay as they are.
pub fn attach(file: &mut Vec<u8>, lineage: &Value) {
    let Some(length) = header_length(file) else {
        return;
    };
    let Ok(text) = serde_json::to_string(&lineage.to_string()) else {
        return;
    };
    let mut entry = format!("{KEY}{text},");
    let padding = entry.len().next_multiple_of(ALIGNMENT) - entry.len();
    entry.extend(std::iter::repeat_n(' ', padding));
    let start = size_of::<u64>() + METADATA.len();
    file.splice(start..start, entry.bytes());
    set_header_length(file, length + entry.len() as u64);
}

/// The file as it was before [`attach`], and the lineage where there is one.
pub fn detach(file: &[u8]) -> (Cow<'_, [u8]>, Option<Value>) {
    let found = || {
        let length = header_length(file)?;
        let start = size_of::<u64>() + METADATA.len();
        let end = size_of::<u64>().checked_add(usize::try_from(length).ok()?)?;
        let value = file.get(start..end)?.strip_prefix(KEY.as_bytes())?;
        let mut texts = serde_json::Deserializer::from_slice(value).into_iter::<String>();
        let text = texts.next()?.ok()?;
        let rest = value
            .get(texts.byte_offset()..)?
            .strip_prefix(b",")?
            .trim_ascii_start();
        let after = end - rest.len();
        let lineage = serde_json::from_str(&text).ok()?;
        let (before, after) = (file.get(..start)?, file.get(after..)?);
        let mut plain = Vec::with_capacity(before.len() + after.len());
        plain.extend_from_slice(before);
        plain.extend_from_slice(after);
        let removed = (file.len() - plain.len()) as u64;
        set_header_length(&mut plain, length - removed);
        Some((plain, lineage))
    };
    match found() {
        Some((plain, lineage)) => (Cow::Owned(plain), Some(lineage)),
        None => (Cow::Borrowed(file), None),
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

    use super::{attach, detach};
    use crate::artifact::container::{TensorFile, TensorSource};

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
            let mut sent = plain.clone();
            attach(&mut sent, &lineage);
            assert_ne!(sent, plain);
            assert_eq!((sent.len() - plain.len()) % 8, 0);
            let read = TensorFile::read(&sent).unwrap();
            assert_eq!(read.metadata["pg_neural"], "{\"a\": \"é\"}");
            assert_eq!(
                read.tensors[0].f32s().unwrap().collect::<Vec<_>>(),
                [1.0, 2.0]
            );
            let (back, found) = detach(&sent);
            assert_eq!(back, plain);
            assert_eq!(found, Some(lineage));
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
            let (back, found) = detach(bytes);
            assert_eq!((back.as_ref(), found), (bytes, None));
        }
        let mut foreign = b"no file of ours".to_vec();
        attach(&mut foreign, &json!({}));
        assert_eq!(foreign, b"no file of ours");
        assert_eq!(detach(&file()), (file().into(), None));
    }
}
