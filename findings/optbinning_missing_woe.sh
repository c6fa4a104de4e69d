#!/usr/bin/env bash
# optbinning's table has a weight of evidence for missing values; its transform does not use it.
#
# Run:      optbinning 1.0.0, ortools 9.15.6755, scikit-learn 1.9.1, numpy 2.4.6
# Guess:    transform maps a value to the row of the binning table that it belongs to.
# Happens:  for a missing value (and one of special_codes) it gives 0, whatever the table says: as a weight
#           of evidence "as risky as the average", as an event rate "never". metric_missing="empirical"
#           must be given for the table's own figure.
# Output:   table, row Missing: event rate 0.803, WoE -2.043
#           transform(NaN): event_rate 0.000, woe 0.000, with metric_missing='empirical' -2.043
# Matters:  a scorecard moved to SQL from the printed table scores rows with NULLs otherwise than the
#           package that made it, and neither side errs. Where missing is the worst class, the package's
#           own transform takes the risk away.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  optbinning==1.0.0 ortools==9.15.6755 ropwr==1.2.0 cvxpy==1.9.3 protobuf==6.33.6 scikit-learn==1.9.1 \
  pandas==3.1.1 numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2
MPLCONFIGDIR="$work" "$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
from optbinning import OptimalBinning

draw = np.random.default_rng(0)
income = draw.normal(size=5000)
missing = draw.random(5000) < 0.1
bad = (draw.random(5000) < np.where(missing, 0.8, 1 / (1 + np.exp(1 - income)))).astype(int)
income[missing] = np.nan
binning = OptimalBinning(max_n_bins=3).fit(income, bad)
table = binning.binning_table.build()
row = table[table["Bin"] == "Missing"].iloc[0]
rate, woe = float(row["Event rate"]), float(row["WoE"])
nothing = np.array([np.nan])
given_rate = float(binning.transform(nothing, metric="event_rate")[0])
given_woe = float(binning.transform(nothing, metric="woe")[0])
empirical = float(binning.transform(nothing, metric="woe", metric_missing="empirical")[0])
print(f"table, row Missing: event rate {rate:.3f}, WoE {woe:.3f}")
print(f"transform(NaN): event_rate {given_rate:.3f}, woe {given_woe:.3f}, "
      f"with metric_missing='empirical' {empirical:.3f}")
if not (rate > 0.75 and woe < -1.5 and abs(empirical - woe) < 1e-9):
    sys.exit("behaviour changed: the table or metric_missing='empirical' gives other figures")
if given_rate != 0 or given_woe != 0:
    sys.exit("behaviour changed: transform no longer gives 0 for a missing value")
PY
