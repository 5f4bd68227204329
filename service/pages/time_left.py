"""How much longer a job takes, and how far that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.pages.wording import duration

FEWEST_JOBS: Final = 5
"""Below so many past jobs their predictions say nothing about the next one."""

UNKNOWN_FACTOR: Final = 2.0
"""How far a prediction is taken to be off, either way, where nothing here says better."""

_OUTER: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """Wall seconds until the end of a job.

    Args:
        low_seconds: Lower end of the range.
        high_seconds: Upper end.
        how: A sentence that says how the range was made.
    """

    low_seconds: float
    high_seconds: float
    how: str

    @property
    def said(self) -> str:
        """The range in words."""
        low, high = duration(self.low_seconds), duration(self.high_seconds)
        if self.low_seconds <= 0.0:
            return f"up to {high}" if self.high_seconds > 0.0 else "more than was predicted"
        return low if low == high else f"{low} to {high}"


def time_left(
    *,
    predicted_seconds: float | None,
    spent_seconds: float,
    elapsed_seconds: float,
    limit_seconds: float,
    past: Sequence[float],
) -> TimeLeft | None:
    """Tell how much longer a job takes.

    Device seconds become wall seconds at the pace of this job so far, which holds waiting for
    devices and several of them at once.

    Args:
        predicted_seconds: Device seconds of the whole job; None before that can be told.
        spent_seconds: Device seconds so far.
        elapsed_seconds: Wall seconds since the job began.
        limit_seconds: Wall seconds after which the job is ended whatever it does.
        past: Device seconds spent over those predicted, of past jobs of the same kind.

    Returns:
        The range; None before there is a prediction and a pace.
    """
    if predicted_seconds is None or spent_seconds <= 0.0 or elapsed_seconds <= 0.0:
        return None
    low, high, how = _factors(past)
    pace = spent_seconds / elapsed_seconds
    until_limit = max(0.0, limit_seconds - elapsed_seconds)
    ends = [
        min(until_limit, max(0.0, factor * predicted_seconds - spent_seconds) / pace)
        for factor in (low, high)
    ]
    said = (
        f"{duration(spent_seconds)} of about {duration(predicted_seconds)} on devices are spent. "
        f"{how} Never longer than its timeout."
    )
    return TimeLeft(low_seconds=ends[0], high_seconds=ends[1], how=said)


def _factors(past: Sequence[float]) -> tuple[float, float, str]:
    if len(past) < FEWEST_JOBS:
        how = (
            f"Fewer than {FEWEST_JOBS} jobs have ended here, so the prediction is taken to be off "
            f"by a factor of {UNKNOWN_FACTOR:g} either way."
        )
        return 1.0 / UNKNOWN_FACTOR, UNKNOWN_FACTOR, how
    ordered = sorted(past)
    cut = int(_OUTER * len(ordered))
    low, high = ordered[cut], ordered[-1 - cut]
    how = (
        f"The last {len(past)} jobs took {low:.2g} to {high:.2g} times what was predicted "
        f"(the outer tenths left out): this range is made with those two."
    )
    return low, high, how
