"""Measures pg_neural beside what its users would do instead, in one run on one machine.

Started by `make bench`, with PGHOST and its like naming a private server. Each pair is interleaved, so
that what slows the machine slows both; every number is a median of five or more; results are compared
before anything is timed. Rows are chosen by name, or by that of their group; all of them by default.
"""

import argparse
import json
import sys
from pathlib import Path

import layers
import networks
import psycopg
import tables
import torch
from measure import ADDRESS, REPEATS, machine

# Each group's rows share a table and its models.
GROUPS = {"tables": (tables.Tables, tables.ROWS), "networks": (networks.Images, networks.ROWS)}


def main():
    names = [name for group, (_, rows) in GROUPS.items() for name in (group, *rows)] + ["layers"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(names))
    parser.add_argument("--pgbench", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--size", type=int, default=1_000_000)
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(names)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(names)}")

    torch.manual_seed(0)
    torch.set_num_threads(2)
    results = {"machine": machine(), "size": arguments.size, "repeats": REPEATS, "rows": []}
    with psycopg.connect(ADDRESS, autocommit=True) as connection:
        results["server"] = connection.execute("SHOW server_version").fetchone()[0]
        connection.execute("CREATE EXTENSION pg_neural")
        for group, (make, rows) in GROUPS.items():
            bench = make(connection, arguments)
            for name, measure in rows.items():
                if not arguments.rows or {group, name} & set(arguments.rows):
                    print(f"{name} …", file=sys.stderr, flush=True)
                    results["rows"].append({"row": name} | measure(bench))

    if not arguments.rows or "layers" in arguments.rows:
        print("layers …", file=sys.stderr, flush=True)
        results["layers"] = layers.measure()

    table = markdown(results)
    if "layers" in results:
        table += "\n" + layers.markdown(results["layers"])
    print(table)
    (arguments.output / "table.md").write_text(table)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def markdown(results):
    def number(value):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

    machine = results["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; PostgreSQL {results['server']}, "
        f"OpenBLAS kernel {machine['openblas_kernel']}; PyTorch {machine['torch']}; medians of {results['repeats']}",
        "",
        "| what | pg_neural | against | it | result | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in results["rows"]:
        unit = f" {entry['unit']}".rstrip()
        reached = "" if entry["reached"] else ", **missed**"
        ratio = f"{entry['ratio']:.3f}" if entry["meaning"] == "AUC" else f"{entry['ratio']:.2f}"
        lines.append(
            f"| {entry['what']} | {number(entry['pg_neural'])}{unit} | {entry['peer']} "
            f"| {number(entry['other'])}{unit} | {ratio} {entry['meaning']} | {entry['goal']}{reached} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
