"""Networks on table columns beside PyTorch, ADBC, psycopg and scikit-learn."""

import csv
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import adbc_driver_postgresql.dbapi
import numpy as np
import psycopg
import safetensors.numpy
import torch
from measure import ADDRESS, REPEATS, Server, agree, interleaved, row, timed
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FEATURES = [f"x{i}" for i in range(20)]
COLUMNS = ", ".join(FEATURES)
CALL = f"predict_x({COLUMNS})"
NETWORK = {
    "layers": [
        {"type": "dense", "name": "fc1", "units": 64, "activation": "relu"},
        {"type": "dense", "name": "fc2", "units": 64, "activation": "relu"},
        {"type": "output", "name": "fc3"},
    ]
}
# The columns are standard already; unscaled on both sides, the weights mean the same on both.
UNSCALED = {name: {"type": "numeric", "scale": "none"} for name in FEATURES}


class Tables(Server):
    """A table of numbers and a model of it, made when a row first asks for them."""

    def __init__(self, connection, arguments):
        super().__init__(connection, arguments)
        self.size = arguments.size
        self._network = None

    def table(self):
        """A table `samples` of 20 independent standard columns and a target that depends on them."""
        if self.value("SELECT to_regclass('samples') IS NOT NULL"):
            return
        # Uniform on ±√3: mean 0, deviation 1.
        columns = ", ".join(f"(random() * 2 - 1) * sqrt(3.0) AS {name}" for name in FEATURES)
        self.connection.execute("SELECT setseed(0.25)")
        self.connection.execute(
            f"CREATE TABLE samples AS SELECT *, (x0 + x1 * x2 - x3 + (random() - 0.5) > 0)::int AS y "
            f"FROM (SELECT {columns} FROM generate_series(1, {self.size})) t"
        )
        self.connection.execute("VACUUM (FREEZE, ANALYZE) samples")
        self.connection.execute("SELECT count(x19) FROM samples")

    def network(self):
        """The trained network 20-64-64-1, here and in PyTorch with the same weights."""
        self.table()
        if self._network is None:
            self.train("bench", f"SELECT {COLUMNS}, y FROM samples LIMIT 20000", seed=1)
            self.connection.execute("SELECT neural.create_function('predict_x', 'bench')")
            self._network = self.exported("bench")
            self.check_plain_loop(self._network)
        return self._network

    def train(self, model, query, seed):
        self.connection.execute(
            """SELECT * FROM neural.train(%s, %s, 'y', task => 'classification', architecture => %s,
                   features => %s, epochs => 1, batch_size => 256, learning_rate => 0.001,
                   optimizer => 'adam', validation => 0, seed => %s,
                   options => '{"threads": 2, "verbose": false, "schedule": "constant"}')""",
            (model, query, json.dumps(NETWORK), json.dumps(UNSCALED), seed),
        )

    def exported(self, model):
        """A stored model as a PyTorch module, read from its safetensors file."""
        weights = safetensors.numpy.load(self.value("SELECT neural.export_model(%s)", model))
        network = fresh_network()
        network.load_state_dict({name: torch.tensor(weights[name]) for name in network.state_dict()})
        return network

    def check_plain_loop(self, network):
        """The server's results against a loop over numbers that nobody optimised."""
        rows = self.connection.execute(f"SELECT {COLUMNS}, {CALL} FROM samples LIMIT 50").fetchall()
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
            agree("predict_x and a plain loop", predicted, 1 / (1 + math.exp(-values[0])), 1e-4)


def fresh_network():
    network = torch.nn.Sequential()
    network.add_module("fc1", torch.nn.Linear(20, 64))
    network.add_module("relu1", torch.nn.ReLU())
    network.add_module("fc2", torch.nn.Linear(64, 64))
    network.add_module("relu2", torch.nn.ReLU())
    network.add_module("fc3", torch.nn.Linear(64, 1))
    return network


def scan(bench):
    """A scoring scan against the cheapest query that reads the same columns."""
    bench.network()
    score = f"SELECT avg({CALL}) FROM samples"
    read = f"SELECT sum({' + '.join(FEATURES)}) FROM samples"
    bench.seconds(score), bench.seconds(read)
    ours, theirs = interleaved(lambda: bench.seconds(score), lambda: bench.seconds(read))
    return row(
        f"`SELECT avg(predict_x(…))` over {bench.size:,} rows × 20 float8, network 20-64-64-1",
        "`SELECT sum(x0+…+x19)` on the same rows",
        ours, theirs, "s", ours / theirs, "times its time", at_most=2.5,
    )


def fetch(bench):
    """The same scan against fetching the rows and running the network in PyTorch."""
    network = bench.network()
    score = f"SELECT avg({CALL}) FROM samples"

    with adbc_driver_postgresql.dbapi.connect(ADDRESS) as client, client.cursor() as cursor:

        def fetched():
            cursor.execute(f"SELECT {COLUMNS} FROM samples")
            arrow = cursor.fetch_arrow_table()
            inputs = np.empty((arrow.num_rows, len(FEATURES)), dtype=np.float32)
            for position, column in enumerate(arrow.columns):
                inputs[:, position] = column.to_numpy()
            with torch.inference_mode():
                batches = torch.from_numpy(inputs).split(8192)
                return torch.cat([torch.sigmoid(network(batch)) for batch in batches]).double().mean().item()

        agree("the server's mean and PyTorch's", bench.value(score), fetched(), 1e-5)
        ours, theirs = interleaved(lambda: bench.seconds(score), lambda: timed(fetched))
    return row(
        "the same", "ADBC fetch + PyTorch forward on 2 threads",
        ours, theirs, "s", theirs / ours, "times faster", at_least=3.0,
    )


def calls(bench):
    """Single calls over one connection against the emptiest statement."""
    bench.network()
    with tempfile.TemporaryDirectory() as directory:
        call, empty = Path(directory, "call.sql"), Path(directory, "empty.sql")
        call.write_text(f"SELECT predict_x({', '.join(f':{name}' for name in FEATURES)});\n")
        empty.write_text("SELECT 1;\n")

        def rate(script):
            values = [f"--define={name}={0.1 * i - 1:.2f}" for i, name in enumerate(FEATURES)]
            output = subprocess.run(
                [bench.arguments.pgbench, "--no-vacuum", "--protocol=prepared", "--client=1", "--time=3",
                 f"--file={script}", *values, "postgres"],
                check=True, capture_output=True, text=True,
            ).stdout
            line = next(line for line in output.splitlines() if line.startswith("tps = "))
            return float(line.split()[2])

        ours, theirs = interleaved(lambda: rate(call), lambda: rate(empty))
    return row(
        "one prepared `SELECT predict_x(…)` over one connection", "`SELECT 1` (pgbench)",
        ours, theirs, "/s", ours / theirs, "of its rate", at_least=0.8,
    )


def first_call(bench):
    """The first call of a connection: library load, lookup and decoding included."""
    bench.network()
    call = f"SELECT predict_x({', '.join('0.5' for _ in FEATURES)})"

    def first(query):
        with psycopg.connect(ADDRESS, autocommit=True) as connection:
            begin = time.perf_counter()
            connection.execute(query).fetchall()
            return time.perf_counter() - begin

    first(call)
    ours, theirs = interleaved(lambda: first(call) * 1000, lambda: first("SELECT 1") * 1000)
    return row(
        "first `SELECT predict_x(…)` in a new connection", "first `SELECT 1`",
        ours, theirs, "ms", ours, "ms", at_most=25.0,
    )


def training(bench):
    """One epoch, reading the table included, against PyTorch on tensors that are in memory already."""
    bench.table()
    bench.connection.execute("SET neural.max_memory = '512MB'")
    query = f"SELECT {COLUMNS}, y FROM samples"
    with adbc_driver_postgresql.dbapi.connect(ADDRESS) as client, client.cursor() as cursor:
        cursor.execute(query)
        arrow = cursor.fetch_arrow_table()
    inputs = torch.tensor(np.column_stack([arrow[name].to_numpy() for name in FEATURES]).astype(np.float32))
    targets = torch.tensor(arrow["y"].to_numpy().astype(np.float32)).unsqueeze(1)

    def epoch(rows, fused, threads):
        torch.set_num_threads(threads)
        network = fresh_network()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=fused)
        loss_of = torch.nn.BCEWithLogitsLoss()
        begin = time.perf_counter()
        for batch in torch.randperm(rows).split(256):
            optimizer.zero_grad(set_to_none=True)
            loss_of(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        seconds = time.perf_counter() - begin
        torch.set_num_threads(2)
        return seconds, network

    # The peer at its best: which of these is fastest depends on the machine.
    trial = min(100_000, bench.size)
    settings = [(fused, threads) for fused in (True, False) for threads in (2, 1)]
    epoch(trial, True, 2)
    fused, threads = min(settings, key=lambda setting: epoch(trial, *setting)[0])

    number = 0

    def ours_once():
        nonlocal number
        number += 1
        begin = time.perf_counter()
        bench.train("bench_epoch", query, seed=number)
        return time.perf_counter() - begin

    # Both have learnt the same: they rank rows about equally well.
    ours_once()
    held = inputs[: min(bench.size, 100_000)]
    labels = targets[: len(held), 0].numpy()
    networks = (bench.exported("bench_epoch"), epoch(bench.size, fused, threads)[1])
    with torch.inference_mode():
        quality = [roc_auc_score(labels, network(held)[:, 0].numpy()) for network in networks]
    if quality[0] < quality[1] - 0.01:
        sys.exit(f"training: the server's model has an AUC of {quality[0]:.4f}, PyTorch's {quality[1]:.4f}")

    ours, theirs = interleaved(ours_once, lambda: epoch(bench.size, fused, threads)[0])
    measured = row(
        f"training it: one epoch over {bench.size:,} rows, batch 256, Adam, 2 threads, reading included",
        f"PyTorch on tensors in memory ({'fused ' if fused else ''}Adam, {threads} thread{'s' * (threads > 1)})",
        ours, theirs, "s", theirs / ours, "times faster", at_least=1.0,
    )
    return measured | {"auc": quality}


def german(bench):
    """Cross-validated AUC on the German credit data with no option given."""
    header, records = read_csv(bench.arguments.data)
    target = header.index("creditability")
    features = [name for name in header if name != "creditability"]
    kinds = ["integer" if all(record[i].isdigit() for record in records) else "text" for i in range(len(header))]
    declared = ", ".join(f"{name} {kind}" for name, kind in zip(header, kinds, strict=True))
    bench.connection.execute(f"CREATE TABLE german (id int, {declared})")
    with bench.connection.cursor() as cursor, cursor.copy("COPY german FROM STDIN") as copy:
        for number, record in enumerate(records):
            copy.write_row([number, *record])
    bench.connection.execute("CREATE TABLE fold (id int)")

    numeric = [i for i, kind in enumerate(kinds) if kind == "integer"]
    categorical = [i for i, kind in enumerate(kinds) if kind == "text" and i != target]
    table = np.array(
        [[float(v) if kinds[i] == "integer" else v for i, v in enumerate(record)] for record in records], dtype=object
    )
    bad = np.array([record[target] == "bad" for record in records])

    ours, theirs = [], []
    for shuffle in range(REPEATS):
        ours_folds, theirs_folds = [], []
        for kept, held in StratifiedKFold(5, shuffle=True, random_state=shuffle).split(table, bad):
            bench.connection.execute("TRUNCATE fold")
            with bench.connection.cursor() as cursor, cursor.copy("COPY fold FROM STDIN") as copy:
                for number in kept:
                    copy.write_row([int(number)])
            query = f"SELECT {', '.join(header)} FROM german JOIN fold USING (id) ORDER BY id"
            bench.connection.execute("SELECT * FROM neural.train('german', %s, 'creditability')", (query,))
            scores = dict(
                bench.connection.execute(
                    f"SELECT id, neural.predict('german', {', '.join(features)}) "
                    "FROM german WHERE id NOT IN (SELECT id FROM fold)"
                ).fetchall()
            )
            # Which class is the positive one follows from the data: here the rarer, bad.
            ours_folds.append(roc_auc_score(bad[held], [scores[int(number)] for number in held]))
            bench.connection.execute("SELECT neural.drop_model('german')")

            peer = make_pipeline(
                make_column_transformer(
                    (StandardScaler(), numeric), (OneHotEncoder(handle_unknown="ignore"), categorical)
                ),
                LogisticRegression(max_iter=1000),
            )
            peer.fit(table[kept], bad[kept])
            theirs_folds.append(roc_auc_score(bad[held], peer.predict_proba(table[held])[:, 1]))
        ours.append(statistics.mean(ours_folds))
        theirs.append(statistics.mean(theirs_folds))
    mean, peer_mean = statistics.mean(ours), statistics.mean(theirs)
    measured = row(
        "German credit, 5-fold cross-validated AUC with no option given, mean of 5 shuffles",
        "scikit-learn's logistic regression on the same folds",
        mean, peer_mean, "", mean, "AUC", at_least=0.775,
    )
    return measured | {"shuffles": ours, "peer_shuffles": theirs}


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        header, *records = csv.reader(file)
    return header, records


ROWS = {
    "scan": scan,
    "fetch": fetch,
    "calls": calls,
    "first_call": first_call,
    "training": training,
    "german": german,
}
