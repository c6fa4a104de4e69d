"""The layers' share of what the processor's cores can multiply: benches/layers.rs, as a table."""

import json
import subprocess


def measure():
    command = ["cargo", "bench", "--quiet", "--no-default-features", "--bench", "layers", "--", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def markdown(results):
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
