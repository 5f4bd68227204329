"""From rows to what is reported: curves, ceilings, intervals, rates and the grid's own cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.search.card import CARDS, Card
from benchmarks.search.ceiling import pickers
from benchmarks.search.draw import draw
from benchmarks.search.grid import Grid, load
from benchmarks.search.methods import BY_NAME
from benchmarks.search.paired import (
    CLOSE,
    common_repeats,
    interval,
    is_close,
    regret,
    shared,
    table,
)
from benchmarks.search.peers.lightning_found import recorded
from benchmarks.search.regret import GRID_LIMITS, Judge, grid_seconds, judge
from benchmarks.search.rows import BUDGETS, Row
from benchmarks.search.workloads import WORKLOADS

GOOD_RATE: Final = 0.10
"""A rate is good if its time is within 10 % of the best rate's, at its own batch."""


def summary(rows: Sequence[Row], grids: Path) -> dict[str, Any]:
    """Sum up.

    Args:
        rows: Of all methods that were run.
        grids: Folder of the grids.

    Returns:
        `kinds`: for workloads to develop on, for reported ones, and for all; `workloads`: mean
        regret of each; `grid_cost`: of an exhaustive search, in oracle-runs.
    """
    names = {row.workload for row in rows}
    kinds = {
        kind: [w.name for w in WORKLOADS if w.name in names and kind in {w.kind, "all"}]
        for kind in ("dev", "reported", "all")
    }
    repeats = 1 + max(row.repeat for row in rows)
    return {
        "kinds": {
            kind: _kind([row for row in rows if row.workload in members], grids, members, repeats)
            for kind, members in kinds.items()
            if members
        },
        "workloads": {name: _workload(rows, name) for name in sorted(names)},
        "grid_cost": {name: _grid_cost(grids / f"{name}.npz", repeats) for name in sorted(names)},
    }


def _kind(rows: Sequence[Row], grids: Path, members: Sequence[str], repeats: int) -> dict[str, Any]:
    ceiling = _ceiling([grids / f"{name}.npz" for name in members], repeats)
    top = ceiling["truth"]["share_close"]
    return {
        "workloads": list(members),
        "perfect_pickers": ceiling,
        "limits": {limit: _curves(rows, limit, top) for limit in GRID_LIMITS},
        "rates": _rates(rows, members),
    }


def _curves(rows: Sequence[Row], limit: str, top: float) -> dict[str, Any]:
    """Each method's curve under one limit, and ours against each peer."""
    chosen = [row for row in rows if row.limit == limit or not BY_NAME[row.method].has_horizon]
    by_method: dict[str, dict[int, list[Row]]] = {}
    for row in chosen:
        by_method.setdefault(row.method, {}).setdefault(row.budget, []).append(row)
    return {
        "methods": {
            name: {str(budget): _point(by_budget[budget], top) for budget in BUDGETS}
            for name, by_budget in by_method.items()
        },
        "ours_against_peers": {
            str(budget): _against(
                {name: by_budget[budget] for name, by_budget in by_method.items()}
            )
            for budget in BUDGETS
        },
    }


def _point(rows: Sequence[Row], top: float) -> dict[str, Any]:
    """One method at one budget."""
    close = interval(table(rows, is_close))
    notes = sorted({row.note for row in rows})
    return {
        "share_close": close.plain(),
        "share_of_ceiling": round(close.mean / top, 4) if top else None,
        "mean_regret": interval(table(rows, regret)).plain(),
        "median_regret": round(float(np.median([row.regret for row in rows])), 4),
        "mean_regret_to_best": round(float(np.mean([row.regret_to_best for row in rows])), 4),
        "worst_workload_regret": round(float(table(rows, regret).mean(axis=1).max()), 4),
        "failures": round(float(np.mean([row.failed for row in rows])), 4),
        "spent_share": round(float(np.mean([row.spent_share for row in rows])), 4),
        "overspent": round(float(np.mean([row.spent_share > 1.02 for row in rows])), 4),
        "trials": round(float(np.mean([row.trials for row in rows])), 1),
        "out_of_memory": sum(row.out_of_memory for row in rows),
        "rate_good": round(float(np.mean([row.rate_regret <= GOOD_RATE for row in rows])), 4),
        "notes": {
            note: round(float(np.mean([row.note == note for row in rows])), 4)
            for note in notes
            if note
        },
        "repeats": len(common_repeats(rows)),
    }


def _against(rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Ours less each peer, on the repeats of the workloads that both have run.

    `peer` is the strongest: the one that ours are least ahead of in mean regret.
    """
    peers = [name for name in rows if not BY_NAME[name].is_ours]
    mine = [name for name in rows if BY_NAME[name].is_ours]
    if not peers or not mine:
        return {}
    found: dict[str, Any] = {
        name: {peer: _difference(rows[name], rows[peer]) for peer in peers} for name in mine
    }
    ahead = {peer: found[mine[0]][peer]["regret_difference"][0] for peer in peers}
    return {"peer": max(ahead, key=lambda peer: ahead[peer]), **found}


def _difference(ours: Sequence[Row], theirs: Sequence[Row]) -> dict[str, Any]:
    mine, its = shared(ours, theirs)
    return {
        "regret_difference": interval(table(mine, regret) - table(its, regret)).plain(),
        "share_difference": interval(table(mine, is_close) - table(its, is_close)).plain(),
        "workloads": len({row.workload for row in mine}),
        "repeats": len(common_repeats(mine)),
    }


def _ceiling(paths: Sequence[Path], repeats: int) -> dict[str, Any]:
    """What perfect pickers reach on the same draws."""
    regrets: dict[str, list[float]] = {}
    to_best: dict[str, list[float]] = {}
    for judged in (one for path in paths for card in CARDS for one in _judges(path, card, repeats)):
        for name, cell in pickers(judged).items():
            regrets.setdefault(name, []).append(judged.regret(cell))
            to_best.setdefault(name, []).append(judged.regret_to_best(cell))
    return {
        name: {
            "share_close": round(float(np.mean(np.array(values) <= CLOSE)), 4),
            "mean_regret": round(float(np.mean(values)), 4),
            "share_close_to_best": round(float(np.mean(np.array(to_best[name]) <= CLOSE)), 4),
        }
        for name, values in regrets.items()
    }


def _rates(rows: Sequence[Row], members: Sequence[str]) -> dict[str, Any]:
    """Largest over smallest recommended rate, over repeats; beside Lightning's over seeds."""
    spreads: dict[str, Any] = {}
    for name in sorted({row.method for row in rows if BY_NAME[row.method].is_ours}):
        for budget in BUDGETS:
            groups: dict[tuple[str, str], list[float]] = {}
            for row in rows:
                if row.method == name and row.budget == budget:
                    groups.setdefault((row.workload, row.card), []).append(row.learning_rate)
            spreads.setdefault(name, {})[str(budget)] = _spread(groups.values())
    lightning = [
        [one.learning_rate for one in recorded(name, card) if one.learning_rate is not None]
        for name in members
        for card in CARDS
    ]
    return {"spread": spreads, "spread_of_lightning_lr_find": _spread(filter(None, lightning))}


def _spread(groups: Any) -> dict[str, float]:
    ratios = [max(rates) / min(rates) for rates in groups]
    if not ratios:
        return {}
    return {"median": round(float(np.median(ratios)), 2), "largest": round(max(ratios), 2)}


def _workload(rows: Sequence[Row], name: str) -> dict[str, Any]:
    """Mean regret of each method at each budget, under the first limit."""
    limit = next(iter(GRID_LIMITS))
    chosen = [row for row in rows if row.workload == name and row.limit == limit]
    return {
        method: [
            round(
                float(
                    np.mean([r.regret for r in chosen if r.method == method and r.budget == budget])
                ),
                4,
            )
            for budget in BUDGETS
        ]
        for method in sorted({row.method for row in chosen})
    }


def _grid_cost(path: Path, repeats: int) -> dict[str, Any]:
    """Oracle-runs of an exhaustive search by card and limit, and what share the budgets are."""
    costs: dict[str, Any] = {}
    for card in CARDS:
        for limit, factor in GRID_LIMITS.items():
            runs = [
                grid_seconds(
                    _grid(path),
                    card,
                    draw(index, len(_grid(path).seeds)),
                    factor * judged.reference_seconds,
                )
                / judged.oracle_seconds
                for index, judged in enumerate(_judges(path, card, repeats))
            ]
            mean = float(np.mean(runs))
            costs.setdefault(card.name, {})[limit] = {
                "oracle_runs": round(mean, 1),
                "share_of_budgets": [round(budget / mean, 4) for budget in BUDGETS],
            }
    return costs


@cache
def _grid(path: Path) -> Grid:
    return load(path)


@cache
def _judges(path: Path, card: Card, repeats: int) -> list[Judge]:
    grid = _grid(path)
    return [judge(grid, card, draw(repeat, len(grid.seeds))) for repeat in range(repeats)]
