#!/usr/bin/env bash
# Keras writes the names of layers into a weights file and does not look at them when it loads it.
#
# Run:      keras 3.15.1 (backend jax 0.10.2), h5py 3.16.0, numpy 2.4.6
# Guess:    layers were named by hand, the file holds those names, so load_weights finds each layer's
#           weights by its name, or complains.
# Happens:  a group is named by class and count in the model's order (layers/dense, layers/dense_1). The
#           name is there, too, as the attribute "name" of the group vars, but nobody reads it: a model
#           that makes two layers of one shape in the other order loads them crosswise without a word.
# Output:   file: layers/dense is income, layers/dense_1 is age
#           after load_weights: age holds the weights of income, income those of age
# Matters:  converters that go by the paths in .weights.h5 (or the zip .keras) mix up towers, and no check
#           of shapes finds it. Convert from the model in memory, {v.path: v} of model.weights, or read
#           the attribute.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 h5py==3.16.0 numpy==2.4.6 scipy==1.17.1
KERAS_HOME="$work" KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$work/venv/bin/python" - "$work/two.weights.h5" <<'PY'
import sys
import h5py
import keras
import numpy as np


def towers(first, second):
    row = keras.Input((3,))
    hidden = keras.layers.Dense(3, name=first)(row)
    return keras.Model(row, keras.layers.Dense(3, name=second)(hidden))


saved = towers("income", "age")
saved.get_layer("income").set_weights([np.full((3, 3), 1.0), np.zeros(3)])
saved.get_layer("age").set_weights([np.full((3, 3), 2.0), np.zeros(3)])
saved.save_weights(sys.argv[1])
with h5py.File(sys.argv[1]) as file:
    names = {group: file[f"layers/{group}/vars"].attrs["name"] for group in ("dense", "dense_1")}
print("file:", ", ".join(f"layers/{g} is {n}" for g, n in names.items()))

loaded = towers("age", "income")
loaded.load_weights(sys.argv[1])
owner = {1.0: "income", 2.0: "age"}
holds = {n: owner[float(loaded.get_layer(n).get_weights()[0][0, 0])] for n in ("age", "income")}
print(f"after load_weights: age holds the weights of {holds['age']}, income those of {holds['income']}")
if names != {"dense": "income", "dense_1": "age"}:
    sys.exit("behaviour changed: the file has other groups or names")
if holds != {"age": "income", "income": "age"}:
    sys.exit("behaviour changed: load_weights now goes by names")
PY
