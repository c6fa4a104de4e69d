"""What scoring costs by the number of rows and by the width of the network, on one process."""

import statistics
import sys
import time

import torch
from feeds import ChunkedAdbc, ChunkedPsycopg
from in_server import by_chunk, install
from report import faster, row
from runtimes import pytorch
from samples import COLUMNS, SUM, call
from timing import agree, in_turns

# Widths W of 20-W-W-1: what part of the rows, and the batch path's least advantage over the row path.
WIDTHS = {
    16: (5, None), 32: (5, None), 64: (5, 1.4), 128: (5, None), 256: (10, 3.5), 512: (20, None), 1024: (50, 5)
}
OURS, ROW_PATH, SCAN = "pg_neural", "pg_neural, batches off", "sum(x0+…+x19)"


def rows(bench):
    """The mean score of tables of all sizes."""
    network = bench.network()
    install(bench)
    sizes = [bench.size // 100, bench.size // 10, bench.size, bench.size * 10]
    lines = {name: [] for name in (OURS, SCAN)}
    # What the statement takes itself, whatever the rows.
    own = [statistics.median(side) for side in in_turns(*queries(bench, 0))]
    costs = ([], [])
    for size in sizes:
        for side, name, values in zip((0, 1), lines, in_turns(*queries(bench, size)), strict=True):
            seconds = statistics.median(values)
            lines[name].append([size, seconds])
            costs[side].append((seconds - own[side]) / size * 1e9)

    feeds = (ChunkedAdbc(), ChunkedPsycopg())
    forward = pytorch(network)
    for size in sizes[:-1]:
        table = bench.table(size)
        means = {
            "PL/Python + PyTorch": lambda: bench.value(f"SELECT avg(score) FROM ({by_chunk(table)}) t"),
            "ADBC + PyTorch": lambda: fetched_mean(feeds[0], forward, table),
            "psycopg + PyTorch": lambda: fetched_mean(feeds[1], forward, table),
        }
        expected = bench.value(f"SELECT avg({call()}) FROM {table}")
        for name, values in zip(means, in_turns(*agreeing(means, expected)), strict=True):
            lines.setdefault(name, []).append([size, statistics.median(values)])
    for feed in feeds:
        feed.close()

    spread = [max(side) / min(side) for side in costs]
    return row(
        f"cost a row from {sizes[0]:,} to {sizes[-1]:,} rows, without the statement's own {own[0] * 1000:.2g} ms: "
        f"the dearest (`{SCAN}`: {spread[1]:.2f} times the cheapest)", "the cheapest",
        max(costs[0]), min(costs[0]), "ns", lambda a, b: a / b, "times", at_most=1.1,
        costs=costs, plot={"name": "rows", "lines": lines},
    )


def queries(bench, size):
    """Seconds of the scoring query and of the scan, short ones measured many at a time."""
    table, times = bench.table(size), max(1, min(100, bench.size // max(size, 1) // 2))

    def mean(query):
        return lambda: sum(bench.seconds(query) for _ in range(times)) / times

    return [mean(f"SELECT {what} FROM {table}") for what in (f"avg({call()})", SUM)]


def fetched_mean(feed, forward, table):
    """The mean score of a table that a client fetches."""
    total = rows = 0
    for ids, inputs in feed.chunks(f"SELECT id, {COLUMNS} FROM {table}"):
        total += forward(inputs).sum()
        rows += len(ids)
    return total / rows


def agreeing(means, expected):
    """Functions that give the seconds of those that give means, which must be as expected."""

    def side(name, mean):
        def seconds():
            begin = time.perf_counter()
            value = mean()
            elapsed = time.perf_counter() - begin
            agree(f"the server's mean and that of {name}", expected, value, 1e-5)
            return elapsed

        return seconds

    return [side(name, mean) for name, mean in means.items()]


def widths(bench):
    """Batches beside single rows and beside PyTorch, for networks of several widths."""
    feed = ChunkedAdbc()
    lines, measured = {}, []
    torch.set_num_threads(1)
    for width, (share, goal) in WIDTHS.items():
        forward, size = pytorch(bench.network(width)), bench.size // share
        table = bench.table(size)
        same_bits(bench, width, table)
        score = f"SELECT avg({call(width)}) FROM {table}"

        def path(batches):
            bench.execute(f"SET neural.batch_scoring = {batches}")
            return bench.value(score)

        means = {
            OURS: lambda: path("on"),
            ROW_PATH: lambda: path("off"),
            "ADBC + PyTorch": lambda: fetched_mean(feed, forward, table),
        }
        read = f"SELECT {SUM} FROM {table}"
        seconds = in_turns(*agreeing(means, bench.value(score)), lambda: bench.seconds(read))
        bench.execute("RESET neural.batch_scoring")
        for name, values in zip([*means, SCAN], seconds, strict=True):
            lines.setdefault(name, []).append([width, statistics.median(values) / size * 1e6])
        if goal:
            measured.append(faster(
                f"`SELECT avg(predict_x(…))` over {size:,} rows, network 20-{width}-{width}-1, one process",
                "the same with `neural.batch_scoring = off`", *seconds[:2], at_least=goal,
            ))
    feed.close()
    torch.set_num_threads(2)
    measured[0]["plot"] = {"name": "width", "lines": lines}
    return measured


def same_bits(bench, width, table):
    """Stops the run unless batches and single rows give the same."""
    results = []
    for setting in ("on", "off"):
        bench.execute(f"SET neural.batch_scoring = {setting}")
        results.append(bench.execute(f"SELECT id, {call(width)} FROM {table} LIMIT 1000").fetchall())
    bench.execute("RESET neural.batch_scoring")
    if results[0] != results[1]:
        sys.exit(f"predict_{width}: batches and single rows give different scores")


ROWS = {"widths": widths, "rows": rows}
