"""Lightning's own finders on a live device: `scale_batch_size`, then `lr_find`, as they come."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from dataclasses import dataclass
from typing import Any, Final

import lightning.pytorch as pl
import torch
from lightning.pytorch.tuner.tuning import Tuner
from torch.utils.data import DataLoader, Dataset

from tuner.measuring.workbench import Workbench
from tuner.workloads.data import Split
from tuner.workloads.optimizers import build_optimizer
from tuner.workloads.precision import autocast_of

FIRST_BATCH: Final = 2
FIRST_RATE: Final = 1e-3
"""What the module starts with; the batch-size finder trains a few steps with the rate."""

Batch = tuple[torch.Tensor, torch.Tensor | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the finders said.

    Args:
        batch: What `scale_batch_size` returned.
        learning_rate: What `lr_find` suggested at that batch; None if it could not.
    """

    batch: int
    learning_rate: float | None


class Rows(Dataset[Batch]):
    """A split, fetched a batch at a time where it lies."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __len__(self) -> int:
        """Count the samples."""
        return len(self._split)

    def __getitem__(self, row: int) -> Batch:
        """Fetch a batch of one."""
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Batch:
        """Fetch a batch: inputs (m, ...) and targets (m,), or None without any."""
        split = self._split
        places = torch.tensor(rows, device=split.inputs.device)
        targets = None if split.targets is None else split.targets[places]
        return split.inputs[places], targets


class Module(pl.LightningModule):
    """The workload as a user of Lightning writes it, with the arithmetic of our runner.

    Args:
        bench: The workload.
        seed: Of the weights and the order of the data.
    """

    def __init__(self, bench: Workbench, seed: int) -> None:
        super().__init__()
        self.batch_size, self.learning_rate = FIRST_BATCH, FIRST_RATE
        self.model = bench.model(seed)
        self._bench = bench
        self._seed = seed

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """Return the mean loss of a batch."""
        bench, (inputs, targets) = self._bench, batch
        with autocast_of(bench.workload.training, bench.device):
            total = bench.criterion.loss_sum(self.model, inputs, targets)
        return total / (len(inputs) * (bench.train.items_per_sample or 1))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the workload's optimizer."""
        return build_optimizer(self._bench.workload.training, self.model, self.learning_rate)

    def train_dataloader(self) -> Any:
        """Return batches of the size that is being tried."""
        order = torch.Generator().manual_seed(self._seed)
        return DataLoader(
            Rows(self._bench.train.split),
            batch_size=self.batch_size,
            shuffle=True,
            generator=order,
            collate_fn=lambda batch: batch,
        )


def find(bench: Workbench, *, seed: int) -> Found:
    """Run both finders once.

    Args:
        bench: The workload, its data loaded.
        seed: Of the initial weights and the order of the data.

    Returns:
        What they said.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    silence = contextlib.redirect_stderr(io.StringIO())  # its progress bar cannot be turned off
    with silence, warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        module = Module(bench, seed)
        trainer = pl.Trainer(
            accelerator="gpu" if bench.device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=1000,
            gradient_clip_val=bench.workload.training.get("gradient_clip_norm"),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        finders = Tuner(trainer)
        batch = int(finders.scale_batch_size(module, mode="power") or module.batch_size)
        sweep = finders.lr_find(module)
    return Found(
        batch=batch,
        learning_rate=None if sweep is None else sweep.suggestion(),
    )
