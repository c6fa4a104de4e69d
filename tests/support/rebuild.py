"""Rebuilds exported models in PyTorch from what docs/exchange.md says of an export, and compares them.

    python3 tests/support/rebuild.py

For each model of tests/data/stored_by_0_1 the answers of its rows, as PostgreSQL gave them, are compared
with those of the network built here: every kind of feature and target, members, and layers. They must agree to
1e-6. What PyTorch gave is written to tests/data/rebuilt.txt, with which tests/regress/sql/rebuilt.sql compares
the answers of today without PyTorch. Needs torch and safetensors.
"""

import csv
import datetime
import json
import math
import pathlib

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

DATA = pathlib.Path(__file__).parent.parent / "data"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
torch.set_num_threads(1)


def clipped(z, clip):
    """Far values level off smoothly."""
    return z if clip is None else z / (1 + (z / clip) ** 2) ** 0.5


def number(feature, value):
    """A number; true is 1, dates are days and timestamps seconds since 1970, both in UTC."""
    match feature["origin"]:
        case _ if value is None:
            return None
        case "boolean":
            return float(value == "t")
        case "date":
            return float((datetime.date.fromisoformat(value) - EPOCH.date()).days)
        case "timestamp":
            moment = datetime.datetime.fromisoformat(value.replace("+00", "+00:00"))
            return (moment - EPOCH).total_seconds()
    return float(value)


def array(text):
    return json.loads(text.replace("{", "[").replace("}", "]"))


def encoded(feature, value):
    """The network's inputs of one feature: a list of numbers, or of steps."""
    how = feature["treatment"]
    match how["type"]:
        case "ignored":
            return []
        case "numeric":
            x = number(feature, value)
            known = how["missing"] if x is None else x
            z = clipped((known - how["center"]) / how["divisor"], how.get("clip"))
            return [z] + ([float(x is None)] if how["indicator"] else [])
        case "one_hot" | "index":
            levels = how["levels"]
            # Behind the levels comes every other one, then a missing value.
            place = len(levels) + 1 if value is None else len(levels)
            place = levels.index(value) if value in levels else place
            if how["type"] == "index":
                return [float(place)]
            width = len(levels) + (0 if how.get("exact") else 2)
            return [float(place == i) for i in range(width)]
        case "vector":
            lanes = zip(array(value), how["center"], how["divisor"], how["missing"])
            return [clipped(((m if x is None else x) - c) / d, how.get("clip")) for x, c, d, m in lanes]
        case "image":
            plane = torch.tensor(array(value), dtype=torch.float64).reshape(how["geometry"]["shape"])
            mean, std = (torch.tensor(how[key] or [none]) for key, none in (("mean", 0.0), ("std", 1.0)))
            return (plane / how["scale"] - mean[:, None, None]) / std[:, None, None]
        case "sequence":
            # The newest steps are kept.
            steps = array(value)[-how["length"] :]
            steps = [step if isinstance(step, list) else [step] for step in steps]
            lanes = list(zip(how["center"], how["divisor"]))
            scaled = lambda step: [clipped((x - c) / d, how.get("clip")) for x, (c, d) in zip(step, lanes)]
            return torch.tensor([scaled(step) for step in steps], dtype=torch.float64)
    raise NotImplementedError(how["type"])


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": F.relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "softmax": lambda x: F.softmax(x, -1),
    "exponential": lambda x: torch.exp(x.clamp(-80, 80)),
}


def activation(layer):
    name = layer.get("activation", "linear")
    if name == "leaky_relu":
        return lambda x: F.leaky_relu(x, layer.get("negative_slope", 0.01))
    return ACTIVATIONS[name]


def positions(steps, width):
    """Sines and cosines of Vaswani et al., 2017, side by side."""
    at = torch.arange(steps, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = torch.zeros(steps, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(at * rate), torch.cos(at * rate)[:, : width // 2]
    return table


class Member:
    """One network of the layers, with the parameters under its prefix."""

    def __init__(self, layers, tensors, features):
        self.layers, self.tensors, self.features = layers, tensors, features

    def module(self, layer, module):
        prefix = layer["name"] + "."
        own = {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}
        module.load_state_dict(own, strict=False)
        return module.eval()

    def columns(self, layer, row):
        """All columns in call order, but for those that are a level's number or are named elsewhere."""
        names = layer.get("features")
        if names is None:
            elsewhere = {name for other in self.layers for name in other.get("features", ())}
            numbers = ("numeric", "one_hot", "vector")
            kinds = {f["name"]: f["treatment"]["type"] for f in self.features}
            names = [n for n in row if kinds.get(n) in numbers or (kinds.get(n) != "index" and n not in elsewhere)]
        if len(names) == 1 and torch.is_tensor(row[names[0]]):
            return row[names[0]][None]
        return torch.tensor([[x for name in names for x in row[name]]])

    def forward(self, row):
        values = {}
        for place, layer in enumerate(self.layers):
            inputs = layer.get("input", [])
            inputs = [inputs] if isinstance(inputs, str) else inputs
            if not inputs and place > 0 and layer["type"] != "input":
                inputs = [self.layers[place - 1]["name"]]
            x = [values[name] for name in inputs] or [self.columns({}, row)]
            values[layer["name"]] = self.compute(layer, x[0], x, row)
        return values[self.layers[-1]["name"]]

    def compute(self, layer, x, all_of_them, row):
        own = lambda name: self.tensors[f"{layer['name']}.{name}"]
        match layer["type"]:
            case "input":
                return self.columns(layer, row)
            case "dense" | "output":
                bias = own("bias") if layer.get("use_bias", True) else None
                return activation(layer)(F.linear(x, own("weight"), bias))
            case "ordinal":
                first, rises = own("thresholds").split([1, layer["classes"] - 2])
                cuts = torch.cat([first, first + torch.exp(rises).cumsum(0)])
                below = torch.sigmoid(cuts - F.linear(x, own("weight")))
                ends = torch.zeros(len(x), 1), torch.ones(len(x), 1)
                return torch.cat([below, ends[1]], 1) - torch.cat([ends[0], below], 1)
            case "scale":
                return x * (1 + layer["factor"] * own("weight"))
            case "dropout":
                return x
            case "activation":
                return activation(layer)(x)
            case "concat":
                return torch.cat(all_of_them, -1)
            case "add":
                return sum(all_of_them)
            case "multiply":
                return math.prod(all_of_them)
            case "embedding":
                return own("weight")[x[:, 0].long()]
            case "flatten":
                return x.flatten(1)
            case "conv2d":
                x = F.conv2d(x, own("weight"), own("bias"), layer.get("strides", 1), layer.get("padding", 0))
                return activation(layer)(x)
            case "max_pool2d":
                return F.max_pool2d(x, layer["pool_size"])
            case "batch_norm":
                module = nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d
                return self.module(layer, module(x.shape[1], eps=layer.get("epsilon", 1e-5)))(x)
            case "lstm":
                return self.module(layer, nn.LSTM(x.shape[2], layer["units"], batch_first=True))(x)[1][0][0]
            case "gru":
                return self.module(layer, nn.GRU(x.shape[2], layer["units"], batch_first=True))(x)[1][0]
            case "positional_encoding":
                return x + positions(*x.shape[1:])
            case "transformer_encoder":
                width, heads = x.shape[2], layer["num_heads"]
                module = nn.TransformerEncoderLayer(width, heads, layer["feed_forward"], batch_first=True)
                return self.module(layer, module)(x)
            case "global_avg_pool":
                return x.mean(1)
        raise NotImplementedError(layer["type"])


class Model:
    """An export."""

    def __init__(self, path):
        with safe_open(path, "pt") as file:
            description = json.loads(file.metadata()["pg_neural"])
            tensors = {name: file.get_tensor(name).double() for name in file.keys()}
        self.features, self.target = description["features"]["features"], description["target"]
        self.by_steps = "steps" in description["features"]
        architecture = description["architecture"]
        members = architecture.get("members", 1)
        prefixes = [f"member{i + 1}." for i in range(members)] if members > 1 else [""]
        self.members = [
            Member(
                architecture["layers"],
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
                self.features,
            )
            for prefix in prefixes
        ]

    def encode(self, row):
        return {f["name"]: encoded(f, row[f["name"]]) for f in self.features}

    def predict(self, row):
        """All probabilities or outputs of a row, or of the list of rows that are a sequence's steps."""
        if self.by_steps:
            steps = [[x for inputs in self.encode(step).values() for x in inputs] for step in row]
            x = {"steps": torch.tensor(steps)}
        else:
            x = self.encode(row)
        # The mean is one of probabilities, not of what the activation is applied to.
        y = sum(member.forward(x)[0] for member in self.members) / len(self.members)
        if self.target["task"] == "regression":
            scales = self.target["outputs"]
            return [v * s["divisor"] + s["center"] for v, s in zip(y.tolist(), scales)]
        if len(self.target.get("classes", ())) == 2:
            # One output is the positive class's probability; of two the second is.
            positive = y[-1].item()
            return [1 - positive, positive] if self.target["positive"] == 1 else [positive, 1 - positive]
        return y.tolist()

    def answer(self, row):
        """What neural.predict gives, or neural.predict_proba where there are several."""
        y = self.predict(row)
        if len(self.target.get("classes", ())) == 2:
            return [y[self.target["positive"]]]
        return y


def table(name, columns):
    with open(DATA / "stored_by_0_1" / f"{name}.txt", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{c: None if v == "\\N" else v for c, v in zip(columns.split(), row)} for row in rows]


def rows():
    """The rows of each model, by their number."""
    people = table("people", "id age income purpose balance owner opened seen shape grade bad amount")
    pictures, series = table("pictures", "id image even"), table("series", "id past next")
    visits = {}
    for visit in table("visits", "customer at spent channel churned"):
        visits.setdefault(visit["customer"], []).append(visit)
    of = dict.fromkeys(
        "default_classes default_number three_classes treatments labels outputs quantiles".split(), people
    )
    of |= {"images": pictures, "forecast": series, "attention": series}
    by_id = {name: {row["id"]: row for row in rows} for name, rows in of.items()}
    return by_id | {"churn": visits}


def main():
    torch.set_default_dtype(torch.float64)
    of, models, lines, worst = rows(), {}, [], 0.0
    for line in (DATA / "stored_by_0_1" / "answers.txt").read_text().splitlines():
        name, number, given, *_ = line.split("|")
        if name not in of:
            continue
        model = models.setdefault(name, Model(DATA / "stored_by_0_1" / f"{name}.safetensors"))
        with torch.no_grad():
            found = model.answer(of[name][number])
        given = array(given) if given.startswith("{") else [float(given)]
        assert len(found) == len(given), line
        # Of a regression in the unit of the scaled target, in which the network computes.
        units = [output["divisor"] for output in model.target.get("outputs", ())] or [1.0] * len(found)
        for a, b, unit in zip(found, given, units):
            error = abs(a - b) / max(unit, abs(b))
            worst = max(worst, error)
            assert error <= 1e-6, f"{line}: {found}"
        lines.append(f"{name}|{number}|{{{','.join(map(repr, found))}}}")
    (DATA / "rebuilt.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(models)} models, {len(lines)} rows: the largest difference is {worst:.1e}")


if __name__ == "__main__":
    main()
