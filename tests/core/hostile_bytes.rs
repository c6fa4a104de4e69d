//! Bytes of any origin: what the fuzzer (fuzz/) has kept, and seeded mutations of it, on the stable
//! toolchain.

use std::path::Path;

use pg_neural::nn::Random;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Mutations of each file; the fuzzer itself makes millions.
const ROUNDS: usize = 60;
/// Longest file that is mutated: larger ones say nothing that smaller ones do not.
const MOST_BYTES: usize = 8 << 10;

/// Files of the corpus of a target, and others of the tests that it reads.
fn files(target: &str, also: &[&str]) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = format!("fuzz/corpus/{target}");
    let mut files = Vec::new();
    for folder in std::iter::once(own.as_str()).chain(also.iter().copied()) {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let bytes = std::fs::read(&path).expect("a file");
                files.push((path.display().to_string(), bytes));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "{target} has nothing to read");
    files
}

/// A file with some of its bytes changed, moved, repeated, left out or made up.
fn mutated(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    /// What parsers look at.
    const WORDS: [&[u8]; 14] = [
        b"null",
        b"true",
        b"-1",
        b"0",
        b"1e309",
        b"18446744073709551615",
        b"[]",
        b"{}",
        b"\"\"",
        b"\\u0000",
        b"[[",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\x80\0\0\0",
    ];
    let mut bytes = bytes.to_vec();
    let place = |bytes: &[u8], random: &mut Random| random.below(bytes.len() as u64 + 1) as usize;
    for _ in 0..=random.below(4) {
        let at = place(&bytes, random);
        let end = bytes.len().min(at + 1 + random.below(24) as usize);
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] = random.next_u32() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let from = place(other, random);
                let piece = &other[from..other.len().min(from + 24)];
                bytes.splice(at..end, piece.iter().copied());
            }
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let word = WORDS[random.below(WORDS.len() as u64) as usize];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes
}

/// Runs a target on its files and their mutations; one that panics fails the test, and is printed.
fn replay(target: &str, run: fn(&[u8]), also: &[&str]) {
    let files = files(target, also);
    let mut random = Random::new(7, 0);
    let mut runs = 0;
    for (i, (name, bytes)) in files.iter().enumerate() {
        run(bytes);
        runs += 1;
        if bytes.len() > MOST_BYTES {
            continue;
        }
        let other = &files[(i + 1) % files.len()].1;
        for _ in 0..ROUNDS {
            let bytes = mutated(bytes, other, &mut random);
            let outcome = std::panic::catch_unwind(|| run(&bytes));
            assert!(
                outcome.is_ok(),
                "{target}: {name} as {}",
                bytes.escape_ascii()
            );
            runs += 1;
        }
    }
    println!("{target}: {runs} runs");
}

#[test]
fn models() {
    replay("model", targets::model, &["tests/data/stored_by_0_1"]);
}

#[test]
fn containers() {
    let folders = ["tests/data/stored_by_0_1", "tests/core/fixtures/weights"];
    replay("container", targets::container, &folders);
}

#[test]
fn weights() {
    replay("weights", targets::weights, &[]);
}

#[test]
fn architectures() {
    replay("architecture", targets::architecture, &[]);
}

#[test]
fn features() {
    replay("features", targets::features, &[]);
}

#[test]
fn images() {
    replay("image", targets::image, &["tests/data/images"]);
}
