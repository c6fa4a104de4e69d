#!/usr/bin/env bash
# safetensors 0.8.0 writes a transposed NumPy array with its values in the wrong places.
#
# Run:      safetensors 0.8.0 and 0.7.0, numpy 2.4.6
# Guess:    save_file({"w": kernel.T}) either writes the matrix as NumPy shows it, as 0.7.0 does, or
#           refuses a view that is not contiguous, as safetensors.torch does.
# Happens:  0.8.0 writes the view's shape over the memory of the array it is a view of. No error, no
#           warning; every shape is right, so a reader has nothing to notice.
# Output:   0.7.0  in [[0, 3], [1, 4], [2, 5]]  out [[0, 3], [1, 4], [2, 5]]
#           0.8.0  in [[0, 3], [1, 4], [2, 5]]  out [[0, 1], [2, 3], [4, 5]]
# Matters:  Keras and Flax keep a dense layer as [in, out], PyTorch and this project as [out, in]: ".T" is
#           the very step between them. Write numpy.ascontiguousarray(kernel.T), and compare one
#           prediction after each import.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" --quiet --disable-pip-version-check --no-input "$@"; }
pip install numpy==2.4.6
for version in 0.7.0 0.8.0; do
  pip install --target "$work/$version" --no-deps "safetensors==$version"
  PYTHONPATH="$work/$version" "$work/venv/bin/python" - "$version" <<'PY'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load, save

version = sys.argv[1]
if safetensors.__version__ != version:
    sys.exit(f"safetensors {safetensors.__version__} was imported, not {version}")
kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
out = load(save({"w": kernel.T}))["w"]
ints = lambda a: a.astype(int).tolist()
print(f"{version}  in {ints(kernel.T)}  out {ints(out)}")
memory_order = kernel.reshape(3, 2)
expected = {"0.7.0": kernel.T, "0.8.0": memory_order}[version]
if not np.array_equal(out, expected):
    sys.exit(f"behaviour changed: safetensors {version} now gives {ints(out)}")
copied = load(save({"w": np.ascontiguousarray(kernel.T)}))["w"]
if not np.array_equal(copied, kernel.T):
    sys.exit("behaviour changed: a contiguous copy is not kept either")
PY
done
