"""One document of the lines: time to target of every pick, beside the coarse grid's best.

A pick that missed on some seed has no mean time: what is told is the seconds spent for each
success, where a miss costs as many as it was given, and how many missed. Ratios are paired by
seed; where either missed, the seconds it was given stand in, and the ratio is a bound.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.search.on_card.ledger import SETTING, lines_of
from benchmarks.search.on_card.picks import GRID, GRID_SECOND
from tuner.deciding.comparison import interval

COMMAND: Final = "python benchmarks/search/gpu.py --workload resnet|vit|gpt"
NOT_RUN: Final = "not yet run: no card was at hand"
BEST_OF_GRID: Final = "coarse-grid-best"

Plain = Mapping[str, Any]


def collect(sources: Sequence[Path], result: Path) -> dict[str, Any]:
    """Read lines and write the document.

    Args:
        sources: Files of lines; later ones replace what earlier ones know by the same key.
        result: Where the document goes.

    Returns:
        The document.
    """
    known: dict[str, dict[str, Any]] = {}
    for source in sources:
        for line in lines_of(source):
            known.setdefault(line["workload"], {})[line["key"]] = line["value"]
    rows = [workload_row(name, values) for name, values in known.items() if "reference" in values]
    document = {
        "bench": "search-gpu",
        "command": COMMAND,
        "status": status(rows),
        "workloads": rows,
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def status(rows: Sequence[Plain]) -> str:
    """Say what the rows were measured on; stand-ins and processors are not a card."""
    if not rows:
        return NOT_RUN
    settings = [row["setting"] for row in rows]
    if any(setting["tiny"] or not setting["device"].startswith("cuda") for setting in settings):
        return "stand-ins or no card: these figures say nothing of a card"
    return f"run on {', '.join(sorted({setting['device'] for setting in settings}))}"


def workload_row(name: str, values: Plain) -> dict[str, Any]:
    """Report one workload."""
    found = {
        key.removeprefix("pick/"): pick_row(pick, scores_of(values, key.removeprefix("pick/")))
        for key, pick in values.items()
        if key.startswith("pick/")
    }
    best = best_of_grid(found)
    for row in found.values():
        row["over_coarse_grid"] = ratio(row["scores"], best["scores"]) if best else None
    return {
        "workload": name,
        "setting": values[SETTING],
        "reference": values["reference"],
        BEST_OF_GRID: best["method"] if best else None,
        "picks": list(found.values()),
    }


def pick_row(pick: Plain, scores: Sequence[Plain]) -> dict[str, Any]:
    """Report one pick with its scored runs."""
    times = [score["seconds"] for score in scores]
    reached = [seconds for seconds in times if seconds is not None]
    return {
        **pick,
        "runs": len(times),
        "runs_reached": len(reached),
        "time_to_target_seconds": mean_of(reached) if len(reached) == len(times) else None,
        "seconds_per_success": sum(map(_given, scores)) / len(reached) if reached else None,
        "wall_seconds": mean_of([s["wall_seconds"] for s in scores if s["seconds"] is not None]),
        "scores": list(scores),
    }


def scores_of(values: Plain, method: str) -> list[Plain]:
    """Return the scored runs of a method in the order of their seeds."""
    prefix = f"score/{method}/"
    found = [score for key, score in values.items() if key.startswith(prefix)]
    return sorted(found, key=lambda score: score["seed"])


def best_of_grid(found: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Choose the better of the grid's two by the scored seeds, which is kind to the grid."""
    rows = [found[name] for name in (GRID, GRID_SECOND) if name in found and found[name]["runs"]]
    return min(rows, key=_order) if rows else None


def ratio(scores: Sequence[Plain], others: Sequence[Plain]) -> dict[str, Any] | None:
    """Compare two picks on the seeds that both were scored on: geometric mean and interval."""
    there = {other["seed"]: other for other in others}
    pairs = [(score, there[score["seed"]]) for score in scores if score["seed"] in there]
    if not pairs:
        return None
    found = mean_of([_given(one) / _given(other) for one, other in pairs])
    missed = [[side["seconds"] is None for side in pair] for pair in pairs]
    return {
        **(found or {}),
        "pairs": len(pairs),
        "is_at_least": any(one for one, _ in missed) and not any(other for _, other in missed),
        "is_at_most": any(other for _, other in missed) and not any(one for one, _ in missed),
        "is_unclear": any(one for one, _ in missed) and any(other for _, other in missed),
    }


def mean_of(values: Sequence[float]) -> dict[str, float | None] | None:
    """Return the geometric mean with its 95 % t-interval; None of nothing."""
    if not values:
        return None
    logarithms = [math.log(value) for value in values]
    if len(values) == 1:
        return {"estimate": values[0], "low": None, "high": None}
    mean, low, high = (math.exp(value) for value in interval(logarithms))
    return {"estimate": mean, "low": low, "high": high}


def _given(score: Plain) -> float:
    seconds = score["seconds"]
    return float(score["given_up_seconds"] if seconds is None else seconds)


def _order(row: Plain) -> tuple[float, float]:
    spent = row["seconds_per_success"]
    return -row["runs_reached"] / row["runs"], math.inf if spent is None else spent
