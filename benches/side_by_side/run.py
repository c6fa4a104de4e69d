"""Measures pg_neural beside what its users would do instead, in one run on one machine.

Started by `make bench`, with PGHOST and its like naming a private server. Results are compared before
anything is timed. Rows are chosen by name, or by that of their group; all of them by default. What an
earlier run measured of the others on the same machine, with as many rows, stays.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import boosting
import calls
import german
import layers
import memory
import networks
import peers
import performance
import plots
import psycopg
import quantised
import report
import scan
import torch
import training
from machine import machine
from samples import Samples
from server import ADDRESS
from timing import REPEATS

# What makes a group's tables and models, and its rows.
GROUPS = {
    "scan": (Samples, scan.ROWS),
    "peers": (Samples, peers.ROWS),
    "memory": (Samples, memory.ROWS),
    "plots": (Samples, plots.ROWS | quantised.ROWS),
    "tables": (Samples, calls.ROWS | training.ROWS | german.ROWS),
    "boosting": (Samples, boosting.ROWS),
    "networks": (networks.Images, networks.ROWS),
}


def main():
    arguments = parsed()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    # Not prepared by psycopg: a plan once made would outlive the settings that it was made for.
    with psycopg.connect(ADDRESS, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("CREATE EXTENSION pg_neural")
        results = earlier(arguments, machine(connection))
        benches = {make: make(connection, arguments) for make, _ in GROUPS.values()}
        for group, (make, rows) in GROUPS.items():
            for name, measure in rows.items():
                if not arguments.rows or {group, name} & set(arguments.rows):
                    begin = time.perf_counter()
                    measured = measure(benches[make])
                    when = {"measured": time.strftime("%Y-%m-%d %H:%M")}
                    entries = measured if isinstance(measured, list) else [measured]
                    results["rows"][name] = [entry | when for entry in entries]
                    write(results, arguments.output)
                    say(f"{name}: {time.perf_counter() - begin:.0f} s")

    if not arguments.rows or "layers" in arguments.rows:
        results["layers"] = layers.measure()
        write(results, arguments.output)
    print(report.markdown(results))
    if "layers" in results:
        print(report.layers_markdown(results["layers"]))


def parsed():
    names = [name for group, (_, rows) in GROUPS.items() for name in (group, *rows)] + ["layers"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(names))
    parser.add_argument("--pgbench", required=True)
    parser.add_argument("--server-packages", required=True, help="the Python packages, where the server may read them")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--size", type=int, default=1_000_000)
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(names)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return arguments


def earlier(arguments, machine):
    """The results so far, if they are of this machine and as many rows."""
    results = {"machine": machine, "size": arguments.size, "repeats": REPEATS, "rows": {}}
    file = arguments.output / "results.json"
    if file.exists():
        stored = json.loads(file.read_text())
        if all(stored.get(key) == results[key] for key in ("machine", "size", "repeats")):
            return stored
    return results


def write(results, directory):
    order = [name for _, rows in GROUPS.values() for name in rows]
    results["rows"] = {name: results["rows"][name] for name in order if name in results["rows"]}
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (directory / "table.md").write_text(report.markdown(results))
    performance.write_plots(results, directory)


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
