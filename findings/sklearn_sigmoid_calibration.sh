#!/usr/bin/env bash
# scikit-learn's sigmoid calibration spoils a network that is calibrated, and cannot leave it as it is.
#
# Run:      scikit-learn 1.9.1, numpy 2.4.6
# Guess:    Platt's method fits sigmoid(a * log-odds + b), so that a calibrated model comes out as it went
#           in (a = 1, b = 0).
# Happens:  for estimators without decision_function (MLPClassifier, forests, wrapped networks) the
#           sigmoid is fitted to the probability itself: sigmoid(a * p + b) with p in 0..1 can be neither
#           near 0 nor the identity. method="temperature" in the same class does take log-odds.
# Output:   true risk of the 4266 best customers 0.0044
#           network: predicted for them 0.0069, log loss of all 0.2607
#           sigmoid: predicted for them 0.0382, log loss of all 0.2729
#           temperature: predicted for them 0.0065, log loss of all 0.2607
# Matters:  expected loss of the best customers grows many times over after "calibration". Calibrate a
#           network's log-odds, and compare a Platt scaling elsewhere with scikit-learn's only through an
#           estimator that has decision_function.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

draw = np.random.default_rng(0)


def customers(n):
    logit = draw.normal(-3, 2, n)
    risk = 1 / (1 + np.exp(-logit))
    return logit[:, None], risk, (draw.random(n) < risk).astype(int)


train, fit, test = customers(20000), customers(20000), customers(20000)
network = MLPClassifier((8,), random_state=0, max_iter=40, early_stopping=True).fit(train[0], train[2])
scores = {"network": network.predict_proba(test[0])[:, 1]}
for method in ("sigmoid", "temperature"):
    calibrated = CalibratedClassifierCV(FrozenEstimator(network), method=method).fit(fit[0], fit[2])
    scores[method] = calibrated.predict_proba(test[0])[:, 1]
best = test[1] < 0.01
print(f"true risk of the {best.sum()} best customers {test[1][best].mean():.4f}")
mean, loss = {}, {}
for name, score in scores.items():
    mean[name], loss[name] = score[best].mean(), log_loss(test[2], score)
    print(f"{name}: predicted for them {mean[name]:.4f}, log loss of all {loss[name]:.4f}")
if not (mean["network"] < 0.01 and mean["temperature"] < 0.01):
    sys.exit("behaviour changed: the network or method='temperature' is not calibrated")
if mean["sigmoid"] < 0.025 or loss["sigmoid"] < loss["network"] + 0.005:
    sys.exit("behaviour changed: method='sigmoid' no longer spoils a calibrated network")
PY
