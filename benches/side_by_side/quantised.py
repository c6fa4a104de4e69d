"""What 8 bits gain: a quantised version beside the one that it was made of."""

from report import faster
from samples import COLUMNS, call
from timing import agree, in_turns

WIDTH = 1024


def quantised(bench):
    """The mean score in one process."""
    bench.network(WIDTH)
    size = bench.size // 50
    table = bench.table(size)
    bench.execute("SELECT neural.import_model('bench_8_bits', neural.export_model(%s))", (f"bench_{WIDTH}",))
    bench.execute(
        "SELECT neural.quantize('bench_8_bits', %s, %s)", (f"SELECT * FROM {table} LIMIT 2000", '{"target": "y"}')
    )
    bench.execute("SELECT neural.create_function('predict_8_bits', 'bench_8_bits')")
    calls = (f"predict_8_bits({COLUMNS})", call(WIDTH))
    means = [bench.value(f"SELECT avg({score}) FROM {table}") for score in calls]
    agree("the means of 8 bits and of 32", *means, 0.01)
    seconds = in_turns(*(lambda s=score: bench.seconds(f"SELECT avg({s}) FROM {table}") for score in calls))
    return faster(
        f"`SELECT avg(predict_x(…))` over {size:,} rows, network 20-{WIDTH}-{WIDTH}-1 quantised, one process",
        "the version with 32 bits that it was made of", *seconds, at_least=2.5,
    )


ROWS = {"quantised": quantised}
