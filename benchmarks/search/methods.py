"""The methods that are compared, by name: one line each.

A method runs one repeat and gives its advice at every budget. Anytime methods search once, up
to the largest budget, and are asked along the way; the others plan for a budget and are run
once for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from benchmarks.search import ours
from benchmarks.search.card import CARDS, Card
from benchmarks.search.draw import Draw
from benchmarks.search.grid import Grid
from benchmarks.search.peers import (
    keep_top,
    largest_batch,
    lightning_found,
    optuna_tpe,
    random_search,
    ray_asha,
)
from benchmarks.search.peers.rig import Rig
from benchmarks.search.trail import Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One repeat of one workload on one card.

    Args:
        path: File of the grid.
        grid: What was recorded.
        card: What it costs.
        drawn: Which seeds search and which score.
        parts: `model`, `dataset` and `training` of the spec.
        horizon_seconds: Training seconds after which an uncapped run is given up.
        budgets: Device seconds, ascending.
    """

    path: Path
    grid: Grid
    card: Card
    drawn: Draw
    parts: Mapping[str, Any]
    horizon_seconds: float
    budgets: Sequence[float]

    @property
    def optimizer(self) -> str:
        """Kind of the workload's optimizer."""
        return str(self.parts["training"]["optimizer"]["kind"])

    def rig(self, budget_seconds: float) -> Rig:
        """Set a peer up with a budget."""
        return Rig(
            grid=self.grid,
            card=self.card,
            drawn=self.drawn,
            horizon_seconds=self.horizon_seconds,
            budget_seconds=budget_seconds,
            rng=np.random.default_rng((self.drawn.repeat, crc32(self.grid.name.encode()))),
        )


Run = Callable[[Trial], list[Advice]]
"""From a repeat to the advice at each of its budgets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to find a batch size and a rate.

    Args:
        name: What reports call it.
        label: What plots call it.
        run: Runs one repeat.
        is_ours: Whether it is batchscout.
        has_horizon: Whether it depends on where uncapped runs are given up.
        source: Module whose text decides what it does, beside the rig.
        is_ready: Whether it can run on a workload, by the workload's name.
    """

    name: str
    label: str
    run: Run
    is_ours: bool = False
    has_horizon: bool = True
    source: str
    is_ready: Callable[[str], bool] = lambda _: True


def anytime(search: Callable[[Rig], None]) -> Run:
    """Make a method of a search that is asked along the way."""

    def run(trial: Trial) -> list[Advice]:
        rig = trial.rig(trial.budgets[-1])
        search(rig)
        return [rig.trail.at(budget) for budget in trial.budgets]

    return run


def planned(search: Callable[[Rig], None]) -> Run:
    """Make a method of a search that has to know its budget."""

    def run(trial: Trial) -> list[Advice]:
        advice = []
        for budget in trial.budgets:
            rig = trial.rig(budget)
            search(rig)
            advice.append(rig.trail.at(budget))
        return advice

    return run


def _ours(trial: Trial, sampler: str) -> list[Advice]:
    return [
        ours.advise(
            trial.grid,
            trial.card,
            trial.drawn,
            trial.parts,
            sampler=sampler,
            budget_seconds=budget,
        )
        for budget in trial.budgets
    ]


def _ray(trial: Trial) -> list[Advice]:
    ray_asha.start()
    return anytime(partial(ray_asha.search, path=trial.path))(trial)


def _untuned(trial: Trial) -> list[Advice]:
    return anytime(partial(largest_batch.untuned, optimizer=trial.optimizer))(trial)


def _default(trial: Trial) -> list[Advice]:
    cell = largest_batch.default_cell(trial.grid, trial.optimizer)
    return [Advice(cell=cell, spent_seconds=0.0) for _ in trial.budgets]


def _lightning(trial: Trial) -> list[Advice]:
    """What Lightning's finders said with the first search seed of the repeat."""
    one = lightning_found.recorded(trial.grid.name, trial.card)[trial.drawn.search[0]]
    cell = None if one.learning_rate is None else trial.grid.cell(one.batch, one.learning_rate)
    advice = Advice(
        cell=cell,
        spent_seconds=one.seconds(trial.card),
        note="found" if cell else "no suggestion",
        out_of_memory=one.out_of_memory,
    )
    return [advice for _ in trial.budgets]


METHODS: Final = (
    *(
        Method(
            name=f"batchscout-{sampler}",
            label=f"batchscout ({sampler})",
            run=partial(_ours, sampler=sampler),
            is_ours=True,
            has_horizon=False,
            source="ours",
        )
        for sampler in ours.samplers()
    ),
    Method(
        name="random",
        label="random search",
        run=anytime(random_search.search),
        source="peers/random_search",
    ),
    Method(
        name="optuna-tpe",
        label="Optuna TPE",
        run=anytime(optuna_tpe.search),
        source="peers/optuna_tpe",
    ),
    Method(
        name="optuna-tpe-capped",
        label="Optuna TPE, capped",
        run=anytime(optuna_tpe.search_capped),
        source="peers/optuna_tpe",
    ),
    Method(
        name="ray-asha-optuna",
        label="Ray Tune ASHA + Optuna",
        run=_ray,
        source="peers/ray_asha",
    ),
    Method(
        name="keep-top",
        label="one epoch, keep the top 3",
        run=planned(keep_top.search),
        source="peers/keep_top",
    ),
    Method(
        name="lightning-finders",
        label="Lightning finders",
        run=_lightning,
        has_horizon=False,
        source="peers/lightning_found",
        is_ready=lambda name: all(lightning_found.recorded(name, card) for card in CARDS),
    ),
    Method(
        name="largest-batch-tuned",
        label="largest batch, rate tuned at 32",
        run=anytime(largest_batch.tuned),
        source="peers/largest_batch",
    ),
    Method(
        name="largest-batch-default",
        label="largest batch, default rate",
        run=_untuned,
        has_horizon=False,
        source="peers/largest_batch",
    ),
    Method(
        name="default",
        label="batch 32, default rate",
        run=_default,
        has_horizon=False,
        source="peers/largest_batch",
    ),
)
"""All of them, ours first."""

BY_NAME: Final = {method.name: method for method in METHODS}
