"""Makes features_reference.json: scaled columns as scikit-learn and numpy compute them.

Run in this directory with numpy and scikit-learn: python features_reference.py
"""

import json

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

random = np.random.default_rng(3)
columns = {
    "normal": random.normal(50.0, 12.0, 80),
    "skewed": random.lognormal(3.0, 2.0, 80),
    "far from zero": 1e9 + random.normal(0.0, 1.0, 80),
    "with missing": np.where(random.random(80) < 0.2, np.nan, random.gamma(2.0, 3.0, 80)),
    "few values": random.integers(0, 3, 80).astype(float),
}


def column(values):
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)


cases = []


def case(settings, values, encoded):
    listed = [None if np.isnan(x) else float(x) for x in values]
    encoded = [float(x) for x in np.ravel(encoded)]
    cases.append({"settings": settings, "values": listed, "encoded": encoded})


for values in columns.values():
    for strategy in ("mean", "median"):
        filled = SimpleImputer(strategy=strategy).fit_transform(column(values))
        # The scalers leave missing values out of their statistics, and so do we.
        for name, scaler in (
            ("standard", StandardScaler()),
            ("minmax", MinMaxScaler()),
            ("robust", RobustScaler()),
        ):
            scaler.fit(column(values))
            z = scaler.transform(filled)
            settings = {"scale": name, "missing": strategy, "clip": None}
            case(settings, values, z)
            # The smooth clip of RealMLP (Holzmueller, Grinsztajn, Steinwart 2024).
            settings = {"scale": name, "missing": strategy, "clip": 3}
            case(settings, values, z / np.sqrt(1 + (z / 3) ** 2))

with open("features_reference.json", "w", encoding="utf-8") as file:
    json.dump(cases, file, separators=(",", ":"))
    file.write("\n")
