"""The layers' share of what the processor's cores can multiply: what benches/layers.rs says."""

import json
import subprocess


def measure():
    command = ["cargo", "bench", "--quiet", "--no-default-features", "--bench", "layers", "--", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
