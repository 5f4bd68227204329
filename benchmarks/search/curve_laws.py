"""What the beginning of a run says of its end: raw predictions of steps to the target.

Every law reads the smoothed validation curve up to now and says r = ln(steps to the target /
steps until now). Two kinds:

- a law of one curve, fitted to its tail and followed to the target: a power law
  (ln loss linear in ln step; Hestness et al. 2017, arXiv:1712.00409) or an exponential
  (ln loss linear in step);
- the pace against a reference run that has come to the target: where the reference had needed
  a share u of its time to this loss, the run is expected to need 1 / u times its own until now;
  or, extrapolated, what that ratio comes to if it goes on as over the tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from tuner.curve import smoothed
from tuner.records import CurvePoint

Floats = npt.NDArray[np.float64]

FURTHEST: Final = float(np.log(20.0))
"""No prediction lies further than twenty times the steps until now."""

FEWEST: Final = 4
"""Evaluations that a law is fitted to, at least."""

TAILS: Final = (0.3, 0.5, 0.75)
"""Shares of the steps until now that a law may be fitted to."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """The evaluations of a run.

    Args:
        steps: Of each evaluation, shape (k,).
        losses: Smoothed, shape (k,).
        initial_loss: Before the first step.
    """

    steps: Floats
    losses: Floats
    initial_loss: float

    @classmethod
    def of(cls, points: Sequence[CurvePoint], initial_loss: float) -> Seen:
        """Smooth a curve as every job does; what is not finite is left out."""
        pairs = zip(points, smoothed(points), strict=True)
        kept = [(point.step, value) for point, value in pairs if np.isfinite(value)]
        steps, losses = np.array(kept, dtype=float).reshape(-1, 2).T
        return cls(steps=steps, losses=losses, initial_loss=initial_loss)

    def until(self, step: float) -> Seen:
        """Return what had been seen by a step."""
        known = int(np.searchsorted(self.steps, step, side="right"))
        return Seen(
            steps=self.steps[:known], losses=self.losses[:known], initial_loss=self.initial_loss
        )

    @cached_property
    def _lowest(self) -> tuple[Floats, Floats]:
        """The ln of the lowest loss so far, ascending, and the steps at which it was reached."""
        losses = np.minimum.accumulate(np.concatenate([[self.initial_loss], self.losses]))
        steps = np.concatenate([[0.0], self.steps])
        return np.log(losses[::-1]), steps[::-1]

    def reached(self, losses: Floats) -> Floats:
        """Steps at which the run first came to these losses, interpolated on their logarithm."""
        lowest, steps = self._lowest
        return np.interp(np.log(losses), lowest, steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """A run that came to the target.

    Args:
        seen: All of it.
        crossing: Its steps to the target.
    """

    seen: Seen
    crossing: float

    def shares(self, losses: Floats) -> Floats:
        """Shares of its time that it took to these losses; never below half an evaluation."""
        least = 0.5 * self.seen.steps[0]
        return np.clip(self.seen.reached(losses), least, self.crossing) / self.crossing


def power_law(seen: Seen, target: float, tail: float) -> float:
    """Follow ln loss, linear in ln step, from the tail of a curve to the target."""
    steps, losses = _tail(seen, tail)
    slope, last = _line(np.log(steps), np.log(losses))
    return _clipped((last - np.log(target)) / max(-slope, 1e-9))


def exponential(seen: Seen, target: float, tail: float) -> float:
    """Follow ln loss, linear in step, from the tail of a curve to the target."""
    steps, losses = _tail(seen, tail)
    slope, last = _line(steps, np.log(losses))
    more = max(0.0, (last - np.log(target)) / max(-slope, 1e-12))
    return _clipped(np.log1p(more / steps[-1]))


def pace(seen: Seen, reference: Reference) -> float:
    """Take the ratio to a reference as it is now."""
    return _clipped(-float(np.log(reference.shares(seen.losses[-1:])[0])))


def pace_followed(seen: Seen, reference: Reference, tail: float) -> float:
    """Follow the ratio to a reference to where the reference was at the target."""
    steps, losses = _tail(seen, tail)
    shares = np.log(reference.shares(losses))
    ratios = np.log(steps) - shares
    if np.ptp(shares) < 1e-6:
        return pace(seen, reference)
    slope, last = _line(shares, ratios)
    return _clipped(last - slope * shares[-1] - np.log(steps[-1]))


def _tail(seen: Seen, share: float) -> tuple[Floats, Floats]:
    first = int(np.searchsorted(seen.steps, (1.0 - share) * seen.steps[-1]))
    first = min(first, max(0, len(seen.steps) - FEWEST))
    return seen.steps[first:], seen.losses[first:]


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope of a line through points, and its value at the last one."""
    centred = x - x.mean()
    slope = float(centred @ y / max(centred @ centred, 1e-18))
    return slope, float(y.mean() + slope * centred[-1])


def _clipped(value: float) -> float:
    return float(np.clip(value, 0.0, FURTHEST)) if np.isfinite(value) else FURTHEST
