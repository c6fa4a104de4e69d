"""Scoring a table into another, beside what would be done without pg_neural.

Ours is CREATE TABLE AS. The peers fetch the rows, compute on 2 threads and write the scores into a table by COPY;
PL/Python has its own CREATE TABLE AS.
"""

import sys

import in_server
from feeds import Adbc, ChunkedAdbc, ChunkedPsycopg, Psycopg
from report import faster, slower
from runtimes import onnx, pytorch, scikit_learn
from samples import COLUMNS, call
from timing import in_turns, timed

WITHIN = 1e-5


def ours(bench, table):
    """Seconds to make the table `scores`, with the workers that PostgreSQL's default allows."""
    bench.network()
    bench.execute("DROP TABLE IF EXISTS scores")
    bench.workers(2)
    seconds = bench.seconds(f"CREATE TABLE scores AS SELECT id, {call()} AS score FROM {table}")
    bench.workers(0)
    return seconds


def compare(bench, peer):
    """Stops the run unless the peer's table holds the same ids and scores as ours."""
    rows, found, difference = bench.execute(
        "SELECT count(*), count(p.id), max(abs(o.score - p.score)) FROM scores o FULL JOIN peer_scores p USING (id)"
    ).fetchone()
    if rows != found or difference > WITHIN:
        sys.exit(f"{peer}: {found} of {rows} scores, which differ by up to {difference:.2g}")


def client(feed, runtime_of, name, **goal):
    """A row: a client that fetches, computes and stores."""

    def measure(bench):
        connection, forward = feed(), runtime_of(bench.network())
        table = bench.table()

        def theirs():
            bench.execute("DROP TABLE IF EXISTS peer_scores")
            chunks = connection.chunks(f"SELECT id, {COLUMNS} FROM {table}")
            return timed(lambda: connection.store("peer_scores", ((ids, forward(x)) for ids, x in chunks)))

        peer = f"{feed.name} + {name} + `COPY` back"
        seconds = in_turns(lambda: ours(bench, table), theirs, check=lambda: compare(bench, peer))
        connection.close()
        return faster(what(bench.size), peer, *seconds, **goal)

    return measure


def inside(query_of, how, share):
    """A row: PL/Python in the server, over a part of the rows."""

    def measure(bench):
        in_server.install(bench)
        rows = bench.size // share
        table = bench.table(rows)

        def theirs():
            bench.execute("DROP TABLE IF EXISTS peer_scores")
            return bench.seconds(f"CREATE TABLE peer_scores AS {query_of(table)}")

        peer = f"PL/Python + PyTorch in the server, {how}"
        seconds = in_turns(lambda: ours(bench, table), theirs, check=lambda: compare(bench, peer))
        return faster(what(rows), peer, *seconds)

    return measure


def alone(bench):
    """A row: the same table of a column that needs no computing, which nothing that scores can undercut."""
    table = bench.table()

    def theirs():
        bench.execute("DROP TABLE IF EXISTS scores")
        return bench.seconds(f"CREATE TABLE scores AS SELECT id, x0 AS score FROM {table}")

    seconds = in_turns(lambda: ours(bench, table), theirs)
    return slower(what(bench.size), "`CREATE TABLE AS SELECT id, x0`", *seconds)


def parallel(bench):
    """A row: what a parallel plan makes of it, which the planner does not choose at its default costs."""
    table = bench.table()

    def chosen():
        bench.execute("SET parallel_tuple_cost = 0.01")
        seconds = ours(bench, table)
        bench.execute("RESET parallel_tuple_cost")
        return seconds

    seconds = in_turns(chosen, lambda: ours(bench, table))
    return faster(f"{what(bench.size)}, `parallel_tuple_cost = 0.01`", "the same at the default of 0.1", *seconds)


def what(rows):
    return f"`CREATE TABLE AS SELECT id, predict_x(…)`, {rows:,} rows"


ROWS = {
    "table_alone": alone,
    "parallel_table": parallel,
    "adbc_torch": client(Adbc, pytorch, "PyTorch", at_least=5),
    "psycopg_torch": client(Psycopg, pytorch, "PyTorch", at_least=12),
    "chunked_adbc_torch": client(ChunkedAdbc, pytorch, "PyTorch"),
    "chunked_psycopg_torch": client(ChunkedPsycopg, pytorch, "PyTorch"),
    "chunked_adbc_onnx": client(ChunkedAdbc, onnx, "ONNX Runtime"),
    "chunked_psycopg_onnx": client(ChunkedPsycopg, onnx, "ONNX Runtime"),
    "chunked_adbc_sklearn": client(ChunkedAdbc, scikit_learn, "scikit-learn's MLP"),
    "plpython_chunks": inside(in_server.by_chunk, "8,192 rows a call", 1),
    "plpython_rows": inside(in_server.by_row, "a row a call", 100),
}
