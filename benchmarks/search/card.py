"""Two cards that exist on paper: what a step of each batch size costs, and what fits.

The recorded grids say how many steps a target takes; these laws say how long a step lasts. A
pass is flat while a card is not full and proportional to its samples beyond a knee:

    pass(m) = t_pass (1 + (m / knee)^3)^(1/3)        tau(m, s) = s pass(m) + t_optimizer

Seconds are simulated. They are scaled so that a run takes minutes, as a run worth tuning does;
otherwise the fixed seconds of probing memory and timing would outweigh all training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tuner.records import BatchPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A device with known laws.

    Args:
        name: What reports call it.
        knee: Samples per pass from which more of them take longer.
        largest_micro_batch_size: What memory holds; larger batches accumulate.
        pass_base_seconds: One pass of a few samples.
        optimizer_seconds: What an optimizer step adds to its passes.
        evaluation_seconds: One evaluation of the validation set.
        start_seconds: A fresh child process with its data.
    """

    name: str
    knee: float
    largest_micro_batch_size: int
    pass_base_seconds: float = 0.9
    optimizer_seconds: float = 0.1
    evaluation_seconds: float = 0.5
    start_seconds: float = 5.0

    def pass_seconds(self, micro_batch_size: int) -> float:
        """Seconds of one forward and backward pass."""
        fill = micro_batch_size / self.knee
        return float(self.pass_base_seconds * (1.0 + fill**3) ** (1.0 / 3.0))

    def plan(self, global_batch_size: int) -> BatchPlan:
        """Return the fewest passes that fit; more of them are never faster here."""
        passes = -(-global_batch_size // self.largest_micro_batch_size)
        while global_batch_size % passes:
            passes += 1
        return BatchPlan(
            micro_batch_size=global_batch_size // passes, gradient_accumulation_steps=passes
        )

    def plan_seconds(self, plan: BatchPlan) -> float:
        """Seconds of one optimizer step of a plan."""
        passes = plan.gradient_accumulation_steps * self.pass_seconds(plan.micro_batch_size)
        return passes + self.optimizer_seconds

    def step_seconds(self, global_batch_size: int) -> float:
        """Seconds of one optimizer step of a global batch, run the best way."""
        return self.plan_seconds(self.plan(global_batch_size))

    def split_seconds(self, micro_batch_size: int, splits: int) -> float:
        """Seconds that a step takes longer when each pass is split for the noise scale."""
        one = self.pass_seconds(max(1, micro_batch_size // splits))
        return max(0.0, splits * one - self.pass_seconds(micro_batch_size))


CARDS: Final = (
    Card(name="early-knee", knee=48.0, largest_micro_batch_size=256),
    Card(name="late-knee", knee=256.0, largest_micro_batch_size=512),
)
"""One that is full at a few dozen samples, and one that has room for hundreds."""
