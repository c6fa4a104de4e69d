#!/usr/bin/env bash
# Two explainers of shap given the same background disagree about the average score.
#
# Run:      shap 0.51.0, scikit-learn 1.9.1, numba 0.68.1, numpy 2.4.6
# Guess:    the base value is the mean of the model's output over the background that was given, so that it
#           and the attributions can be compared between explainers.
# Happens:  LinearExplainer (like TreeExplainer and Explainer) puts the background into maskers.Independent,
#           whose max_samples is 100: of more rows it keeps 100 drawn at random, and says nothing.
#           KernelExplainer keeps all, and warns of their number. All attributions shift with the base.
# Output:   mean log-odds of the 1000 rows -1.1898, KernelExplainer -1.1898,
#           LinearExplainer -1.1550, with max_samples -1.1898
# Matters:  who checks attributions against shap at a tolerance sees a difference that no amount of
#           background mends; with a rare segment, 100 rows may hold none of it. Pass
#           maskers.Independent(background, max_samples=len(background)).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  shap==0.51.0 scikit-learn==1.9.1 numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
"$work/venv/bin/python" - <<'PY'
import logging
import sys
import warnings
import numpy as np
import shap
from sklearn.linear_model import LogisticRegression

draw = np.random.default_rng(0)
background = draw.exponential(1.0, (1000, 2))
bad = draw.random(1000) < 1 / (1 + np.exp(3 - 2 * background[:, 0]))
model = LogisticRegression().fit(background, bad)
mean = model.decision_function(background).mean()
with warnings.catch_warnings():
    warnings.simplefilter("error")
    linear = float(shap.LinearExplainer(model, background).expected_value)
whole = shap.maskers.Independent(background, max_samples=len(background))
told = float(shap.LinearExplainer(model, whole).expected_value)
logging.getLogger("shap").setLevel(logging.ERROR)
kernel = float(shap.KernelExplainer(model.decision_function, background).expected_value)
print(f"mean log-odds of the 1000 rows {mean:.4f}, KernelExplainer {kernel:.4f}, "
      f"LinearExplainer {linear:.4f}, with max_samples {told:.4f}")
if abs(kernel - mean) > 1e-6 or abs(told - mean) > 1e-6:
    sys.exit("behaviour changed: KernelExplainer or max_samples no longer mean all rows")
if abs(linear - mean) < 1e-3:
    sys.exit("behaviour changed: LinearExplainer now uses the whole background")
PY
