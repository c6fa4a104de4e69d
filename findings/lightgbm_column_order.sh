#!/usr/bin/env bash
# LightGBM scores a data frame by the place of its columns, though it knows their names.
#
# Run:      lightgbm 4.7.0, scikit-learn 1.9.1, pandas 3.1.1, numpy 2.4.6
# Guess:    a model fitted on named columns finds them by name, or refuses another order, as
#           scikit-learn's own models and XGBoost do. LGBMClassifier is a scikit-learn estimator.
# Happens:  it reads the names, says nothing, and scores column one as what was column one in training.
#           Only validate_features=True in each call to predict makes it look.
# Output:   scikit-learn: ValueError
#           LightGBM: 0.976 in the order of training, 0.024 for the same customer in the other order
# Matters:  a table's columns come in the order in which they were added, in a restored copy or a view in
#           another: compare scores between a database and LightGBM only with the columns selected by name,
#           df[model.feature_name_].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  lightgbm==4.7.0 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 scipy==1.17.1
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import sys
import warnings
import lightgbm
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

draw = np.random.default_rng(0)
table = pd.DataFrame({"late_days": draw.uniform(0, 90, 2000), "age": draw.uniform(18, 90, 2000)})
bad = (table.late_days > 45).astype(int)
customer = pd.DataFrame({"late_days": [80.0], "age": [25.0]})
turned = customer[["age", "late_days"]]

try:
    LogisticRegression(max_iter=1000).fit(table, bad).predict_proba(turned)
    print("scikit-learn: no error")
    sys.exit("behaviour changed: scikit-learn takes the columns in another order")
except ValueError:
    print("scikit-learn: ValueError")

model = lightgbm.LGBMClassifier(n_estimators=30, verbose=-1, n_jobs=1, random_state=0).fit(table, bad)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        right, wrong = (model.predict_proba(c)[0, 1] for c in (customer, turned))
    except Exception as error:
        sys.exit(f"behaviour changed: LightGBM complains: {error}")
print(f"LightGBM: {right:.3f} in the order of training, {wrong:.3f} for the same customer in the other order")
if not (right > 0.9 and wrong < 0.1):
    sys.exit("behaviour changed: LightGBM no longer goes by the place of a column")
PY
