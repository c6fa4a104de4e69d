"""Convolutional, recurrent and attention networks on images of 28 × 28 beside PyTorch.

Both sides have the same architecture, batches of 64, Adam (PyTorch's fused), 2 threads. The images are
rows of a table on our side and one tensor in memory on PyTorch's.
"""

import json
import statistics
import sys
import time

import numpy as np
import safetensors.numpy
import torch
from report import faster
from residual import ResnetSmall
from server import Server
from sklearn.datasets import load_digits
from timing import REPEATS, in_turns, timed
from torch import nn

IMAGES = 8000
SCORED = 100_000
BATCH = 64
EPOCHS = 3
CLASSES = 10
IMAGE = {"pixels": {"type": "image", "scale": 1}}
SEQUENCE = {"pixels": {"type": "sequence", "scale": "none"}}


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, CLASSES)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x.unsqueeze(1)).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc3(self.fc2(self.fc1(x.flatten(1)).relu()).relu())


class Cnn32(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.fc = nn.Linear(32 * 13 * 13, CLASSES)

    def forward(self, x):
        return self.fc(nn.functional.max_pool2d(self.conv1(x.unsqueeze(1)).relu(), 2).flatten(1))


class Recurrent(nn.Module):
    def __init__(self, name, layer):
        super().__init__()
        self.layer = name
        self.add_module(name, layer)
        self.fc = nn.Linear(layer.hidden_size, CLASSES)

    def forward(self, x):
        return self.fc(getattr(self, self.layer)(x)[0][:, -1])


class TransformerSmall(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(28, 64)
        self.encoder = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
        self.fc = nn.Linear(64, CLASSES)
        position = torch.arange(28).unsqueeze(1)
        rate = torch.exp(torch.arange(0, 64, 2) * (-np.log(10000.0) / 64))
        encoding = torch.stack([torch.sin(position * rate), torch.cos(position * rate)], dim=2)
        self.register_buffer("position", encoding.reshape(28, 64), persistent=False)

    def forward(self, x):
        return self.fc(self.encoder(self.embed(x) + self.position).mean(1))


def recurrent(name, **settings):
    """A recurrent layer of 128 units whose last step is read."""
    return {"layers": [{"type": name, "name": name, "units": 128, **settings}, {"type": "output", "name": "fc"}]}


# What is trained: the architecture, a shipped one's name or JSON; how the column is read; PyTorch's twin; the goal.
NETWORKS = {
    "lenet5": ("`lenet5`", "lenet5", IMAGE, LeNet5, 1.5),
    "cnn_32": ("`cnn_32`", "cnn_32", IMAGE, Cnn32, 1.5),
    "rnn": (
        "an `rnn` of 128 units, 28 steps of 28", recurrent("rnn"), SEQUENCE,
        lambda: Recurrent("rnn", nn.RNN(28, 128, batch_first=True)), 1.5,
    ),
    "lstm_128": (
        "an `lstm` of 128 units (tanh)", recurrent("lstm"), SEQUENCE,
        lambda: Recurrent("lstm", nn.LSTM(28, 128, batch_first=True)), 1.2,
    ),
    "transformer_small": ("`transformer_small`", "transformer_small", SEQUENCE, TransformerSmall, 1.2),
    "resnet_small": ("`resnet_small`", "resnet_small", IMAGE, lambda: ResnetSmall(CLASSES), 1.5),
}


class Images(Server):
    """The images, as the rows of a table and as a tensor, made when a row first asks for them."""

    def __init__(self, connection, arguments):
        super().__init__(connection, arguments)
        self._images = None

    def images(self):
        if self._images is None:
            pixels, digits = draw(IMAGES)
            self.execute("CREATE TABLE images (id int, pixels real[], digit int)")
            with self.connection.cursor() as cursor, cursor.copy("COPY images FROM STDIN") as copy:
                for number, (image, digit) in enumerate(zip(pixels, digits, strict=True)):
                    lines = ",".join("{" + ",".join(f"{value:.3g}" for value in line) + "}" for line in image)
                    copy.write_row([number, f"{{{lines}}}", int(digit)])
            self.execute("VACUUM (FREEZE, ANALYZE) images")
            self.execute("SET neural.max_memory = '1GB'")
            self._images = torch.tensor(pixels), torch.tensor(digits)
        return self._images

    def many_images(self):
        if self.exists("many_images"):
            return
        # The planner counts the pages of the rows, not those of the arrays beside them.
        self.execute("CREATE TABLE many_images (pixels real[]) WITH (parallel_workers = 1)")
        self.execute(
            "INSERT INTO many_images SELECT pixels FROM images, generate_series(1, %s) AS turn ORDER BY turn, id LIMIT %s",
            (SCORED // IMAGES + 1, SCORED),
        )
        self.execute("VACUUM (FREEZE, ANALYZE) many_images")

    def train(self, name, epochs, seed=1):
        """Seconds of each epoch, and of the whole call."""
        _, architecture, features, _, _ = NETWORKS[name]
        self.images()
        if not isinstance(architecture, str):
            architecture = json.dumps(architecture)
        begin = time.perf_counter()
        _, version = self.execute(
            """SELECT model, version FROM neural.train(%s, 'SELECT pixels, digit FROM images ORDER BY id', 'digit',
                   architecture => %s, features => %s, epochs => %s, batch_size => %s, learning_rate => 0.001,
                   optimizer => 'adam', validation => 0, seed => %s,
                   options => '{"threads": 2, "verbose": false, "schedule": "constant", "initializer": "pytorch"}')""",
            (name, architecture, json.dumps(features), epochs, BATCH, seed),
        ).fetchone()
        whole = time.perf_counter() - begin
        seconds = self.execute(
            "SELECT seconds FROM neural.training_history WHERE model = %s AND version = %s ORDER BY epoch",
            (name, version),
        ).fetchall()
        return [second for (second,) in seconds], whole

    def twin(self, name):
        """The stored model as a PyTorch module: the names of its tensors are PyTorch's."""
        weights = safetensors.numpy.load(self.value("SELECT neural.export_model(%s)", (name,)))
        network = NETWORKS[name][3]()
        # How many batches there were is not kept, and changes nothing.
        keys = [key for key in network.state_dict() if not key.endswith("num_batches_tracked")]
        network.load_state_dict({key: torch.tensor(weights[key]) for key in keys}, strict=False)
        return network.eval()


def draw(count):
    """Digits of 8 × 8 made 20 × 20 and put somewhere near the middle of 28 × 28, values from 0 to 1."""
    digits = load_digits()
    random = np.random.default_rng(0)
    chosen = random.integers(len(digits.target), size=count)
    small = torch.tensor(digits.images[chosen] / 16, dtype=torch.float32).unsqueeze(1)
    large = nn.functional.interpolate(small, size=(20, 20), mode="bicubic").clamp(0, 1)[:, 0].numpy()
    images = np.zeros((count, 28, 28), dtype=np.float32)
    for image, digit, (y, x) in zip(images, large, random.integers(9, size=(count, 2)), strict=True):
        image[y : y + 20, x : x + 20] = digit
    # As the table will hold them.
    rounded = [np.float32(f"{value:.3g}") for value in images[images > 0]]
    images[images > 0] = rounded
    return images, digits.target[chosen].astype(np.int64)


def torch_epoch(network, optimizer, pixels, digits):
    loss_of = nn.CrossEntropyLoss()
    network.train()
    begin = time.perf_counter()
    for batch in torch.randperm(len(pixels)).split(BATCH):
        optimizer.zero_grad(set_to_none=True)
        loss_of(network(pixels[batch]), digits[batch]).backward()
        optimizer.step()
    return time.perf_counter() - begin


def fused_adam(network):
    return torch.optim.Adam(network.parameters(), lr=0.001, fused=True)


def mean_loss(network, pixels, digits):
    network.eval()
    with torch.inference_mode():
        parts = [nn.functional.cross_entropy(network(x), y, reduction="sum").item()
                 for x, y in zip(pixels.split(500), digits.split(500), strict=True)]
    return sum(parts) / len(pixels)


def epoch(name):
    """A row: the median epoch of a network, ours and PyTorch's in turns."""

    def measure(bench):
        what, _, _, make, goal = NETWORKS[name]
        pixels, digits = bench.images()
        bench.train(name, EPOCHS)
        check_twin(bench, name)
        network = make()
        optimizer = fused_adam(network)
        for _ in range(EPOCHS):
            torch_epoch(network, optimizer, pixels, digits)
        # Times of networks that do not learn the same would say nothing.
        losses = mean_loss(bench.twin(name), pixels, digits), mean_loss(network, pixels, digits)
        if losses[0] > 1.5 * losses[1] + 0.05:
            sys.exit(f"{name}: after {EPOCHS} epochs our loss is {losses[0]:.4f}, PyTorch's {losses[1]:.4f}")

        ours, theirs, alone, whole = [], [], [], []
        for turn in range(REPEATS):
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                if side == 0:
                    seconds, call = bench.train(name, EPOCHS, seed=turn)
                    ours += seconds
                    whole.append(call)
                    continue
                network = make()
                optimizer = fused_adam(network)
                theirs += [torch_epoch(network, optimizer, pixels, digits) for _ in range(EPOCHS)]
                torch.set_num_threads(1)
                alone.append(torch_epoch(network, optimizer, pixels, digits))
                torch.set_num_threads(2)
        call = statistics.median(whole)
        return faster(
            f"an epoch of {what}, {IMAGES:,} images (`train` of {EPOCHS} epochs, reading included: {call:.2f} s)",
            "PyTorch, images in memory, fused Adam, 2 threads",
            ours, theirs, at_least=goal,
            losses=losses, call=whole, epochs=EPOCHS, other_on_one_thread=statistics.median(alone),
        )

    return measure


def check_twin(bench, name):
    """PyTorch gives what the server gives, with its weights: the architectures are the same."""
    pixels, _ = bench.images()
    rows = bench.execute(
        "SELECT id, neural.predict_proba(%s, pixels) FROM images WHERE id < 100", (name,)
    ).fetchall()
    with torch.inference_mode():
        expected = bench.twin(name)(pixels[[number for number, _ in rows]]).softmax(1).numpy()
    difference = np.abs(np.array([probabilities for _, probabilities in rows]) - expected).max()
    if difference > 1e-5:
        sys.exit(f"{name}: the server's probabilities and PyTorch's differ by {difference:.2g}")


def scoring(name, goal):
    """A row: one query over many images against a forward pass over a tensor, both on two processors."""

    def measure(bench):
        pixels, _ = bench.images()
        bench.train(name, EPOCHS)
        check_twin(bench, name)
        bench.many_images()
        query = f"SELECT count(*) FILTER (WHERE neural.predict_class('{name}', pixels) = '3') FROM many_images"
        tensor = pixels.repeat(SCORED // IMAGES + 1, 1, 1)[:SCORED]
        network = bench.twin(name)

        def forward():
            with torch.inference_mode():
                return sum(int((network(part).argmax(1) == 3).sum()) for part in tensor.split(500))

        bench.workers(1)
        counts = bench.value(query), forward()
        # Where two classes are all but as likely, rounding decides.
        if abs(counts[0] - counts[1]) > SCORED // 10_000:
            sys.exit(f"{name}: {counts[0]} images are a 3 by the server, {counts[1]} by PyTorch")
        ours, theirs = in_turns(lambda: bench.seconds(query), lambda: timed(forward))
        bench.workers(0)
        return faster(
            f"scoring {SCORED:,} images by {NETWORKS[name][0]} in one query, one parallel worker",
            "PyTorch's forward pass alone, images in memory, 2 threads",
            ours, theirs, at_least=goal,
        )

    return measure


ROWS = {name: epoch(name) for name in NETWORKS} | {
    "scoring": scoring("lenet5", 1.0), "lstm_scoring": scoring("lstm_128", 1.2),
}
