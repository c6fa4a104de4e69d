//! `_neural.references_in`: the hashes and names of models in what PostgreSQL keeps of expressions.

use pgrx::prelude::*;

/// Longest reference: a name of 255 bytes, `@` and a version.
const LONGEST: usize = 266;

/// The constants of a stored expression that can be hashes or names of models.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "the SQL function's result columns")]
fn references_in(
    tree: &str,
) -> TableIterator<
    'static,
    (
        name!(hash, Option<Vec<u8>>),
        name!(name, Option<String>),
        name!(version, Option<i32>),
    ),
> {
    let mut found = Vec::new();
    for constant in constants(tree) {
        if let Ok(hash) = <[u8; 32]>::try_from(constant.as_slice()) {
            found.push((Some(hash.to_vec()), None, None));
        }
        let Ok(text) = String::from_utf8(constant) else {
            continue;
        };
        if let Some(hash) = from_hex(&text) {
            found.push((Some(hash), None, None));
        }
        if text.is_empty() || text.contains('\0') {
            continue;
        }
        match text.rsplit_once('@').map(|(name, n)| (name, n.parse())) {
            Some((name, Ok(version))) => found.push((None, Some(name.to_owned()), Some(version))),
            _ => found.push((None, Some(text), None)),
        }
    }
    TableIterator::new(found)
}

/// The bytes of the variable-length constants that are short enough, without their header.
///
/// A constant is printed as `:constvalue 8 [ 32 0 0 0 114 105 115 107 ]`: its length with the header of
/// four bytes, and its bytes as the platform's `char`, signed or not.
fn constants(tree: &str) -> impl Iterator<Item = Vec<u8>> {
    tree.split(":constvalue ").skip(1).filter_map(|printed| {
        let (length, bytes) = printed.split_once(" [ ")?;
        let length: usize = length.parse().ok()?;
        if !(4..=4 + LONGEST).contains(&length) {
            return None;
        }
        let bytes: Option<Vec<u8>> = bytes
            .split(' ')
            .take(length)
            .skip(4)
            .map(|byte| Some(byte.parse::<i16>().ok()? as u8))
            .collect();
        bytes.filter(|bytes| bytes.len() == length - 4)
    })
}

/// A hash written in hexadecimal digits, as text for `decode` or a cast.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").unwrap_or(text);
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
