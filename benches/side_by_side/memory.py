"""What a large model and a large table take of the server's memory."""

import contextlib
import json
import threading
from pathlib import Path

import psycopg
import safetensors.torch
import torch
from calls import first_milliseconds
from report import row
from samples import FEATURES, FLOATS, architecture, call, fresh_network
from server import ADDRESS
from timing import agree, in_turns

# 20-4736-4736-1: 90 MB of weights.
WIDTH = 4736
CONNECTIONS = 50
MEGABYTE = 1e6
ZEROS = ", ".join("0" for _ in FEATURES)


def large_network(bench):
    """Bytes of its weights. Its function is predict_large."""
    network = fresh_network(WIDTH).eval()
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    if bench.value("SELECT to_regproc('predict_large') IS NULL"):
        bench.execute("SET neural.max_memory = '512MB'")
        bench.execute(
            "SELECT neural.import_weights('large', %s, %s, 'classification', %s, ARRAY['0', '1'])",
            (safetensors.torch.save(network.state_dict()), json.dumps(architecture(WIDTH)), json.dumps(FLOATS)),
        )
        bench.execute("SELECT neural.create_function('predict_large', 'large')")
        with torch.inference_mode():
            expected = torch.sigmoid(network(torch.zeros(1, len(FEATURES)))).item()
        agree("predict_large and PyTorch", bench.value(f"SELECT predict_large({ZEROS})"), expected, 1e-5)
    return weights


def shared(bench):
    """Proportional memory of many connections that call the large model, in copies of its weights."""
    weights = large_network(bench)
    bench.network()
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(psycopg.connect(ADDRESS, autocommit=True)) for _ in range(CONNECTIONS)
        ]

        def proportional(query):
            for connection in connections:
                connection.execute(query).fetchall()
            sizes = [memory(c.info.backend_pid, "smaps_rollup") for c in connections]
            # Not the server's own shared buffers, through which the model is read but once.
            return sum(size["Pss"] - size["Pss_Shmem"] for size in sizes)

        without = proportional(f"SELECT {call(columns=ZEROS)}")
        more = proportional(f"SELECT predict_large({ZEROS})") - without
    return row(
        f"a model of {weights / MEGABYTE:.0f} MB in {CONNECTIONS} connections: proportional memory of all backends",
        "the same connections without it, "
        f"{without / MEGABYTE:.0f} MB; a copy in each would be {CONNECTIONS * weights / MEGABYTE:,.0f} MB more",
        more / MEGABYTE, weights / MEGABYTE, "MB", lambda a, b: a / b, "copies of the weights", at_most=1.2,
    )


def mapped_call(bench):
    """The large model's first call in a connection while another has it."""
    large_network(bench)
    query = f"SELECT predict_large({ZEROS})"
    small = f"SELECT {call(columns=ZEROS)}"
    bench.network()
    bench.execute(query)
    ours, theirs = in_turns(lambda: first_milliseconds(query), lambda: first_milliseconds(small))
    return row(
        "its first call in a new connection, once another has it", "the first call of the network 20-64-64-1",
        ours, theirs, "ms", lambda a, _: a, "ms", at_most=15,
    )


def peak(bench):
    """What a backend's own memory grows by at most while it scores a table."""
    bench.network()

    def most(rows):
        table = bench.table(rows)
        with psycopg.connect(ADDRESS, autocommit=True) as connection:
            connection.execute("SELECT 1").fetchall()
            pid = connection.info.backend_pid
            idle = own(pid)
            sizes, done = [], threading.Event()

            def watch():
                while not done.wait(0.002):
                    sizes.append(own(pid))

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                # The library is there to plan a session's second query.
                connection.execute(f"SELECT {call(columns=ZEROS)}").fetchall()
                connection.execute(f"SELECT avg({call()}) FROM {table}").fetchall()
            finally:
                done.set()
                watcher.join()
            return (max(sizes) - idle) / MEGABYTE

    many, fewer = 10 * bench.size, bench.size
    return row(
        f"peak memory of a backend that scores {many:,} rows, above an idle one's", f"the same with {fewer:,} rows",
        most(many), most(fewer), "MB", lambda a, _: a, "MB", at_most=64,
    )


def own(pid):
    """A process's memory without the server's shared buffers, in bytes."""
    sizes = memory(pid, "status")
    return sizes["RssAnon"] + sizes["RssFile"]


def memory(pid, file):
    """The sizes that a file of /proc gives, in bytes."""
    lines = (line.split() for line in Path(f"/proc/{pid}/{file}").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


ROWS = {"shared": shared, "mapped_call": mapped_call, "peak": peak}
