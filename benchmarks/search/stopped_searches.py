"""Whole searches on the recorded grids, with trials that are stopped, or would have been."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.search.beginnings import Runs
from benchmarks.search.card import CARDS
from benchmarks.search.draw import Draw, draw
from benchmarks.search.foreseen import Foresight
from benchmarks.search.grid import Grid, load
from benchmarks.search.ours import spec_of
from benchmarks.search.peers.largest_batch import default_cell
from benchmarks.search.regret import judge
from benchmarks.search.stopping import Rule, StoppingWorld, Trial
from benchmarks.search.workloads import BY_NAME
from tuner.errors import TunerError
from tuner.recommendation import Recommendation
from tuner.tune import tune

GOOD: Final = 1.05
"""A run or a cell is truly good within 5 % of the best."""

Flags = npt.NDArray[np.bool_]

Method = tuple[str, Foresight, float]
"""Name of a method, its constants, and the quantile that its rule stops by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One workload on one card.

    Args:
        path: File of the grid.
        card: Name of the card.
    """

    path: Path
    card: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one whole search came to.

    Args:
        workload: Name of the grid.
        card: Name of the card.
        repeat: Which draw of seeds.
        budget: In oracle-runs.
        rule: By which trials were stopped, as `name_of` says it.
        log_regret: ln of the time of its answer over the oracle's, on the scoring seeds.
        close: Whether that is within 5 %.
        trials: Of the search.
        failed: Whether there was no rate, and batch 32 at the default rate stands in.
    """

    workload: str
    card: str
    repeat: int
    budget: int
    rule: str
    log_regret: float
    close: bool
    trials: int
    failed: bool


def stops(
    task: Task, *, rules: Sequence[Method], budget: int, repeats: int
) -> list[dict[str, Any]]:
    """Note where each rule would have stopped the trials of searches that knew nothing of it.

    Args:
        task: The workload and card.
        rules: What is looked at.
        budget: Of the searches, in oracle-runs.
        repeats: How many draws of seeds.

    Returns:
        For each rule and search, sums over its trials.
    """
    grid, runs = _grid(task.path), _runs(task)
    good_cells = runs.log_mean <= runs.log_mean.min() + math.log(GOOD)
    watching = tuple(Rule(foresight=method[1], quantile=method[2]) for method in rules)
    noted = []
    for repeat in range(repeats):
        world, answer = _search(task, draw(repeat, len(grid.seeds)), budget, watching=watching)
        if answer is None:
            continue
        spent = answer.spending.device_seconds
        for place, (name, _, quantile) in enumerate(rules):
            noted.append({
                "workload": grid.name,
                "method": name,
                "quantile": quantile,
                "all_seconds": spent,
                **_of_rule(world.trials, place, good_cells),
            })  # fmt: skip
    return noted


def _of_rule(trials: Sequence[Trial], place: int, good_cells: Flags) -> dict[str, float]:
    """Add up what one rule would have made of the trials of a search."""
    costs = [trial.stopped_seconds[place] for trial in trials]
    pairs = list(zip(trials, costs, strict=True))
    good = [c for t, c in pairs if t.seconds <= GOOD * t.incumbent_seconds]
    of_good = [c for t, c in pairs if good_cells[t.cell.batch_index, t.cell.rate_index]]
    return {
        "search_seconds": sum(trial.cost_seconds for trial in trials),
        "stopped_seconds": sum(t.cost_seconds if c is None else c for t, c in pairs),
        "trials": len(trials),
        "stopped": sum(cost is not None for cost in costs),
        "good_runs": len(good),
        "good_runs_stopped": sum(cost is not None for cost in good),
        "runs_of_good_cells": len(of_good),
        "runs_of_good_cells_stopped": sum(cost is not None for cost in of_good),
    }


def searches(
    task: Task,
    *,
    rules: Sequence[Rule],
    budgets: Sequence[int],
    repeats: int,
) -> list[Found]:
    """Run searches that stop their trials, and the same ones that do not.

    Args:
        task: The workload and card.
        rules: When to stop, each in searches of its own.
        budgets: In oracle-runs.
        repeats: How many draws of seeds.
    """
    grid, runs = _grid(task.path), _runs(task)
    rows = []
    for repeat in range(repeats):
        drawn = draw(repeat, len(grid.seeds))
        judged = judge(grid, runs.card, drawn)
        fallback = default_cell(grid, str(BY_NAME[grid.name].training["optimizer"]["kind"]))
        for budget in budgets:
            for rule in (None, *rules):
                _, answer = _search(task, drawn, budget, rule=rule)
                rate = None if answer is None else answer.learning_rate
                cell = fallback
                if answer is not None and rate is not None:
                    cell = grid.cell(answer.global_batch_size, rate)
                regret = judged.regret(cell)
                rows.append(
                    Found(
                        workload=grid.name,
                        card=task.card,
                        repeat=repeat,
                        budget=budget,
                        rule=name_of(rule),
                        log_regret=float(np.log1p(regret)),
                        close=regret <= GOOD - 1.0,
                        trials=0 if answer is None else answer.spending.search_trials,
                        failed=rate is None,
                    )
                )
    return rows


def name_of(rule: Rule | None) -> str:
    """Say what a search learned of stopped trials, and the quantile that its rule stops by."""
    return "nothing" if rule is None else f"{rule.telling} {rule.quantile}"


def _search(
    task: Task,
    drawn: Draw,
    budget: int,
    *,
    rule: Rule | None = None,
    watching: tuple[Rule, ...] = (),
) -> tuple[StoppingWorld, Recommendation | None]:
    """Run one job; without a rule its trials are those of every job."""
    grid, runs = _grid(task.path), _runs(task)
    world = StoppingWorld(grid=grid, card=runs.card, drawn=drawn, rule=rule, watching=watching)
    workload = BY_NAME[grid.name]
    spec = spec_of(
        grid,
        {"model": workload.model, "dataset": workload.dataset, "training": workload.training},
        sampler="physics_gp",
        budget_seconds=budget * judge(grid, runs.card, drawn).oracle_seconds,
        seed=drawn.repeat,
    )
    try:
        return world, tune(spec, measure=world.measure)
    except TunerError:
        return world, None


@cache
def _grid(path: Path) -> Grid:
    return load(path)


@cache
def _runs(task: Task) -> Runs:
    card = next(card for card in CARDS if card.name == task.card)
    return Runs(grid=_grid(task.path), card=card)
