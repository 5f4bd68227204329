"""What people use instead, really run: each finder calls a training step that may run out.

The step is the simulated one: it asks the rig and raises what torch raises. A trial is a size
that a finder ran, however many steps it took.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Dataset

Runs = Callable[[int], bool]
"""From a size to whether its steps run without out of memory."""

DATASET_FACTOR: Final = 2
"""The data set of a finder holds so many times the largest size of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a finder came to.

    Args:
        answer: The size that it gives; 0 if it gives none.
        trials: Sizes that it ran.
        out_of_memory: How many of them ran out of memory.
        answer_was_run: Whether it ever ran the size that it gives, or a larger one.
    """

    answer: int
    trials: int
    out_of_memory: int
    answer_was_run: bool


class Steps:
    """A training step that runs out of memory where the rig says so, and keeps count.

    Args:
        runs: Whether a size runs.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._sizes: list[int] = []
        self._failed = 0

    def step(self, size: int) -> None:
        """Run a step; steps of one size in a row are one trial.

        Raises:
            torch.OutOfMemoryError: As torch raises it.
        """
        if not self._sizes or self._sizes[-1] != size:
            self._sizes.append(size)
        if not self._runs(size):
            self._failed += 1
            raise torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity "
                "of 22.03 GiB of which 301.12 MiB is free."
            )

    def found(self, answer: int) -> Found:
        """Sum up."""
        largest = max((size for size in self._sizes if self._runs(size)), default=0)
        return Found(
            answer=answer,
            trials=len(self._sizes),
            out_of_memory=self._failed,
            answer_was_run=answer <= largest,
        )


def doubling(runs: Runs, upper: int) -> Found:
    """Double from 2 until it fails, and take the last size that ran."""
    steps, size, answer = Steps(runs), 2, 0
    while size <= upper:
        try:
            steps.step(size)
        except torch.OutOfMemoryError:
            break
        answer, size = size, 2 * size
    return steps.found(answer)


def accelerate_finder(runs: Runs, upper: int) -> Found:
    """Run accelerate's `find_executable_batch_size` from the largest size of use down."""
    from accelerate.utils import find_executable_batch_size  # noqa: PLC0415 - a bench's own need

    steps = Steps(runs)

    @find_executable_batch_size(starting_batch_size=upper)
    def train(size: int) -> int:
        steps.step(size)
        return size

    try:
        answer = int(train())
    except RuntimeError:
        answer = 0
    return steps.found(answer)


def lightning_power(runs: Runs, upper: int) -> Found:
    """Run Lightning's batch-size finder, mode `power`."""
    return _lightning(runs, upper, "power")


def lightning_binsearch(runs: Runs, upper: int) -> Found:
    """Run Lightning's batch-size finder, mode `binsearch`, with its margin of 5 %."""
    return _lightning(runs, upper, "binsearch")


PEERS: Final = {
    "doubling": doubling,
    "accelerate": accelerate_finder,
    "lightning power": lightning_power,
    "lightning binsearch": lightning_binsearch,
}


class _Numbers(Dataset[int]):
    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return index


class _Blocks:
    """Batches of the numbers without making lists of them."""

    def __init__(self, length: int, size: int) -> None:
        self._length, self._size = length, size

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(len(self)):
            yield [self._size]

    def __len__(self) -> int:
        return self._length // self._size


def _lightning(runs: Runs, upper: int, mode: str) -> Found:
    import lightning.pytorch as pl  # noqa: PLC0415 - a bench's own need
    from lightning.pytorch.tuner.tuning import Tuner  # noqa: PLC0415 - a bench's own need

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    steps = Steps(runs)
    length = DATASET_FACTOR * upper

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.batch_size = 2
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            steps.step(int(batch[0]))
            return self.weight.sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.0)

        def train_dataloader(self) -> Any:
            return DataLoader(_Numbers(length), batch_sampler=_Blocks(length, self.batch_size))

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        module = Module()
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        answer = Tuner(trainer).scale_batch_size(module, mode=mode, max_val=upper)
    return steps.found(min(int(answer or 0), upper))
