#!/usr/bin/env bash
# The weights of rtdl_num_embeddings' two piecewise-linear classes do not stand in the same places.
#
# Run:      rtdl_num_embeddings 0.0.12, torch 2.15.0, numpy 2.4.6
# Guess:    PiecewiseLinearEncoding followed by a linear layer and PiecewiseLinearEmbeddings are one thing,
#           so that a feature's k-th bin is the k-th row of its weight in both, with padding behind the
#           last bin where a feature has fewer bins than others.
# Happens:  in the embeddings the last bin of every feature is the last row, whatever its bins, and the
#           padding stands before it; the encoding, which is flat, has the last bin right behind the others.
# Output:   a value in the second of two bins beside a feature of four bins:
#           encoding [1.0, 0.5], places of the embedding's weight that count: [0, 3]
# Matters:  weights that are carried over bin by bin, by an exporter or into another framework, give other
#           predictions for features of few distinct values, and right ones for all others: no shape differs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-compile \
  rtdl_num_embeddings==0.0.12 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings, PiecewiseLinearEncoding

bins = [torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])]
x = torch.tensor([[1.5, 0.0]])
encoded = PiecewiseLinearEncoding(bins)(x)[0, :2].tolist()
layer = PiecewiseLinearEmbeddings(bins, 1, activation=False, version="A")
layer(x)[0, 0].sum().backward()
places = layer.linear.weight.grad[0, :, 0].nonzero()[:, 0].tolist()
print("a value in the second of two bins beside a feature of four bins:")
print(f"encoding {encoded}, places of the embedding's weight that count: {places}")
if encoded != [1.0, 0.5]:
    sys.exit("behaviour changed: the encoding")
if places != [0, 3]:
    sys.exit("behaviour changed: the last bin no longer stands last in the embedding's weight")
PY
