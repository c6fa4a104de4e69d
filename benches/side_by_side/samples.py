"""The rows that are scored, and the networks that score them."""

import json
import math

import safetensors.torch
import torch
from server import Server
from timing import agree

FEATURES = [f"x{i}" for i in range(20)]
COLUMNS = ", ".join(FEATURES)
# The cheapest query that reads the columns.
SUM = f"sum({' + '.join(FEATURES)})"


class Samples(Server):
    """Tables of 20 numbers and networks 20-W-W-1 of them, made when a row first asks for them."""

    def __init__(self, connection, arguments):
        super().__init__(connection, arguments)
        self.size = arguments.size
        self.networks = {}

    def table(self, rows=None):
        """The name of a table of so many rows: 20 independent standard columns and a target that depends on them."""
        if rows in (None, self.size):
            return self.samples()
        name = f"samples_{rows}"
        if not self.exists(name):
            copies = -(-rows // self.size)
            self.execute(
                f"CREATE TABLE {name} AS SELECT s.* FROM {self.samples()} s, generate_series(1, {copies}) LIMIT {rows}"
            )
            self.warm(name)
        return name

    def samples(self):
        if not self.exists("samples"):
            # Uniform on ±√3: mean 0, deviation 1.
            columns = ", ".join(f"(random() * 2 - 1) * sqrt(3.0) AS {name}" for name in FEATURES)
            self.execute("SELECT setseed(0.25)")
            self.execute(
                f"CREATE TABLE samples AS SELECT *, (x0 + x1 * x2 - x3 + (random() - 0.5) > 0)::int AS y "
                f"FROM (SELECT id, {columns} FROM generate_series(1, {self.size}) AS id) t"
            )
            self.warm("samples")
        return "samples"

    def warm(self, table):
        """A scan of a table larger than a quarter of the shared buffers would not stay in them."""
        self.execute(f"VACUUM (FREEZE, ANALYZE) {table}")
        self.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        self.value("SELECT pg_prewarm(%s::regclass)", (table,))

    def network(self, width=64):
        """The network 20-W-W-1 as a PyTorch module; the function predict_W computes the same in the server."""
        if width not in self.networks:
            torch.manual_seed(width)
            network = self.networks[width] = fresh_network(width).eval()
            weights = safetensors.torch.save(network.state_dict())
            self.execute(
                "SELECT neural.import_weights(%s, %s, %s, 'classification', %s, ARRAY['0', '1'])",
                (f"bench_{width}", weights, json.dumps(architecture(width)), json.dumps(FLOATS)),
            )
            self.execute("SELECT neural.create_function(%s, %s)", (f"predict_{width}", f"bench_{width}"))
            self.check_plain_loop(width, network)
        return self.networks[width]

    def check_plain_loop(self, width, network):
        """The server's results against a loop over numbers that nobody optimised."""
        rows = self.execute(f"SELECT {COLUMNS}, {call(width)} FROM {self.table()} LIMIT {4096 // width}").fetchall()
        state = {name: tensor.double().tolist() for name, tensor in network.state_dict().items()}
        for *inputs, predicted in rows:
            values = inputs
            for layer in ("fc1", "fc2", "fc3"):
                values = [
                    bias + sum(w * v for w, v in zip(row, values, strict=True))
                    for row, bias in zip(state[f"{layer}.weight"], state[f"{layer}.bias"], strict=True)
                ]
                if layer != "fc3":
                    values = [max(value, 0.0) for value in values]
            agree(f"predict_{width} and a plain loop", predicted, 1 / (1 + math.exp(-values[0])), 1e-5)


# What import_weights is told of the features.
FLOATS = [{"name": name, "type": "numeric", "sql_type": "double precision"} for name in FEATURES]


def call(width=64, columns=COLUMNS):
    return f"predict_{width}({columns})"


def architecture(width):
    return {
        "layers": [
            {"type": "dense", "name": "fc1", "units": width, "activation": "relu"},
            {"type": "dense", "name": "fc2", "units": width, "activation": "relu"},
            {"type": "output", "name": "fc3"},
        ]
    }


def fresh_network(width=64):
    network = torch.nn.Sequential()
    network.add_module("fc1", torch.nn.Linear(20, width))
    network.add_module("relu1", torch.nn.ReLU())
    network.add_module("fc2", torch.nn.Linear(width, width))
    network.add_module("relu2", torch.nn.ReLU())
    network.add_module("fc3", torch.nn.Linear(width, 1))
    return network
