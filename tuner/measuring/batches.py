"""Which samples a step trains on, and how they get to the device."""

from __future__ import annotations

import torch

from tuner.measuring.random_state import derived_seed
from tuner.workloads.data import Split


class SampleOrder:
    """An endless order of samples: one permutation of the whole set after the other.

    The order follows from the seed and the size of the set alone. So a run of batch 8 and one
    of batch 512 see the same samples in the same order, no epoch has a ragged last batch, and
    a resumed run needs to know its step only.

    Args:
        num_samples: Size of the set.
        seed: Seed of the run.
        device: Where the indices are wanted.
    """

    def __init__(self, num_samples: int, seed: int, device: torch.device) -> None:
        self.num_samples = num_samples
        self._seed = seed
        self._device = device
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def rows(self, start: int, count: int) -> torch.Tensor:
        """Take a stretch of the order.

        Args:
            start: Samples that came before it.
            count: Length of the stretch; it may span epochs.

        Returns:
            int64 (count,), indices into the set.
        """
        epoch, offset = divmod(start, self.num_samples)
        if offset + count <= self.num_samples:
            return self._of_epoch(epoch)[offset : offset + count]
        parts = []
        while count:
            part = self._of_epoch(epoch)[offset : offset + count]
            parts.append(part)
            epoch, offset, count = epoch + 1, 0, count - len(part)
        return torch.cat(parts)

    def _of_epoch(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            # Drawn on the CPU: its generator gives the same numbers on every machine.
            generator = torch.Generator().manual_seed(derived_seed(self._seed, "epoch", epoch))
            drawn = torch.randperm(self.num_samples, generator=generator)
            self._permutation, self._epoch = drawn.to(self._device), epoch
        return self._permutation


class Batches:
    """A split of the data, from which micro-batches are fetched.

    Args:
        split: Lies on the device, or on the host where it is too large for that.
        counts: int64 (N,): items that each sample adds to the loss.
        device: Where micro-batches are wanted.
    """

    def __init__(self, split: Split, counts: torch.Tensor, device: torch.device) -> None:
        self.split = split
        self.counts = counts
        self.device = device
        self.home = split.inputs.device
        low, high = (int(bound) for bound in torch.aminmax(counts))
        self.items_per_sample = low if low == high else None
        self._scales: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.split)

    def fetch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gather samples.

        Args:
            rows: int64 (m,), where the split lies.

        Returns:
            Inputs and targets on the device.
        """
        inputs, targets = self.split.inputs.index_select(0, rows), self.split.targets
        chosen = None if targets is None else targets.index_select(0, rows)
        return self._moved(inputs), None if chosen is None else self._moved(chosen)

    def run(self, samples: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Take consecutive samples, without a copy where they lie on the device."""
        targets = self.split.targets
        chosen = None if targets is None else self._moved(targets[samples])
        return self._moved(self.split.inputs[samples]), chosen

    def scale(self, rows: torch.Tensor) -> torch.Tensor:
        """Say what a sum over these samples is multiplied by to make it their mean.

        Returns:
            A float32 scalar on the device, one over the items of the rows; nothing waits for
            the device.
        """
        if self.items_per_sample is None:
            items = self.counts.index_select(0, rows).sum()
            return self._moved(items.to(torch.float32).reciprocal())
        known = self._scales.get(len(rows))
        if known is None:
            known = torch.tensor(1.0 / (len(rows) * self.items_per_sample), device=self.device)
            self._scales[len(rows)] = known
        return known

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if self.home == self.device else tensor.to(self.device, non_blocking=True)
