#!/usr/bin/env bash
# One more level of a category turns the zeros of every other column into missing values for XGBoost.
#
# Run:      xgboost-cpu 3.2.0, scikit-learn 1.9.1, scipy 1.17.1, pandas 3.1.1, numpy 2.4.6
# Guess:    a pipeline of ColumnTransformer (one-hot, the rest passed through) and XGBClassifier gives a
#           row one score, whatever holds the numbers in memory.
# Happens:  ColumnTransformer gives a sparse matrix where its parts, fitted, fill less than 0.3 of it, a dense
#           one otherwise: the count of a category's levels decides. XGBoost takes what a sparse matrix
#           leaves out as missing, so that a balance of 0 goes the way of an unknown one; in a dense matrix
#           it is a number. LightGBM and scikit-learn take both for 0.
# Output:   5 levels: dense table, balance 0: 0.787 by the pipeline, 0.787 as a dense row
#           6 levels: sparse table, balance 0: 0.795 by the pipeline, 0.112 as a dense row
# Matters:  a pipeline rebuilt elsewhere (SQL, ONNX, a dense array of one row) gives other scores than the one
#           it was copied from. Set sparse_threshold=0, or hand XGBoost NULLs where the pipeline had zeros.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  xgboost-cpu==3.2.0 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 scipy==1.17.1
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
import pandas as pd
import scipy.sparse as sparse
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

draw = np.random.default_rng(0)
n = 4000
balance = np.where(draw.random(n) < 0.5, 0.0, draw.uniform(1, 100, n))
bad = (draw.random(n) < np.where(balance == 0, 0.8, np.where(balance < 50, 0.1, 0.5))).astype(int)
seen = {}
for levels in (5, 6):
    city = np.array([f"city {i % levels}" for i in range(n)])
    table = pd.DataFrame({"balance": balance, "city": city})
    columns = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    encoded = columns.fit_transform(table)
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=2, n_jobs=1).fit(encoded, bad)
    row = columns.transform(pd.DataFrame({"balance": [0.0], "city": ["city 0"]}))
    dense = row.toarray() if sparse.issparse(row) else row
    seen[levels] = (sparse.issparse(encoded), *(float(model.predict_proba(r)[0, 1]) for r in (row, dense)))
    kind = "sparse" if seen[levels][0] else "dense"
    print(f"{levels} levels: {kind} table, balance 0: {seen[levels][1]:.3f} by the pipeline, "
          f"{seen[levels][2]:.3f} as a dense row")
if seen[5][0] or not seen[6][0]:
    sys.exit("behaviour changed: ColumnTransformer chooses otherwise between sparse and dense")
if seen[5][1] != seen[5][2] or not (seen[6][1] > 0.7 and seen[6][2] < 0.5):
    sys.exit("behaviour changed: XGBoost takes the zeros of a sparse row otherwise")
PY
