"""Rounds: who runs on which seed, and who is ahead on the seeds that all have run.

The finalists run the same seeds side by side for a few rounds; a rival that is slower beyond its
paired interval is dropped. What the rounds choose then runs on seeds of its own. Those runs
were not looked at when it was chosen, so they carry nothing of the winner's curse, and they
are what makes the interval of the answer short: see docs/decisions/0010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tuner.deciding.comparison import Contender, separated


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How many confirming runs there are, and of what.

    Args:
        finalists: Configurations that start.
        rounds: Seeds that they run side by side, as far as they are not dropped.
        seeds: Seeds that the chosen one ends with. Fixed beforehand: a number that followed
            from the runs would bias their interval.
    """

    finalists: int
    rounds: int
    seeds: int

    @property
    def runs(self) -> int:
        """Runs at most."""
        return self.finalists * self.rounds + self.seeds - self.rounds


LAYOUTS: Final = tuple(
    Layout(finalists=finalists, rounds=rounds, seeds=seeds)
    for finalists, rounds, seeds in (
        *((4, 3, 6), (4, 3, 5), (4, 3, 4), (3, 3, 6), (3, 3, 5), (3, 3, 4)),
        *((4, 2, 3), (3, 2, 4), (3, 2, 3), (3, 2, 2), (2, 2, 3), (2, 2, 2)),
        *((1, 3, 3), (1, 2, 2)),
    )
)
"""The most wanted first; the last one is run whatever it costs. Two rounds separate nothing by
their interval, but they still choose better than none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the contenders stand after the rounds that are complete.

    Args:
        rounds: Complete rounds.
        alive: Positions that were not dropped, best first.
        dropped: Positions that were, the last dropped first.
    """

    rounds: int
    alive: tuple[int, ...]
    dropped: tuple[int, ...]


def standing(contenders: Sequence[Contender], rounds: int) -> Standing:
    """Play the rounds that were run, and drop who fell behind.

    Contenders are compared on the seeds that all of them have run: the mean of one over seeds
    that another never saw would count the luck of those seeds.

    Args:
        contenders: With their runs by seed.
        rounds: Rounds that count, at most.

    Returns:
        The standing after the last complete round; where there is none, all are alive, ordered
        by whatever they have run.
    """
    alive, dropped = tuple(range(len(contenders))), tuple[int, ...]()
    complete = 0
    while complete < rounds and all(_ran(contenders[one], complete) for one in alive):
        complete += 1
        cut = [until(one, complete) for one in contenders]
        alive = tuple(sorted(alive, key=lambda one: cut[one].rank))
        slower = [one for one in alive[1:] if separated(cut[alive[0]], cut[one])]
        dropped = (*slower, *dropped)
        alive = tuple(one for one in alive if one not in slower)
    if not complete:
        alive = tuple(sorted(alive, key=lambda one: contenders[one].rank))
    return Standing(rounds=complete, alive=alive, dropped=dropped)


def ranked(contenders: Sequence[Contender]) -> list[Contender]:
    """Order contenders, best first: those that were not dropped, then the others.

    Among the former the share of runs that got there counts first, runs on further seeds
    included; then the order of the rounds, whose seeds they share.
    """
    longest = max((len(one.runs) for one in contenders), default=0)
    now = standing(contenders, longest)
    alive = sorted(now.alive, key=lambda one: -contenders[one].share)
    return [contenders[one] for one in (*alive, *now.dropped)]


def until(contender: Contender, seeds: int) -> Contender:
    """Return a contender with only the first of its seeds."""
    return replace(contender, runs=contender.runs[:seeds])


def _ran(contender: Contender, seed: int) -> bool:
    return seed < len(contender.runs) and contender.runs[seed] is not None
