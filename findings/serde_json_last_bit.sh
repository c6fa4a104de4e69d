#!/usr/bin/env bash
# A tenth of the numbers that Python writes as JSON are read by serde_json as another number.
#
# Run:      serde_json 1.0.154 (rustc 1.95), numbers written by Python's json
# Guess:    Python writes the shortest digits that give the same float64 back, Rust's own parse reads them
#           exactly, so JSON between the two keeps each bit.
# Happens:  without the Cargo feature float_roundtrip serde_json's parser is off by one in the last place.
#           arbitrary_precision or Rust's str::parse do not have this.
# Output:   str::parse differs in 0 of 20000, serde_json in 2154, first 0.9452706955539223 as 0.9452706955539224
# Matters:  weights, cut-offs and metrics that pass through JSON are no longer the bits that were trained or
#           judged; a score on the cut-off changes sides, and a checksum over a definition does not match.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "last_bit"
version = "0.0.0"
edition = "2021"

[dependencies]
serde_json = "=1.0.154"
TOML
cat >"$work/src/main.rs" <<'RS'
fn main() {
    let text = std::fs::read_to_string(std::env::args().nth(1).unwrap()).unwrap();
    let read: Vec<f64> = serde_json::from_str(&text).unwrap();
    for (written, value) in text.trim_matches(&['[', ']'][..]).split(", ").zip(read) {
        let exact: f64 = written.parse().unwrap();
        println!("{written} {:016x} {:016x} {value:?}", exact.to_bits(), value.to_bits());
    }
}
RS
python3 -c '
import json, random
random.seed(1)
print(end=json.dumps([random.random() for _ in range(20000)]))' >"$work/numbers.json"
(cd "$work" && CARGO_TARGET_DIR="$work/target" cargo build --quiet)
"$work/target/debug/last_bit" "$work/numbers.json" >"$work/read.txt"
python3 - "$work/read.txt" <<'PY'
import struct
import sys

rows = [line.split() for line in open(sys.argv[1])]
bits = [struct.pack(">d", float(written)).hex() for written, *_ in rows]
parse = sum(exact != own for (_, exact, _, _), own in zip(rows, bits))
wrong = [(w, shown) for (w, _, value, shown), own in zip(rows, bits) if value != own]
first = wrong[0] if wrong else ("none", "none")
print(f"str::parse differs in {parse} of {len(rows)}, serde_json in {len(wrong)}, first {first[0]} as {first[1]}")
if parse:
    sys.exit("behaviour changed: Rust's own parse is not exact")
if len(wrong) < 200:
    sys.exit("behaviour changed: serde_json now keeps the bits")
PY
