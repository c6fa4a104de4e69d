#!/usr/bin/env bash
# Saving the same tensors and metadata twice with safetensors gives two different files.
#
# Run:      safetensors 0.8.0, numpy 2.4.6
# Guess:    the format has a sorted, compact header, so equal content is equal bytes, and the SHA-256 of
#           the file names the weights.
# Happens:  tensors are ordered, but the keys of __metadata__ come in an order drawn anew for each call,
#           even within one process. One key is safe; two give two files, four up to 24.
# Output:   (20 files each; the last number varies)
#           1 metadata key: 1 SHA-256, 4 metadata keys: 13 SHA-256, one length, one payload
# Matters:  who pins, caches or deduplicates models by the file's hash sees a new model at each save. Hash
#           the tensors, or pack all metadata into one key.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input safetensors==0.8.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import hashlib
import sys
import numpy as np
from safetensors.numpy import save

tensors = {"fc1.weight": np.ones((2, 3), np.float32), "fc1.bias": np.zeros(2, np.float32)}
one = {"format": "pt"}
four = {"format": "pt", "model": "risk", "version": "3", "trained": "2026-01-31"}
files = {n: [save(tensors, metadata=m) for _ in range(20)] for n, m in ((1, one), (4, four))}
hashes = {n: len({hashlib.sha256(f).hexdigest() for f in fs}) for n, fs in files.items()}
lengths = {len(f) for f in files[4]}
payloads = {f[8 + int.from_bytes(f[:8], "little"):] for f in files[4]}
print(f"1 metadata key: {hashes[1]} SHA-256, 4 metadata keys: {hashes[4]} SHA-256, "
      f"{'one' if len(lengths) == 1 else len(lengths)} length, "
      f"{'one' if len(payloads) == 1 else len(payloads)} payload")
if hashes[1] != 1 or len(lengths) != 1 or len(payloads) != 1:
    sys.exit("behaviour changed: the files differ in more than the order of the metadata")
if hashes[4] == 1:
    sys.exit("behaviour changed: the order of the metadata is now fixed")
PY
