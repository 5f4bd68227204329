"""The next size by what the device was asked for in the trials before: their requests, replayed.

Peaks alone do not tell where holes will be, nor what workspaces there are; the recorded
requests of two trials do (`tuner/measuring/replaying`). So once two sizes ran, a replay names
the size to run, whether a trace had foretold the first ones or growth had felt its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tuner.deciding.feasibility import Budget, fitting
from tuner.records import MemoryMeasurement

PAIR: Final = 2
"""Recordings that a replay takes."""

FAR: Final = 1.5
"""A promise of more than this multiple of the largest size that ran is not run at once."""

SHARE_OF_FAR: Final = 0.8
"""This share of it is."""

WORTH_TRYING: Final = 0.02
"""A promise this much above the largest size that fitted is worth a trial."""

BACK: Final = 0.97
"""Where nothing is known of a size that ran out of memory, the next one is below this of it."""

MAX_TRIALS: Final = 4
"""Trials at most, where a trace foretold the first ones."""

MAX_TRIALS_WITHOUT_TRACE: Final = 6
"""Trials at most where none did, or where two of them did not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a replay is to find.

    Args:
        recordings: Names of the two largest recordings.
        above: The largest size that ran and fitted.
        up_to: The largest one to look at.
        careful: Whether to leave room for what the two recordings may not have shown; not
            once a size near the limit is one of them.
    """

    recordings: tuple[str, ...]
    above: int
    up_to: int
    careful: bool


def question(
    trials: Sequence[MemoryMeasurement], budget: Budget, *, traced: bool
) -> Question | None:
    """Say what a replay has to find before the next size is chosen.

    Args:
        trials: What was run so far, in order.
        budget: What to keep to.
        traced: Whether a trace foretold the first ones.

    Returns:
        The question; None where the search is over, or fewer than two trials were recorded.
    """
    good, recorded = fitting(trials, budget.goal_bytes), _recorded(trials)
    if not good or len(recorded) < PAIR or is_exhausted(trials, budget, traced=traced):
        return None
    above, up_to = good[-1].micro_batch_size, _up_to(trials, budget)
    if up_to <= above:
        return None
    return Question(
        recordings=tuple(recorded[size] for size in sorted(recorded)[-PAIR:]),
        above=above,
        up_to=up_to,
        careful=len(recorded) < (PAIR + 1 if traced else PAIR + 2),
    )


def is_exhausted(trials: Sequence[MemoryMeasurement], budget: Budget, *, traced: bool) -> bool:
    """Whether recordings were there to be replayed, and no trial is left for their promises."""
    surprises = len(trials) - len(fitting(trials, budget.goal_bytes))
    most = MAX_TRIALS if traced and surprises <= 1 else MAX_TRIALS_WITHOUT_TRACE
    return len(_recorded(trials)) >= PAIR and len(trials) >= most


def next_size(promised: int, trials: Sequence[MemoryMeasurement], budget: Budget) -> int | None:
    """Choose the next size to run.

    Args:
        promised: What the replay after the last trial found.
        trials: What was run so far, in order.
        budget: What to keep to.

    Returns:
        A size that was not run yet; None when the search is over.
    """
    largest = fitting(trials, budget.goal_bytes)[-1].micro_batch_size
    if promised > FAR * max(_recorded(trials)):
        promised = int(SHARE_OF_FAR * promised)
    if any(trial.micro_batch_size == promised for trial in trials):
        return None
    gain = promised - largest
    return promised if gain >= max(1.0, WORTH_TRYING * largest) else None


def _recorded(trials: Sequence[MemoryMeasurement]) -> dict[int, str]:
    """Names of recordings, by size."""
    return {trial.micro_batch_size: trial.recording for trial in trials if trial.recording}


def _up_to(trials: Sequence[MemoryMeasurement], budget: Budget) -> int:
    """Bound what a replay looks at by sizes that took too much.

    One at which the allocator only had to try again bounds nothing: that was a hole, a larger
    size may have none, and its own requests were recorded.
    """
    bounds = [budget.upper]
    for trial in trials:
        if trial.out_of_memory:
            bounds.append(int(BACK * trial.micro_batch_size))
        elif trial.live_bytes > budget.goal_bytes:
            bounds.append(trial.micro_batch_size - 1)
    return min(bounds)
