"""How everything is timed: warm, in turns, by medians."""

import math
import sys
import time

REPEATS = 5
# What takes longer than this many seconds is measured three times, and beyond the second number once.
SLOW, VERY_SLOW = 6, 30


def in_turns(*sides, check=None):
    """What each side measures, after a run that warms it up; each is first every other time.

    A side is a function that returns seconds, or another figure. What slows the machine slows all of them.
    `check` compares what the first runs have left behind.
    """
    begin = time.perf_counter()
    for side in sides:
        side()
    elapsed = time.perf_counter() - begin
    if check:
        check()
    measured = tuple([] for _ in sides)
    turns = range(len(sides))
    for turn in range(REPEATS if elapsed < SLOW else 3 if elapsed < VERY_SLOW else 1):
        for side in turns if turn % 2 == 0 else reversed(turns):
            measured[side].append(sides[side]())
    return measured


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def agree(what, ours, theirs, tolerance):
    """Stops the run when results differ: times of different things say nothing."""
    if not math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance):
        sys.exit(f"{what} differ: {ours} and {theirs}")
