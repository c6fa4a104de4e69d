"""Times in PyTorch the epochs of epoch.rs: `python epoch_pytorch.py`."""

import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent / "side_by_side"))
from residual import ResnetSmall  # noqa: E402

EPOCHS = 5

images, classes = torch.rand(2000, 28, 28), torch.arange(2000) % 10
loss_of = torch.nn.CrossEntropyLoss()
for threads in (1, 2):
    torch.set_num_threads(threads)
    network = ResnetSmall(10)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=True)
    seconds = []
    for _ in range(EPOCHS):
        begin = time.perf_counter()
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad(set_to_none=True)
            loss_of(network(images[batch]), classes[batch]).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - begin)
    print(f"{threads} threads: {1e3 * statistics.median(seconds):.0f} ms an epoch (best {1e3 * min(seconds):.0f})")
