"""Times in PyTorch the layers of convolution.rs, and networks of them, on one thread, 32 images at a
time: `python convolution_pytorch.py`.
"""

import time

import torch
from torch import nn

ROWS = 32
torch.set_num_threads(1)


def microseconds(function, repeats=20, rounds=9):
    """Of the best round."""
    function()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best * 1e6


def report(name, module, x, input_gradient):
    with torch.inference_mode():
        forward = microseconds(lambda: module(x))
    x = x.clone().requires_grad_(input_gradient)
    seed = torch.randn_like(module(x))

    def both():
        for tensor in [x, *module.parameters()]:
            tensor.grad = None
        module(x).backward(seed)

    print(f"{name:40} predict {forward:8.0f} µs   forward and backward {microseconds(both):8.0f} µs")


for channels, filters, size, kernel, padding in [
    (1, 6, 28, 5, 2), (6, 16, 14, 5, 0), (1, 32, 28, 3, 0),
    (16, 16, 28, 3, 1), (64, 64, 8, 3, 1), (64, 64, 28, 3, 1),
]:
    module = nn.Sequential(nn.Conv2d(channels, filters, kernel, padding=padding), nn.ReLU())
    name = f"{channels} to {filters} channels, {kernel}×{kernel} over {size}×{size}"
    report(name, module, torch.randn(ROWS, channels, size, size), channels > 1)

lenet5 = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
)
cnn_32 = nn.Sequential(
    nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(5408, 100), nn.ReLU(), nn.Linear(100, 10),
)
report("lenet5", lenet5, torch.randn(ROWS, 1, 28, 28), False)
report("cnn_32", cnn_32, torch.randn(ROWS, 1, 28, 28), False)
