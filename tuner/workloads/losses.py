"""Losses as sums over counted items, so that accumulation can divide by the whole count.

The mean over a global batch is the sum of its micro-batches' sums divided by the total count
(samples, outputs or tokens). Averages of averages differ from it as soon as the counts
differ, which is the rule for padded text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch
from torch.nn import functional

from tuner.workloads.forward import logits_of

if TYPE_CHECKING:
    from tuner.workloads.data import Data, Split


IGNORED: Final = -100
"""Label of a token that is not predicted."""


class Criterion(Protocol):
    """What a task counts and how it scores."""

    def counts(self, split: Split) -> torch.Tensor:
        """Count the items that each sample adds to the loss, without a forward pass.

        Returns:
            int64 (N,), at least 1 each, on the device of the split.
        """

    def loss_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum the loss over the counted items of a micro-batch: a float32 scalar."""

    def correct_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Count the items that are predicted right: an int64 scalar.

        Raises:
            ValueError: The task has no right and wrong.
        """


class Classification:
    """Cross-entropy with one class index per sample."""

    def counts(self, split: Split) -> torch.Tensor:
        """Count 1 per sample."""
        return torch.ones(len(split), dtype=torch.int64, device=split.inputs.device)

    def loss_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum the cross-entropy in nats over samples."""
        scores = _scores(logits_of(model, inputs), _given(targets))
        return functional.cross_entropy(scores.float(), _given(targets), reduction="sum")

    def correct_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Count the samples whose highest score is their class."""
        scores = _scores(logits_of(model, inputs), _given(targets))
        return (scores.argmax(dim=-1) == _given(targets)).sum()


class Regression:
    """Squared error; every output of every sample is an item."""

    def counts(self, split: Split) -> torch.Tensor:
        """Count the outputs, K per sample."""
        outputs = _given(split.targets).shape[1]
        return torch.full((len(split),), outputs, dtype=torch.int64, device=split.inputs.device)

    def loss_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum the squared error over samples and outputs."""
        wanted = _given(targets)
        predicted = logits_of(model, inputs).float()
        if predicted.shape != wanted.shape:
            # Broadcasting (N,) against (N, 1) would train on N x N pairs without a word.
            raise ValueError(
                f"the model returned {tuple(predicted.shape)}, the targets are "
                f"{tuple(wanted.shape)}"
            )
        return functional.mse_loss(predicted, wanted, reduction="sum")

    def correct_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Refuse: a regression is never simply right."""
        del model, inputs, targets
        raise ValueError("regression has no accuracy")


class CausalLm:
    """Next-token cross-entropy; negative token ids are padding.

    Padding is read as token 0, masked from attention where the model takes a mask, and never
    a target. A token whose predecessor is padding is no target either: nothing real would
    predict it.

    Args:
        padded: Whether the data hold any padding; if not, no mask is made or passed.
    """

    def __init__(self, *, padded: bool) -> None:
        self.padded = padded

    def counts(self, split: Split) -> torch.Tensor:
        """Count the tokens that are predicted, at most L - 1 per sample."""
        return _predicted(split.inputs).sum(dim=1)

    def loss_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum the cross-entropy in nats over predicted tokens; `targets` is not read."""
        del targets
        scores, labels = self._scored(model, inputs)
        return functional.cross_entropy(
            scores.float().flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED
        )

    def correct_sum(
        self, model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None
    ) -> torch.Tensor:
        """Count the predicted tokens that got the highest score; `targets` is not read."""
        del targets
        scores, labels = self._scored(model, inputs)
        return (scores.argmax(dim=-1) == labels).sum()

    def _scored(
        self, model: torch.nn.Module, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.padded:
            return logits_of(model, inputs)[:, :-1], inputs[:, 1:]
        mask = (inputs >= 0).long()
        scores = logits_of(model, inputs.clamp(min=0), mask)[:, :-1]
        return scores, inputs[:, 1:].masked_fill(~_predicted(inputs), IGNORED)


def build_criterion(training: Mapping[str, Any], data: Data) -> Criterion:
    """Make the criterion of a task.

    Args:
        training: `training` of the workload.
        data: What is trained on; read once, to learn whether it is padded.

    Returns:
        A criterion without state.
    """
    task = training["task"]
    if task == "classification":
        return Classification()
    if task == "regression":
        return Regression()
    if task == "causal_lm":
        return CausalLm(padded=is_padded(data))
    raise ValueError(f"no task is called {task!r}")


def is_padded(data: Data) -> bool:
    """Say whether any token id is negative."""
    return any(bool((split.inputs < 0).any()) for split in (data.train, data.validation))


def _predicted(tokens: torch.Tensor) -> torch.Tensor:
    return (tokens[:, :-1] >= 0) & (tokens[:, 1:] >= 0)


def _given(targets: torch.Tensor | None) -> torch.Tensor:
    if targets is None:
        raise ValueError("this task needs targets")
    return targets


def _scores(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if scores.ndim != 2 or len(scores) != len(targets):  # noqa: PLR2004 - samples and classes
        raise ValueError(
            f"the model returned {tuple(scores.shape)}; classification needs (N, classes) with "
            f"N = {len(targets)}"
        )
    return scores
