#!/usr/bin/env bash
# toad's population stability index of two samples that have nothing in common is 0.
#
# Run:      toad 0.1.7, pandas 3.1.1, numpy 2.4.6
# Guess:    the index grows with the difference; a level that is in one sample alone makes it infinite, or
#           large through a small floor, as other packages have it.
# Happens:  each distinct value is a level, and one that is missing on either side gives NaN in pandas'
#           subtraction, which the sum then leaves out. New and vanished levels count nothing; numbers that are
#           not binned first share no level, so the index is 0 however far they moved.
# Output:   normal(5, 1) against normal(0, 1): 0.000
#           half of the rows moved from mortgage to rent: 0.000
#           both levels on both sides, 0.9/0.1 against 0.1/0.9: 3.516
# Matters:  0 reads as "stable" just where the drift is total. Pass a combiner (bins) for numbers, and look
#           for levels that only one sample has; do not take this index as the reference for another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  toad==0.1.7 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 scipy==1.17.1 joblib==1.6.0
"$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
from toad.metrics import PSI

draw = np.random.default_rng(0)
numbers = float(PSI(draw.normal(5, 1, 4000), draw.normal(0, 1, 4000)))
levels = float(PSI(np.array(["rent"] * 500 + ["own"] * 500), np.array(["own"] * 500 + ["mortgage"] * 500)))
shared = float(PSI(np.array(["rent"] * 900 + ["own"] * 100), np.array(["rent"] * 100 + ["own"] * 900)))
print(f"normal(5, 1) against normal(0, 1): {numbers:.3f}")
print(f"half of the rows moved from mortgage to rent: {levels:.3f}")
print(f"both levels on both sides, 0.9/0.1 against 0.1/0.9: {shared:.3f}")
if abs(shared - 1.6 * np.log(9)) > 1e-9:
    sys.exit("behaviour changed: the index of shared levels is another")
if numbers != 0 or levels != 0:
    sys.exit("behaviour changed: levels of one side alone now count")
PY
