"""Runs methods on grids, repeat by repeat, and keeps every row so that a bench can go on.

What a row depends on is digested with it: the grid's file, the text of the bench, and for ours
the text of the tuner. A row of another digest is not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from benchmarks.search.card import CARDS
from benchmarks.search.draw import draw
from benchmarks.search.grid import Grid, load
from benchmarks.search.methods import BY_NAME, Method, Trial
from benchmarks.search.peers.largest_batch import default_cell
from benchmarks.search.peers.lightning_found import RESULTS as LIGHTNING_RESULTS
from benchmarks.search.regret import GRID_LIMITS, Judge, judge
from benchmarks.search.trail import Advice
from benchmarks.search.workloads import BY_NAME as WORKLOADS

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "build" / "search" / "rows"
"""Where rows are kept; git does not see it."""

BUDGETS: Final = (8, 12, 20, 30, 45)
"""In oracle-runs: the oracle's mean training seconds to the target."""

RIG: Final = ("card", "draw", "grid", "methods", "regret", "rows", "trail", "peers/rig")
"""Modules of the bench that every row depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All repeats of one method on one workload and card.

    Args:
        path: File of the grid.
        card: Name of the card.
        method: Name of the method.
        limit: Key of `GRID_LIMITS`: where uncapped runs are given up.
        repeats: How many draws of seeds.
    """

    path: Path
    card: str
    method: str
    limit: str
    repeats: int

    @property
    def file(self) -> Path:
        """Where its rows are kept."""
        limit = self.limit.replace("/", "-")
        return FOLDER / f"{self.path.stem}.{self.card}.{self.method}.{limit}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one method advised at one budget in one repeat.

    Args:
        workload: Name of the workload.
        card: Name of the card.
        method: Name of the method.
        limit: Where uncapped runs were given up.
        repeat: Which draw of seeds.
        budget: In oracle-runs.
        batch: Recommended global batch size; that of the fallback where there was none.
        learning_rate: Recommended rate, as recorded in the grid.
        regret: Time over the oracle's, less one, on the scoring seeds.
        regret_to_best: The same against the best cell of the scoring seeds.
        rate_regret: The same against the best rate of the recommended batch.
        failed: Whether there was no answer, and the fallback stands in.
        note: Kind of answer.
        spent_share: Device seconds over the budget.
        out_of_memory: How often it ran out of memory; of peers, how often one pass would have.
        trials: Configurations that were tried.
    """

    workload: str
    card: str
    method: str
    limit: str
    repeat: int
    budget: int
    batch: int
    learning_rate: float
    regret: float
    regret_to_best: float
    rate_regret: float
    failed: bool
    note: str
    spent_share: float
    out_of_memory: int
    trials: int


def run(task: Task) -> list[Row]:
    """Give the rows of a task: kept ones where nothing has changed, new ones else."""
    digest = digest_of(task)
    kept = _kept(task, digest)
    first = len(kept) // len(BUDGETS)
    if first >= task.repeats:
        return kept[: task.repeats * len(BUDGETS)]
    grid = load(task.path)
    rows = [*kept]
    for repeat in range(first, task.repeats):
        rows += _repeat(task, grid, repeat)
    task.file.parent.mkdir(parents=True, exist_ok=True)
    task.file.write_text(json.dumps({"digest": digest, "rows": [asdict(row) for row in rows]}))
    return rows


def digest_of(task: Task) -> str:
    """Digest all that the rows of a task depend on."""
    method = BY_NAME[task.method]
    names = [*RIG, method.source, *(["world"] if method.is_ours else [])]
    files = [task.path, *(Path(__file__).parent / f"{name}.py" for name in names)]
    if method.is_ours:
        files += _tuner_files()
    if method.name == "lightning-finders":
        files.append(LIGHTNING_RESULTS)
    return _digest(tuple(files))


def _repeat(task: Task, grid: Grid, repeat: int) -> list[Row]:
    card = next(card for card in CARDS if card.name == task.card)
    drawn = draw(repeat, len(grid.seeds))
    judged = judge(grid, card, drawn)
    recorded = WORKLOADS[grid.name]
    trial = Trial(
        path=task.path,
        grid=grid,
        card=card,
        drawn=drawn,
        parts={
            "model": recorded.model,
            "dataset": recorded.dataset,
            "training": recorded.training,
        },
        horizon_seconds=GRID_LIMITS[task.limit] * judged.reference_seconds,
        budgets=[budget * judged.oracle_seconds for budget in BUDGETS],
    )
    advice = BY_NAME[task.method].run(trial)
    return [
        _row(task, trial, judged, budget, one) for budget, one in zip(BUDGETS, advice, strict=True)
    ]


def _row(task: Task, trial: Trial, judged: Judge, budget: int, advice: Advice) -> Row:
    cell = advice.cell or default_cell(trial.grid, trial.optimizer)
    return Row(
        workload=trial.grid.name,
        card=task.card,
        method=task.method,
        limit=task.limit,
        repeat=trial.drawn.repeat,
        budget=budget,
        batch=trial.grid.batch(cell),
        learning_rate=trial.grid.rate(cell),
        regret=judged.regret(cell),
        regret_to_best=judged.regret_to_best(cell),
        rate_regret=judged.rate_regret(cell),
        failed=advice.cell is None,
        note=advice.note,
        spent_share=advice.spent_seconds / (budget * judged.oracle_seconds),
        out_of_memory=advice.out_of_memory,
        trials=advice.trials,
    )


def _kept(task: Task, digest: str) -> list[Row]:
    if not task.file.exists():
        return []
    stored: dict[str, Any] = json.loads(task.file.read_text())
    return [Row(**row) for row in stored["rows"]] if stored["digest"] == digest else []


def _tuner_files() -> list[Path]:
    """Everything of the tuner that decides."""
    folder = ROOT / "tuner"
    return [
        *sorted((folder / "deciding").rglob("*.py")),
        *(folder / f"{name}.py" for name in ("curve", "spec", "tune", "tuning")),
    ]


@cache
def _digest(files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def methods(names: Sequence[str]) -> list[Method]:
    """Return methods by name, in the order of the registry; all of them where none is named."""
    return [method for method in BY_NAME.values() if not names or method.name in names]
