"""What all comparisons share: the server, timing in turns, rows of the table."""

import ctypes
import math
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

REPEATS = 5
ADDRESS = f"postgresql://postgres@/postgres?host={os.environ['PGHOST']}&port={os.environ['PGPORT']}"


class Server:
    """A connection to the server under test."""

    def __init__(self, connection, arguments):
        self.connection = connection
        self.arguments = arguments

    def value(self, query, *parameters):
        return self.connection.execute(query, parameters).fetchone()[0]

    def seconds(self, query):
        begin = time.perf_counter()
        self.connection.execute(query).fetchall()
        return time.perf_counter() - begin


def interleaved(ours, theirs):
    """Medians of both sides, measured in turns, each side first every other time."""
    measured = ([], [])
    for turn in range(REPEATS):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            measured[side].append((ours, theirs)[side]())
    return statistics.median(measured[0]), statistics.median(measured[1])


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def agree(what, ours, theirs, tolerance):
    if not math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance):
        sys.exit(f"{what} differ: {ours} and {theirs}")


def row(what, peer, ours, theirs, unit, ratio, meaning, at_least=None, at_most=None):
    reached = ratio >= at_least if at_most is None else ratio <= at_most
    goal = f"at least {at_least:g}" if at_most is None else f"at most {at_most:g}"
    return {
        "what": what, "peer": peer, "pg_neural": ours, "other": theirs, "unit": unit,
        "ratio": ratio, "meaning": meaning, "goal": goal, "reached": bool(reached),
    }


def machine():
    blas = ctypes.CDLL("libopenblas.so.0")
    blas.openblas_get_corename.restype = ctypes.c_char_p
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "openblas_kernel": blas.openblas_get_corename().decode(),
        "torch": torch.__version__,
        "torch_blas": "MKL" if torch.backends.mkl.is_available() else "OpenBLAS",
    }
