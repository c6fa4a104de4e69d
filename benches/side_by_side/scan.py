"""Scoring queries beside those that only read or write."""

from report import faster, slower
from samples import FEATURES, SUM, call
from timing import agree, in_turns


def mean(bench):
    """A scoring scan against the cheapest query that reads the same columns."""
    bench.network()
    score, read = (f"SELECT {what} FROM {bench.table()}" for what in (f"avg({call()})", SUM))
    ours, theirs = in_turns(lambda: bench.seconds(score), lambda: bench.seconds(read))
    return slower(
        f"`SELECT avg(predict_x(…))` over {bench.size:,} rows × 20 float8, network 20-64-64-1, one process",
        "`SELECT sum(x0+…+x19)` on the same rows",
        ours, theirs, at_most=1.5, aim=1.2,
    )


def workers(bench):
    """The same by two parallel workers."""
    bench.network()
    score = f"SELECT avg({call()}) FROM {bench.table()}"

    def processes(workers):
        bench.workers(workers)
        return bench.seconds(score)

    bench.workers(2)
    planned = planned_workers(bench, score)
    parallel = bench.value(score)
    bench.workers(0)
    agree("means with and without workers", parallel, bench.value(score), 1e-12)
    ours, theirs = in_turns(lambda: processes(2), lambda: processes(0))
    bench.workers(0)
    return faster(
        f"the same, {planned} parallel workers beside the leader", "the same, one process", ours, theirs, at_least=1.8
    )


def planned_workers(bench, query):
    """How many workers the planner gives a query."""

    def most(plan):
        return max([plan.get("Workers Planned", 0), *map(most, plan.get("Plans", []))])

    return most(bench.value(f"EXPLAIN (FORMAT JSON) {query}")[0]["Plan"])


def update(bench):
    """An UPDATE of every row with its score against the same UPDATE with a constant."""
    bench.network()
    bench.execute(f"CREATE TABLE scored AS SELECT *, 0.0::float8 AS score FROM {bench.table()}")

    def updated(value):
        seconds = bench.seconds(f"UPDATE scored SET score = {value}")
        # So that every UPDATE finds the room that the last one left.
        bench.execute("VACUUM scored")
        return seconds

    updated(call())
    agree(
        "scores written and scores read",
        bench.value("SELECT avg(score) FROM scored"), bench.value(f"SELECT avg({call()}) FROM scored"), 1e-12,
    )
    bench.execute("VACUUM ANALYZE scored")
    ours, theirs = in_turns(lambda: updated(call()), lambda: updated(0.5))
    bench.execute("DROP TABLE scored")
    return slower(
        f"`UPDATE … SET score = predict_x(…)` of {bench.size:,} rows of {len(FEATURES) + 3} columns",
        "the same `UPDATE` with a constant", ours, theirs, at_most=1.3,
    )


ROWS = {"mean": mean, "workers": workers, "update": update}
