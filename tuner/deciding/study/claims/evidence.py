"""Evidence: which arms a claim compares, and one number a seed from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuner.deciding.study.arms import ArmRun, Trained, best_of_batch
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.quantities import Quantity


class CannotBeTold(Exception):
    """Raised where a study does not hold what a claim needs; its text says what, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A study as its claims see it.

    Args:
        job: The study.
        arms: Every arm with its runs.
    """

    job: StudyJob
    arms: tuple[Trained, ...]

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes of the study, ascending, the full batch left out."""
        return tuple(self.job.spec.batch_sizes)

    def best(self, batch: int) -> Trained:
        """Return the arm of a batch at its best rate.

        Raises:
            CannotBeTold: No run of it converged.
        """
        found = best_of_batch(self.arms, batch)
        if found is None:
            raise CannotBeTold(
                f"No run of batch {batch} left its minimum behind it. Raise max_epochs or the "
                "budget, or change the learning rate."
            )
        return found

    def series(self) -> tuple[Trained, ...]:
        """Return the arms of all batches at one rate: the best one of the smallest batch.

        Raises:
            CannotBeTold: The rate changes with the batch, or an end does not converge.
        """
        rate = self.best(self.batches[0]).arm.learning_rate
        found = [self.at(batch, rate) for batch in self.batches]
        there = tuple(one for one in found if one is not None)
        if found[-1] is None or len(there) < len(found):
            raise CannotBeTold(
                "No one learning rate was used at every batch size. Ask for a fixed rate or a grid."
            )
        if not there[-1].converged:
            raise CannotBeTold(
                f"No run of batch {self.batches[-1]} at rate {rate:g} left its minimum behind it. "
                "Raise max_epochs or the budget."
            )
        return there

    def ends(self) -> tuple[Trained, Trained]:
        """Return the smallest and the largest batch at one rate.

        Raises:
            CannotBeTold: As of a series.
        """
        found = self.series()
        return found[0], found[-1]

    def scaled(self) -> tuple[Trained, Trained]:
        """Return the smallest batch, and the largest one whose rate is in proportion to it.

        Raises:
            CannotBeTold: No larger batch has that rate, or it does not converge.
        """
        small = self.best(self.batches[0])
        for batch in reversed(self.batches[1:]):
            rate = small.arm.learning_rate * batch / small.arm.batch_size
            there = self.at(batch, rate)
            if there is not None and there.converged:
                return small, there
        raise CannotBeTold(
            "No larger batch converged at a rate in proportion to its size. Ask for the rule "
            "linear, or for a grid that holds such rates."
        )

    def at(self, batch: int, learning_rate: float) -> Trained | None:
        """Return the arm of a batch at a rate; None if there is none."""
        return next(
            (
                one
                for one in self.arms
                if one.arm.rule == "optimizer"
                and one.arm.batch_size == batch
                and math.isclose(one.arm.learning_rate, learning_rate)
            ),
            None,
        )

    def value(self, one: Trained, run: ArmRun | None, quantity: Quantity) -> float | None:
        """Return a quantity of a converged run; None without one, or where it is not finite."""
        if run is None or run.state != "converged":
            return None
        found = quantity(self.job, one, run)
        return found if found is not None and math.isfinite(found) else None

    def table(self, arms: Sequence[Trained], quantity: Quantity) -> tuple[tuple[float, ...], ...]:
        """Return one row a seed with the quantity of each arm; seeds that lack one are left out."""
        rows = []
        for replicate in range(self.job.spec.seeds):
            row = [self.value(one, one.run(replicate), quantity) for one in arms]
            known = tuple(value for value in row if value is not None)
            if len(known) == len(arms):
                rows.append(known)
        return tuple(rows)

    def log_ratios(self, first: Trained, second: Trained, quantity: Quantity) -> tuple[float, ...]:
        """Return ln(second / first) of a positive quantity, paired by seed."""
        rows = self.table((first, second), quantity)
        return tuple(math.log(b / a) for a, b in rows if a > 0.0 and b > 0.0)


def between_ends(quantity: Quantity) -> Callable[[Evidence], tuple[float, ...]]:
    """Make the effect ln(largest batch / smallest batch) of a quantity, at one rate."""

    def effects(evidence: Evidence) -> tuple[float, ...]:
        return evidence.log_ratios(*evidence.ends(), quantity)

    return effects


def left_out(rows: Sequence[Sequence[float]], index: int) -> list[float]:
    """Return the mean of every column over all rows but one.

    What is chosen by the other seeds is judged on this one, so that luck does not choose.
    """
    others = [row for place, row in enumerate(rows) if place != index]
    if not others:
        raise CannotBeTold("One seed cannot both choose a batch size and judge the choice.")
    return [sum(column) / len(others) for column in zip(*others, strict=True)]
