"""Train a small CNN on digits in plain PyTorch, until it is good enough.

    python train.py [train.yaml] [--seed N] [--json]

An ordinary training script: it knows nothing of batchscout. Network, data, split, loss and
optimizer are those of `spec.json`, written out by hand. The clock counts training steps alone;
what the evaluations take is reported beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

import torch
import yaml
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

HELD_OUT = 0.2
SPLIT_SEED = 0
MOMENTUM = 0.9
SMOOTHING = 0.5


def main() -> None:
    """Read the config, train, and say how long it took."""
    parser = argparse.ArgumentParser(description="Train a small CNN on digits.")
    parser.add_argument("config", nargs="?", default="train.yaml")
    parser.add_argument("--seed", type=int, help="instead of the one in the config")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    with open(options.config, encoding="utf-8") as file:  # noqa: PTH123 - as people write it
        config = yaml.safe_load(file)
    result = train(config, config["seed"] if options.seed is None else options.seed)
    if options.json:
        print(json.dumps(result))
        return
    words = "reached the target" if result["reached"] else "gave up"
    print(
        f"{words} after {result['train_seconds']:.2f} s of training, {result['steps']} steps and "
        f"{result['samples']} samples; validation loss {result['validation_loss']:.4f}"
    )


def train(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Train until the smoothed validation loss is low enough, or the samples are used up.

    Args:
        config: What train.yaml holds.
        seed: Of the weights, the order of the samples and the dropout.

    Returns:
        Whether it got there, and what it took.
    """
    setting, until = config["train"], config["until"]
    micro, passes = setting["micro_batch_size"], setting["gradient_accumulation_steps"]
    batch = micro * passes
    learning, held_out = digits()
    torch.manual_seed(seed)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=setting["learning_rate"], momentum=MOMENTUM)
    order = Order(len(learning[1]), seed)
    every = max(1, until["evaluate_every_samples"] // batch)
    total = weight = train_seconds = evaluation_seconds = 0.0
    steps, loss, reached = 0, float("inf"), False
    while not reached and steps * batch < until["max_samples"]:
        began = time.perf_counter()
        for _ in range(every):
            step(model, optimizer, learning, order.take(batch), micro)
        steps += every
        trained = time.perf_counter()
        total = (1.0 - SMOOTHING) * total + SMOOTHING * evaluate(model, held_out)
        weight = (1.0 - SMOOTHING) * weight + SMOOTHING
        loss = total / weight
        reached = loss <= until["validation_loss"]
        train_seconds += trained - began
        evaluation_seconds += time.perf_counter() - trained
    return {
        "seed": seed,
        "reached": reached,
        "global_batch_size": batch,
        "learning_rate": setting["learning_rate"],
        "steps": steps,
        "samples": steps * batch,
        "validation_loss": loss,
        "train_seconds": train_seconds,
        "evaluation_seconds": evaluation_seconds,
    }


def digits() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Load the digits: images (N, 1, 8, 8) in [0, 1] with their classes; a fifth is held out."""
    pixels, classes = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8)
    targets = torch.tensor(classes, dtype=torch.int64)
    count = round(len(images) * HELD_OUT)
    mixed = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    kept, held = mixed[count:], mixed[:count]
    return (images[kept], targets[kept]), (images[held], targets[held])


def network() -> nn.Module:
    """Build two blocks of convolution, ReLU and pooling, and a linear head."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(32 * 2 * 2, 10),
    )


class Order:
    """An endless order of samples: one shuffled pass over the set after the other.

    Args:
        samples: Size of the set.
        seed: The order follows from it.
    """

    def __init__(self, samples: int, seed: int) -> None:
        self._samples = samples
        self._generator = torch.Generator().manual_seed(seed)
        self._left = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> torch.Tensor:
        """Take the next samples; a batch may span two passes."""
        while len(self._left) < count:
            mixed = torch.randperm(self._samples, generator=self._generator)
            self._left = torch.cat([self._left, mixed])
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: tuple[torch.Tensor, torch.Tensor],
    rows: torch.Tensor,
    micro_batch_size: int,
) -> None:
    """Take one optimizer step over a batch, in passes of `micro_batch_size` samples."""
    inputs, targets = data
    optimizer.zero_grad()
    for some in rows.split(micro_batch_size):
        loss = functional.cross_entropy(model(inputs[some]), targets[some], reduction="sum")
        (loss / len(rows)).backward()
    optimizer.step()


@torch.no_grad()
def evaluate(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Return the mean loss over the samples that were held out."""
    model.eval()
    loss = functional.cross_entropy(model(data[0]), data[1])
    model.train()
    return float(loss)


if __name__ == "__main__":
    main()
