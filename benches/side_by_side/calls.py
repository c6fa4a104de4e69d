"""Single calls."""

import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from report import row
from samples import FEATURES, call
from server import ADDRESS
from timing import in_turns


def calls(bench):
    """Single calls over one connection against the emptiest statement."""
    bench.network()
    with tempfile.TemporaryDirectory() as directory:
        one, empty = Path(directory, "call.sql"), Path(directory, "empty.sql")
        one.write_text(f"SELECT {call(columns=', '.join(f':{name}' for name in FEATURES))};\n")
        empty.write_text("SELECT 1;\n")

        def rate(script):
            values = [f"--define={name}={0.1 * i - 1:.2f}" for i, name in enumerate(FEATURES)]
            output = subprocess.run(
                [bench.arguments.pgbench, "--no-vacuum", "--protocol=prepared", "--client=1", "--time=2",
                 f"--file={script}", *values, "postgres"],
                check=True, capture_output=True, text=True,
            ).stdout
            line = next(line for line in output.splitlines() if line.startswith("tps = "))
            return float(line.split()[2])

        ours, theirs = in_turns(lambda: rate(one), lambda: rate(empty))
    return row(
        "one prepared `SELECT predict_x(…)` over one connection", "`SELECT 1` (pgbench)",
        ours, theirs, "/s", lambda a, b: a / b, "of its rate", at_least=0.8,
    )


def first_call(bench):
    """The first call of a connection: library load, lookup and decoding included."""
    bench.network()
    query = f"SELECT {call(columns=', '.join('0.5' for _ in FEATURES))}"
    ours, theirs = in_turns(lambda: first_milliseconds(query), lambda: first_milliseconds("SELECT 1"))
    return row(
        "first `SELECT predict_x(…)` in a new connection", "first `SELECT 1`",
        ours, theirs, "ms", lambda a, _: a, "ms", at_most=25,
    )


def first_milliseconds(query):
    """What a query takes as the first of a connection, without the connecting."""
    with psycopg.connect(ADDRESS, autocommit=True) as connection:
        begin = time.perf_counter()
        connection.execute(query).fetchall()
        return 1000 * (time.perf_counter() - begin)


ROWS = {"calls": calls, "first_call": first_call}
