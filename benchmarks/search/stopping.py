"""A search on a recorded grid whose trials are stopped once they are foreseen to be too slow.

At every evaluation of a trial the laws of `curve_laws.py` are read against the fastest run that
the job has seen reach the target. The trial is stopped as soon as all but a small share of what
is foreseen lies beyond `WORTH` times the incumbent that the present rule cuts by.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from benchmarks.search.beginnings import raw_of
from benchmarks.search.curve_laws import Reference, Seen
from benchmarks.search.foreseen import Foresight
from benchmarks.search.grid import Cell
from benchmarks.search.world import GridWorld
from tuner.deciding.limits import SEARCH_LIMIT
from tuner.records import Outcome, TrainingResult, TrainingRun

WORTH: Final = 1.10
"""A trial is of interest if it may come within 10 % of the incumbent."""

EARLIEST: Final = 0.2
LATEST: Final = 0.7
"""Nothing is stopped before the one share of the incumbent's time and after the other: constants
are fitted from a quarter to there."""

Telling = Literal["cut", "bound"]
"""What the search learns of a stop: where the trial was cut, or the bound that the time to the
target is foreseen to exceed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to stop a trial.

    Args:
        foresight: What says where a trial will end.
        quantile: Share of trials that may be faster than the bound.
        telling: What the search learns of it.
    """

    foresight: Foresight
    quantile: float
    telling: Telling = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial of a search by the present rule, and what other rules would have made of it.

    Args:
        incumbent_seconds: Expected time of the best, by which the present rule cuts.
        seconds: To the target, had it run on; infinite where the recording ends before.
        cell: What was tried.
        cost_seconds: What the present rule pays, evaluations included.
        stopped_seconds: What each watching rule pays; None where it would not have stopped it.
    """

    incumbent_seconds: float
    seconds: float
    cell: Cell
    cost_seconds: float
    stopped_seconds: tuple[float | None, ...]


@dataclass(slots=True, kw_only=True)
class StoppingWorld(GridWorld):
    """The replay, with trials stopped by a rule, or watched by several.

    Args:
        rule: When to stop; None where trials run as in every job.
        watching: Rules that only note what they would have done.
        trials: Trials so far, where there are such rules.
    """

    rule: Rule | None = None
    watching: tuple[Rule, ...] = ()
    trials: list[Trial] = field(default_factory=list)
    _reached: list[tuple[float, int, Reference]] = field(default_factory=list)

    def _train(self, request: TrainingRun) -> TrainingResult:
        result = GridWorld._train(self, request)  # noqa: SLF001 - its own base class
        if self.rule is None and not self.watching:
            return result
        cell = self.grid.cell(request.plan.global_batch_size, request.learning_rate)
        if request.id.startswith("search-"):
            if self.watching:
                self.trials.append(self._watched(request, result, cell))
            if self.rule is not None:
                result = self._stopped(request, result, cell, self.rule)
        if result.outcome is Outcome.REACHED and result.crossing_steps is not None:
            seen = Seen.of(result.curve, float(self.grid.meta["initial_loss"]))
            reference = Reference(seen=seen, crossing=result.crossing_steps)
            one = self.card.step_seconds(self.grid.batch(cell))
            self._reached.append((result.crossing_steps * one, cell.batch_index, reference))
        return result

    def _stopped(
        self, request: TrainingRun, result: TrainingResult, cell: Cell, rule: Rule
    ) -> TrainingResult:
        """Stop a trial if the rule says so."""
        found = self._stop(request, result, cell, rule)
        if found is None:
            return result
        stopped = self._cut(request, cell, found[0])
        return stopped if rule.telling == "cut" else dataclasses.replace(stopped, steps=max(found))

    def _watched(self, request: TrainingRun, result: TrainingResult, cell: Cell) -> Trial:
        """Note what the watching rules would have made of a trial."""
        found = [self._stop(request, result, cell, rule) for rule in self.watching]
        crossing = self.grid.crossings[
            cell.batch_index, cell.rate_index, self._seed_index(request.seed)
        ]
        return Trial(
            incumbent_seconds=self._incumbent_seconds(request, cell),
            seconds=float(crossing) * self.card.step_seconds(self.grid.batch(cell)),
            cell=cell,
            cost_seconds=result.device_seconds,
            stopped_seconds=tuple(
                None if one is None else self._cut(request, cell, one[0]).device_seconds
                for one in found
            ),
        )

    def _cut(self, request: TrainingRun, cell: Cell, step: int) -> TrainingResult:
        seed_index = self._seed_index(request.seed)
        return self.grid.train(
            cell, seed_index, max_steps=step, card=self.card, target=request.target
        )

    def _incumbent_seconds(self, request: TrainingRun, cell: Cell) -> float:
        """What the present rule takes for the best time: it cuts at a multiple of it."""
        return request.max_steps * self.card.step_seconds(self.grid.batch(cell)) / SEARCH_LIMIT

    def _stop(
        self, request: TrainingRun, result: TrainingResult, cell: Cell, rule: Rule
    ) -> tuple[int, int] | None:
        """Find the first evaluation at which a trial is stopped.

        Returns:
            Its step, and the step that the target is foreseen to lie beyond; None if the trial is
            not stopped.
        """
        if not self._reached:
            return None
        best = min(self._reached, key=lambda known: known[0])[2]
        same = [known for known in self._reached if known[1] == cell.batch_index]
        beside = min(same, key=lambda known: known[0])[2] if same else None
        whole = Seen.of(result.curve, float(self.grid.meta["initial_loss"]))
        one = self.card.step_seconds(self.grid.batch(cell))
        incumbent = self._incumbent_seconds(request, cell)
        limit = math.log(WORTH * incumbent / one)
        for step in whole.steps:
            share = step * one / incumbent
            if not EARLIEST <= share <= LATEST or step >= result.steps:
                continue
            raw = raw_of(whole.until(step), self.grid.target, best, beside)
            if not raw:
                continue
            columns = {law: np.array([value]) for law, value in raw.items()}
            ahead = float(rule.foresight.bound(columns, rule.quantile)[0])
            if math.log(step) + ahead > limit:
                return int(step), math.ceil(step * math.exp(ahead))
        return None
