"""Measures one after the other, each with as much of the set in a pass as memory holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.sharpness.surface import LossSum, LossSurface, on_surface

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

_T = TypeVar("_T")


class Session:
    """Runs one measure after the other, with smaller passes once memory ran out.

    Args:
        model: Comes back after every measure as it was.
        loss_sum: Sum of the loss over a slice of the fixed set.
        counts: Counted items of each sample, shape (N,).
        samples_per_pass: Samples of one pass at most, to begin with.
    """

    def __init__(
        self, model: nn.Module, loss_sum: LossSum, counts: Tensor, samples_per_pass: int
    ) -> None:
        self.model = model
        self.loss_sum = loss_sum
        self.counts = counts
        self.samples_per_pass = samples_per_pass

    def measure(self, measure: Callable[[LossSurface], _T]) -> _T | None:
        """Take a measure on the surface of the model's loss.

        Returns:
            What it gives; None where memory does not hold it even with one sample a pass.
        """
        samples_per_pass = self.samples_per_pass
        while samples_per_pass:
            try:
                with on_surface(
                    self.model, self.loss_sum, self.counts, samples_per_pass=samples_per_pass
                ) as surface:
                    value = measure(surface)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                forget(error)
            else:
                self.samples_per_pass = samples_per_pass
                return value
            release(next(self.model.parameters()).device)
            samples_per_pass //= 2
        return None
