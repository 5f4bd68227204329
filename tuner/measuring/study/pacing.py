"""The fastest way over a grid, found on its first points, whose losses are kept.

Which way wins follows from model and device alone: stacked weights lose on a CPU where
convolutions are grouped, and win where a small network leaves a device idle. A trial costs no
more than by how much the slower ways are slower, on a few points.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

from tuner.measuring.clock import synchronize
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.study.grid import Plane, Point, losses_one_by_one, losses_stacked

LOOP: Final = "loop"
STACKED: Final = "stacked"

WIDTHS: Final = (8, 32, 128)
"""Points side by side, to try; a wider stack only if the narrower one won."""

TURNS: Final = 3
"""Turns of each way; its fastest counts, since the first one warms caches up."""

HOPELESS: Final = 1.5
"""A way that takes so many times as long as the best one after two turns has no third."""

LEAST_POINTS: Final = 400
"""Grids with fewer points are looped over: no trial would pay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of computing losses.

    Args:
        kind: `loop` or `stacked`.
        width: Points at once.
        samples_per_pass: Samples of a forward pass.
    """

    kind: str
    width: int
    samples_per_pass: int

    def losses(self, plane: Plane, points: Sequence[Point]) -> list[float]:
        """Compute the losses of at most `width` points."""
        compute = losses_stacked if self.kind == STACKED else losses_one_by_one
        return compute(plane, points, samples_per_pass=self.samples_per_pass)


def losses_on(
    plane: Plane, points: Sequence[Point], *, samples_per_pass: int
) -> tuple[list[float], Way]:
    """Compute the losses of all points the fastest way that was found.

    Args:
        plane: Where they lie.
        points: All of them.
        samples_per_pass: Samples of a forward pass of the plain loop.

    Returns:
        Losses in the order of the points, and the way most of them were computed.
    """
    walk = _Walk(plane, points)
    samples = min(samples_per_pass, plane.num_samples)
    way = Way(kind=LOOP, width=1, samples_per_pass=samples)
    if len(points) >= LEAST_POINTS:
        way = walk.fastest(way)
    while walk.left:
        walk.take(way)
    return walk.losses, way


def _seconds(device: torch.device) -> float:
    """Read the clock that ways are compared by.

    On a CPU that is the time this thread has run, which others on a busy machine do not lengthen.
    It takes its share in everything that torch spreads over threads, so a way that spreads better
    is faster by it as well. Other devices are waited for, by the wall's clock.
    """
    if device.type == "cpu":
        return time.thread_time()
    synchronize(device)
    return time.perf_counter()


def _pace(tried: tuple[Way, float]) -> float:
    return tried[1]


class _Walk:
    """Goes over the points once; every turn of a trial takes the next ones."""

    def __init__(self, plane: Plane, points: Sequence[Point]) -> None:
        self.plane = plane
        self.losses: list[float] = []
        self._points = points

    @property
    def left(self) -> int:
        return len(self._points) - len(self.losses)

    def take(self, way: Way) -> float:
        """Compute the next points, and tell the seconds that each took (`_seconds`)."""
        start = len(self.losses)
        points = self._points[start : start + way.width]
        device = self.plane.chosen.bench.device
        began = _seconds(device)
        self.losses += way.losses(self.plane, points)
        return (_seconds(device) - began) / len(points)

    def fastest(self, plain: Way) -> Way:
        """Try loops first, then stacks as long as they win."""
        best, seconds = plain, self._tried(plain, math.inf)
        whole = replace(plain, samples_per_pass=self.plane.num_samples)
        if whole != plain:
            best, seconds = min((best, seconds), (whole, self._tried(whole, seconds)), key=_pace)
        for width in WIDTHS:
            stacked = Way(kind=STACKED, width=width, samples_per_pass=best.samples_per_pass)
            paced = self._tried(stacked, seconds)
            if paced >= seconds:
                break
            best, seconds = stacked, paced
        return best

    def _tried(self, way: Way, best: float) -> float:
        fastest = math.inf
        try:
            for turn in range(TURNS):
                fastest = min(fastest, self.take(way))
                if turn and fastest > HOPELESS * best:
                    break
        except Exception as error:
            # A model that cannot be mapped raises whatever it likes. The plain loop, which
            # comes first, lets every error out.
            if best == math.inf:
                raise
            forget(error)
            fastest = math.inf
            if is_out_of_memory(error):
                release(self.plane.chosen.bench.device)
        return fastest
