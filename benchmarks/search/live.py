"""Whole searches, trained for real, held against the same searches on the recorded grids.

    python benchmarks/search/live.py [--workloads NAME ...] [--draws N]

Each search is run twice with the same seeds and rates: once answered from the recording, once
trained by the measuring that every job uses (`live_world.py`). Three variants, from the closest
to the freest:

- `as_recorded`: seconds of the cards on paper, limits between two evaluations interpolated as
  the recording has to; what parts the two is rounding alone;
- `cards`: the same, but a limit is evaluated, as every job does it;
- `own_clock`: the machine's own inspection, memory, timing and seconds.

Writes `results/search-live.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402 - threads are counted before NumPy and torch start theirs

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.search.card import CARDS, Card  # noqa: E402
from benchmarks.search.draw import Draw, draw  # noqa: E402
from benchmarks.search.grid import Grid, load  # noqa: E402
from benchmarks.search.live_world import LiveWorld, Twins  # noqa: E402
from benchmarks.search.ours import spec_of  # noqa: E402
from benchmarks.search.own_clock import ToldWorld, run_seconds, time_passes, timed_card  # noqa: E402
from benchmarks.search.prepare_data import FOLDER, prepare  # noqa: E402
from benchmarks.search.regret import Judge, judge  # noqa: E402
from benchmarks.search.workloads import BY_NAME, Recorded  # noqa: E402
from benchmarks.search.world import GridWorld  # noqa: E402
from tuner.measuring.dispatch import Measuring  # noqa: E402
from tuner.places import Places  # noqa: E402
from tuner.recommendation import Recommendation  # noqa: E402
from tuner.records import Measurement, Request, TrainingResult, TrainingRun  # noqa: E402
from tuner.tune import tune  # noqa: E402

RESULTS: Final = ROOT / "benchmarks" / "results"
CHOSEN: Final = ("digits-mlp-sgd", "code-transformer-adam")
BUDGET: Final = 20
"""In oracle-runs."""

VARIANTS: Final = ("as_recorded", "cards", "own_clock")
SAMPLER: Final = "physics_gp"
SAME_RATE: Final = 1e-6
"""Rates that differ by less than this in ln are one rate."""


@dataclass(slots=True, kw_only=True)
class Journal:
    """A search, request by request.

    Args:
        world: What measures.
        rows: Requests in order, and how they ended.
    """

    world: GridWorld
    rows: list[dict[str, Any]] = field(default_factory=list)

    def measure(self, request: Request) -> Measurement:
        """Have a request measured, and note it."""
        result = self.world.measure(request)
        row: dict[str, Any] = {"id": request.id}
        if isinstance(request, TrainingRun) and isinstance(result, TrainingResult):
            row["global_batch_size"] = request.plan.global_batch_size
            row["learning_rate"] = request.learning_rate
            row["seed_index"] = self.world.seeds.index(request.seed)
            row["max_steps"] = request.max_steps
            row["state"] = str(result.outcome)
            row["crossing_steps"] = result.crossing_steps
            row["device_seconds"] = result.device_seconds
        self.rows.append(row)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One search that is run both ways.

    Args:
        recorded: The workload.
        grid: Its recording.
        card: What a step costs.
        drawn: Which seeds are trained on.
        budget_seconds: Device seconds.
    """

    recorded: Recorded
    grid: Grid
    card: Card
    drawn: Draw
    budget_seconds: float

    def search(self, world: GridWorld) -> tuple[Journal, Recommendation]:
        """Run one whole search."""
        journal = Journal(world=world)
        parts = {
            "model": self.recorded.model,
            "dataset": self.recorded.dataset,
            "training": self.recorded.training,
        }
        spec = spec_of(
            self.grid,
            parts,
            sampler=SAMPLER,
            budget_seconds=self.budget_seconds,
            seed=self.drawn.repeat,
        )
        return journal, tune(spec, measure=journal.measure)


def both(setting: Setting, measuring: Measuring, variant: str = "cards") -> dict[str, Any]:
    """Run a search live and on the recording, and compare them.

    Args:
        setting: What is searched.
        measuring: Trains.
        variant: One of `VARIANTS`.

    Returns:
        What `compare` says, and what it took.
    """
    common: dict[str, Any] = {
        "grid": setting.grid, "card": setting.card, "drawn": setting.drawn,
    }  # fmt: skip
    world = LiveWorld(
        **common,
        measuring=measuring,
        workload=setting.recorded.workload,
        as_recorded=variant == "as_recorded",
        own_clock=variant == "own_clock",
    )
    began = time.perf_counter()
    live = setting.search(world)
    wall = time.perf_counter() - began
    told = ToldWorld(**common, told=world.probed) if world.own_clock else GridWorld(**common)
    replayed = setting.search(told)
    judged = judge(setting.grid, setting.card, setting.drawn)
    return {
        "workload": setting.grid.name,
        "card": setting.card.name,
        "draw": setting.drawn.repeat,
        "budget_seconds": setting.budget_seconds,
        "wall_seconds": round(wall, 1),
        **compare(live, replayed, world.twins),
        "same_cells": cells_of(live[0], setting.grid) == cells_of(replayed[0], setting.grid),
        "answers": {
            "live": answer_of(live[1], setting.grid, judged),
            "replayed": answer_of(replayed[1], setting.grid, judged),
        },
    }


def compare(
    live: tuple[Journal, Recommendation],
    replayed: tuple[Journal, Recommendation],
    twins: Sequence[Twins],
) -> dict[str, Any]:
    """Say how far two searches agree, and what parted them.

    Returns:
        `same_requests`: how many leading requests were the same; `parted_by`: what the first
        different request had been preceded by; `runs`: every live run beside its recording.
    """
    pairs = list(zip(live[0].rows, replayed[0].rows, strict=False))
    agreed = next((i for i, pair in enumerate(pairs) if not same_request(*pair)), len(pairs))
    whole = agreed == len(live[0].rows) == len(replayed[0].rows)
    before = {row["id"] for row in live[0].rows[:agreed]}
    differing = [one for one in twins if one.cause is not None]
    one, other = live[1], replayed[1]
    return {
        "requests": {"live": len(live[0].rows), "replayed": len(replayed[0].rows)},
        "same_requests": agreed,
        "same_sequence": whole,
        "same_states": all(a.get("state") == b.get("state") for a, b in pairs[:agreed]),
        "same_answer": _asks(one) == _asks(other)
        and same_rate(one.learning_rate, other.learning_rate),
        "parted_by": None
        if whole
        else {
            "runs_that_differed_before": Counter(
                str(twin.cause) for twin in differing if twin.request.id in before
            ),
            "request": {"live": _row(live[0], agreed), "replayed": _row(replayed[0], agreed)},
        },
        "runs": [twin.facts() for twin in twins],
    }


def same_request(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two searches asked for the same: id, batch, rate, seed and limit."""
    named = ("id", "global_batch_size", "seed_index", "max_steps")
    return all(one.get(name) == other.get(name) for name in named) and same_rate(
        one.get("learning_rate"), other.get("learning_rate")
    )


def cells_of(journal: Journal, grid: Grid) -> list[tuple[Any, ...]]:
    """List what was trained, by recorded cell and seed, and how it ended."""
    return [
        (
            row["id"],
            grid.cell(row["global_batch_size"], row["learning_rate"]),
            row["seed_index"],
            row["state"],
        )
        for row in journal.rows
        if "state" in row
    ]


def same_rate(one: float | None, other: float | None) -> bool:
    """Whether two rates are one, or both are missing."""
    if one is None or other is None:
        return one is other
    return abs(math.log(one / other)) < SAME_RATE


def answer_of(answer: Recommendation, grid: Grid, judged: Judge) -> dict[str, Any]:
    """State an answer, and what it is worth on the seeds that nobody has seen."""
    rate = answer.learning_rate
    cell = None if rate is None else grid.cell(answer.global_batch_size, rate)
    return {
        "global_batch_size": answer.global_batch_size,
        "micro_batch_size": answer.micro_batch_size,
        "gradient_accumulation_steps": answer.gradient_accumulation_steps,
        "learning_rate": rate,
        "recorded_rate": None if cell is None else grid.rate(cell),
        "evidence": answer.evidence,
        "regret": None if cell is None else judged.regret(cell),
        "device_seconds": answer.spending.device_seconds,
    }


def summary(searches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up several comparisons."""
    runs = [run for one in searches for run in one["runs"]]
    gaps = sorted(
        abs(run["ln_crossing_difference"])
        for run in runs
        if run["ln_crossing_difference"] is not None
    )
    return {
        "searches": len(searches),
        "same_sequence": sum(one["same_sequence"] for one in searches),
        "same_cells": sum(one["same_cells"] for one in searches),
        "same_answer": sum(one["same_answer"] for one in searches),
        "same_recorded_cell": sum(
            all(
                one["answers"]["live"][name] == one["answers"]["replayed"][name]
                for name in ("global_batch_size", "recorded_rate")
            )
            for one in searches
        ),
        "runs": len(runs),
        "same_outcome": sum(run["outcome"]["live"] == run["outcome"]["replayed"] for run in runs),
        "causes": Counter(str(run["cause"]) for run in runs if run["cause"]),
        "crossings": len(gaps),
        "crossings_within": {
            str(within): sum(gap < within for gap in gaps) for within in (1e-4, 1e-3, 1e-2, 5e-2)
        },
        "largest_ln_crossing_difference": gaps[-1] if gaps else None,
        "mean_regret": {
            way: sum(one["answers"][way]["regret"] or 0.0 for one in searches) / len(searches)
            for way in ("live", "replayed")
        },
    }


def on_paper(
    recorded: Recorded, grid: Grid, measuring: Measuring, draws: int, variant: str
) -> list[Any]:
    """Compare searches with the seconds of the cards."""
    found = []
    for card in CARDS:
        for drawn in (draw(repeat, len(grid.seeds)) for repeat in range(draws)):
            budget = BUDGET * judge(grid, card, drawn).oracle_seconds
            setting = Setting(
                recorded=recorded, grid=grid, card=card, drawn=drawn, budget_seconds=budget
            )
            found.append(both(setting, measuring, variant))
            tell(found[-1])
    return found


def on_own_clock(recorded: Recorded, grid: Grid, measuring: Measuring, draws: int) -> list[Any]:
    """Compare searches with this machine's own seconds; the probing is not charged.

    An oracle-run is then what a run of the oracle takes by the wall clock.
    """
    found = []
    batches = tuple(int(batch) for batch in grid.batches)
    for drawn in (draw(repeat, len(grid.seeds)) for repeat in range(draws)):
        card = timed_card(batches, time_passes(measuring, recorded.workload, batches))
        oracle = judge(grid, card, drawn).oracle
        budget = BUDGET * run_seconds(measuring, recorded.workload, grid, oracle)
        setting = Setting(
            recorded=recorded, grid=grid, card=card, drawn=drawn, budget_seconds=budget
        )
        found.append(both(setting, measuring, "own_clock"))
        tell(found[-1])
    return found


def tell(found: Mapping[str, Any]) -> None:
    """Print one comparison in a line."""
    print(
        found["workload"], found["card"], found["draw"],
        f"{found['same_requests']} of {found['requests']} the same,",
        "same answer" if found["same_answer"] else "other answer",
        f"{found['wall_seconds']:.0f} s",
        flush=True,
    )  # fmt: skip


def _asks(answer: Recommendation) -> tuple[int, int, int]:
    return (
        answer.global_batch_size,
        answer.micro_batch_size,
        answer.gradient_accumulation_steps,
    )


def _row(journal: Journal, index: int) -> dict[str, Any] | None:
    return journal.rows[index] if index < len(journal.rows) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workloads", nargs="*", default=list(CHOSEN))
    parser.add_argument("--draws", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    prepare()
    found: dict[str, list[Any]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        measuring = Measuring(Places(artifacts=Path(folder), file_roots=(FOLDER,)))
        for name in asked.workloads:
            recorded, grid = BY_NAME[name], load(RESULTS / "search-grids" / f"{name}.npz")
            for variant in VARIANTS[:2]:
                found[variant] += on_paper(recorded, grid, measuring, asked.draws, variant)
            found["own_clock"] += on_own_clock(recorded, grid, measuring, asked.draws)
    report = {
        "bench": "search-live",
        "command": "python benchmarks/search/live.py",
        "machine": machine_facts(),
        "budget_in_oracle_runs": BUDGET,
        "sampler": SAMPLER,
        "summary": {variant: summary(searches) for variant, searches in found.items()},
        "searches": found,
    }
    print(json.dumps(report["summary"], indent=1))
    (RESULTS / "search-live.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
