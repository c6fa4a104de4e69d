"""Training a small network beside PyTorch."""

import itertools
import json
import statistics
import sys
import time

import adbc_driver_postgresql.dbapi
import numpy as np
import safetensors.numpy
import torch
from report import faster
from samples import COLUMNS, FEATURES, architecture, fresh_network
from server import ADDRESS
from sklearn.metrics import roc_auc_score
from timing import in_turns, timed

# The columns are standard already; unscaled on both sides, the weights mean the same on both.
UNSCALED = {name: {"type": "numeric", "scale": "none"} for name in FEATURES}
# A row's multiplications and additions: forward, and twice as many backward (none into the features).
FLOPS = 2 * (2 * 20 * 64 + 3 * 64 * 64 + 3 * 64)


def training(bench):
    """One epoch, reading the table included, against PyTorch on tensors that are in memory already."""
    table = bench.table()
    bench.execute("SET neural.max_memory = '512MB'")
    query = f"SELECT {COLUMNS}, y FROM {table}"
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

    seeds = itertools.count(1)

    def ours_once():
        return timed(lambda: train(bench, query, next(seeds)))

    # Both have learnt the same: they rank rows about equally well.
    ours_once()
    held = inputs[: min(bench.size, 100_000)]
    labels = targets[: len(held), 0].numpy()
    networks = (exported(bench), epoch(bench.size, fused, threads)[1])
    with torch.inference_mode():
        quality = [roc_auc_score(labels, network(held)[:, 0].numpy()) for network in networks]
    if quality[0] < quality[1] - 0.01:
        sys.exit(f"training: the server's model has an AUC of {quality[0]:.4f}, PyTorch's {quality[1]:.4f}")

    ours, theirs = in_turns(ours_once, lambda: epoch(bench.size, fused, threads)[0])
    return faster(
        f"training 20-64-64-1: one epoch over {bench.size:,} rows, batch 256, Adam, 2 threads, reading included",
        f"PyTorch on tensors in memory ({'fused ' if fused else ''}Adam, {threads} thread{'s' * (threads > 1)})",
        ours, theirs, at_least=2, aim=3, auc=quality, gflops=bench.size * FLOPS / 1e9 / statistics.median(ours),
    )


def train(bench, query, seed):
    bench.execute(
        """SELECT * FROM neural.train('bench_epoch', %s, 'y', task => 'classification', architecture => %s,
               features => %s, epochs => 1, batch_size => 256, learning_rate => 0.001,
               optimizer => 'adam', validation => 0, seed => %s,
               options => '{"threads": 2, "verbose": false, "schedule": "constant"}')""",
        (query, json.dumps(architecture(64)), json.dumps(UNSCALED), seed),
    )


def exported(bench):
    """The stored model as a PyTorch module, read from its safetensors file."""
    weights = safetensors.numpy.load(bench.value("SELECT neural.export_model('bench_epoch')"))
    network = fresh_network()
    network.load_state_dict({name: torch.tensor(weights[name]) for name in network.state_dict()})
    return network


ROWS = {"training": training}
