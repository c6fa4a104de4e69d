"""What was measured, as rows and as Markdown."""

import statistics


def row(what, peer, ours, theirs, unit, ratio, meaning, at_least=None, at_most=None, aim=None, **more):
    """A row of the table.

    `ours` and `theirs` are what was measured, a number or all of them; `ratio` makes one number of both
    medians, and `meaning` says of what kind. A row without a goal is there to be compared with.
    """
    runs = min(len(ours), len(theirs)) if isinstance(theirs, list) else None
    all_ours, all_theirs = (side if isinstance(side, list) else [side] for side in (ours, theirs))
    ours, theirs = statistics.median(all_ours), statistics.median(all_theirs)
    ratio = ratio(ours, theirs)
    if at_least is not None:
        goal, reached = f"at least {at_least:g}", ratio >= at_least
    elif at_most is not None:
        goal, reached = f"at most {at_most:g}", ratio <= at_most
    else:
        goal, reached = "", True
    return {
        "what": what, "peer": peer, "pg_neural": ours, "other": theirs, "unit": unit, "ratio": ratio,
        "meaning": meaning, "goal": goal + (f" (aim {aim:g})" if aim else ""), "reached": bool(reached),
        "runs": runs, "all_pg_neural": all_ours, "all_other": all_theirs,
    } | more


def slower(what, peer, ours, theirs, **goal):
    """A row that says how many times the peer's time ours is."""
    return row(what, peer, ours, theirs, "s", lambda a, b: a / b, "times its time", **goal)


def faster(what, peer, ours, theirs, **goal):
    """A row that says how many times faster ours is."""
    return row(what, peer, ours, theirs, "s", lambda a, b: b / a, "times faster", **goal)


def markdown(results):
    """The one table."""
    machine = results["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"PostgreSQL {machine['server']}, OpenBLAS kernel {machine['openblas_kernel']}; PyTorch {machine['torch']}, "
        f"ONNX Runtime {machine['onnxruntime']}, scikit-learn {machine['scikit_learn']}. Medians of "
        f"{results['repeats']} warm runs, of fewer where a number of runs stands.",
        "",
        "| what | pg_neural | against | it | result | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in (entry for entries in results["rows"].values() for entry in entries):
        unit = f" {entry['unit']}".rstrip()
        ratio = f"{entry['ratio']:.3f}" if entry["meaning"] == "AUC" else f"{entry['ratio']:.2f}"
        runs = entry["runs"] or results["repeats"]
        cells = [
            entry["what"],
            number(entry["pg_neural"]) + unit,
            entry["peer"] + (f" ({runs} run{'s' * (runs > 1)})" if runs < results["repeats"] else ""),
            number(entry["other"]) + unit,
            f"{ratio} {entry['meaning']}",
            entry["goal"] + ("" if entry["reached"] else ", **missed**"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def layers_markdown(results):
    """The table of what each layer takes."""

    def share(value):
        return "" if value is None else f"{100 * value:.0f} %"

    def microseconds(value):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"

    lines = [
        f"Layers on one thread, {results['rows']} images at once; the share is that of `sgemm`'s "
        f"{results['peak_gflops']:.0f} GFLOP/s.",
        "",
        "| network | layer | forward, µs | share | backward, µs | share |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for layer in results["layers"]:
        lines.append(
            f"| {layer['network']} | `{layer['layer']}` "
            f"| {microseconds(layer['forward_us'])} | {share(layer['forward_share'])} "
            f"| {microseconds(layer['backward_us'])} | {share(layer['backward_share'])} |"
        )
    return "\n".join(lines) + "\n"
