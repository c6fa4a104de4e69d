#!/usr/bin/env bash
# toad turns the order of all scores round as soon as one of them is above 1.
#
# Run:      toad 0.1.7, scikit-learn 1.9.1, pandas 3.1.1, numpy 2.4.6
# Guess:    AUC depends on the order of the scores alone: probabilities, percentages and log-odds of one
#           model have one AUC.
# Happens:  toad.metrics.AUC negates the scores where their maximum exceeds 1, taking them for points of a
#           scorecard (high is good). A good model judged by its log-odds looks worse than chance, and whether
#           it does depends on the one largest score in the sample.
# Output:   probability 0.863, percent 0.137, log-odds 0.137, log-odds of the rows that are at most 1: 0.780
# Matters:  raw outputs of a network (log-odds, a margin, a regression's figure) must go through a sigmoid
#           before they are compared, and a monthly report can flip from 0.78 to 0.22 with one customer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  toad==0.1.7 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 scipy==1.17.1 joblib==1.6.0
"$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
import toad
from sklearn.metrics import roc_auc_score

draw = np.random.default_rng(0)
logit = 2 * draw.normal(size=4000)
probability = 1 / (1 + np.exp(-logit))
bad = (draw.random(4000) < probability).astype(int)
low = logit <= 1
auc = {
    "probability": toad.metrics.AUC(probability, bad),
    "percent": toad.metrics.AUC(100 * probability, bad),
    "log-odds": toad.metrics.AUC(logit, bad),
    "low": toad.metrics.AUC(logit[low], bad[low]),
}
print(f"probability {auc['probability']:.3f}, percent {auc['percent']:.3f}, log-odds {auc['log-odds']:.3f}, "
      f"log-odds of the rows that are at most 1: {auc['low']:.3f}")
true, true_low = roc_auc_score(bad, logit), roc_auc_score(bad[low], logit[low])
same = lambda a, b: abs(a - b) < 1e-9
if not (same(auc["probability"], true) and same(auc["low"], true_low)):
    sys.exit("behaviour changed: scores of at most 1 are judged otherwise")
if not (same(auc["percent"], 1 - true) and same(auc["log-odds"], 1 - true)):
    sys.exit("behaviour changed: scores above 1 are no longer turned round")
PY
