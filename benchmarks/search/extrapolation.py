"""What a search could save by foreseeing where a trial will end: one command.

    python benchmarks/search/extrapolation.py [--repeats N] [--processes N]

Constants are fitted on the four workloads to develop on and checked on the other four. Four
questions, on the recorded grids: how far off the methods of `curve_laws.py` are; whether the
error that they state is the right one; what whole searches would have saved, and which good
trials they would have lost; and whether the answers get better for it at the same budget.
Writes `results/search-extrapolation.json`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402 - threads are counted before NumPy starts its own

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.search.beginnings import SHARES, Beginning, Runs, beginnings, columns  # noqa: E402
from benchmarks.search.card import CARDS  # noqa: E402
from benchmarks.search.curve_laws import TAILS, Floats  # noqa: E402
from benchmarks.search.foreseen import Foresight, fit  # noqa: E402
from benchmarks.search.grid import load  # noqa: E402
from benchmarks.search.paired import interval  # noqa: E402
from benchmarks.search.stopped_searches import Found, Task, name_of, searches, stops  # noqa: E402
from benchmarks.search.stopping import Rule, Telling  # noqa: E402
from benchmarks.search.workloads import WORKLOADS  # noqa: E402

RESULTS: Final = ROOT / "benchmarks" / "results"
GRIDS: Final = RESULTS / "search-grids"

NEAR: Final = 4.0
"""Constants are fitted, and errors told, on runs within four times the incumbent's time: what
lies beyond is stopped by any rule."""

STOP_QUANTILES: Final = (0.01, 0.05)
STOP_REPEATS: Final = 3
STOP_BUDGET: Final = 30
BUDGETS: Final = (20,)
TELLINGS: Final[tuple[tuple[Telling, float], ...]] = (("cut", 0.01), ("bound", 0.05))
"""What is tried in whole searches: the cautious rule told plainly, the bold one with its bound."""

KINDS: Final = ("dev", "reported")
KIND_OF: Final = {workload.name: workload.kind for workload in WORKLOADS}


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """Beginnings of runs whose end is known.

    Args:
        found: The beginnings.
        raw: What the laws say of each.
        truth: ln(steps to the target / steps seen), shape (beginnings,).
    """

    found: Sequence[Beginning]
    raw: Mapping[str, Floats]
    truth: Floats

    @classmethod
    def of(cls, found: Sequence[Beginning]) -> Known:
        """Lay beginnings out in columns."""
        truth = np.array([one.truth for one in found])
        return cls(found=found, raw=columns(found), truth=truth)

    def at(self, share: float) -> Known:
        """Keep those of one share."""
        return Known.of([one for one in self.found if one.share == share])


def methods(dev: Known) -> dict[str, tuple[str, ...]]:
    """Name the methods, each with the tail that is best on the workloads to develop on."""
    tails = {law: best_tail(dev, law) for law in ("power law", "exponential", "pace followed")}
    read = {law: f"{law} {tail}" for law, tail in tails.items()}
    both = (*read.values(), "pace", "pace at the batch")
    return {
        "constant": (),
        **{law: (name,) for law, name in read.items()},
        "pace": ("pace",),
        "pace at the batch": ("pace at the batch",),
        "combination": both,
    }


def best_tail(dev: Known, law: str) -> float:
    """Choose the tail with the least median error once its constants are fitted."""

    def error(tail: float) -> float:
        name = f"{law} {tail}"
        mean = fit(dev.raw, dev.truth, (name,)).mean(dev.raw)
        return float(np.median(np.abs(mean - dev.truth)))

    return min(TAILS, key=error)


def errors(known: Known, method: Foresight) -> dict[str, Any]:
    """Say how far a method is off, and whether it says so itself."""
    mean, truth = method.mean(known.raw), known.truth
    low, high = method.bound(known.raw, 0.05), method.bound(known.raw, 0.95)
    return {
        "runs": len(truth),
        "median": _rounded(np.median(np.abs(mean - truth))),
        "ninety_percent": _rounded(np.quantile(np.abs(mean - truth), 0.9)),
        "bias": _rounded(np.median(mean - truth)),
        "inside_90_percent_interval": _rounded(np.mean((truth >= low) & (truth <= high))),
        "below_5_percent_bound": _rounded(np.mean(truth < low)),
        "below_1_percent_bound": _rounded(np.mean(truth < method.bound(known.raw, 0.01))),
    }


def raw_errors(known: Known, law: str) -> dict[str, Any]:
    """Say how far a law is off as it comes, with no constant fitted."""
    gap = known.raw[law] - known.truth
    return {
        "runs": len(gap),
        "median": _rounded(np.median(np.abs(gap))),
        "ninety_percent": _rounded(np.quantile(np.abs(gap), 0.9)),
        "bias": _rounded(np.median(gap)),
    }


def gather(*, of_own_time: bool) -> dict[str, Known]:
    """Look at all beginnings whose end is known, by kind of workload."""
    found: dict[str, list[Beginning]] = {kind: [] for kind in KINDS}
    cards = CARDS[:1] if of_own_time else CARDS
    for workload in WORKLOADS:
        grid = load(GRIDS / f"{workload.name}.npz")
        for card in cards:
            for one in beginnings(Runs(grid=grid, card=card), of_own_time=of_own_time):
                if of_own_time or one.ratio * np.exp(one.truth) <= NEAR:
                    found[workload.kind].append(one)
    return {kind: Known.of(each) for kind, each in found.items()}


def study() -> tuple[dict[str, Foresight], dict[str, Any]]:
    """Fit every method, and tell its errors."""
    known = gather(of_own_time=False)
    dev = known["dev"]
    fitted = {name: fit(dev.raw, dev.truth, laws) for name, laws in methods(dev).items()}
    by_share = {
        name: {
            kind: {str(share): errors(known[kind].at(share), method) for share in SHARES}
            for kind in KINDS
        }
        for name, method in fitted.items()
    }
    own = gather(of_own_time=True)
    laws = [law for method in fitted.values() if len(method.laws) == 1 for law in method.laws]
    as_they_come = {
        law: {
            kind: {str(share): raw_errors(own[kind].at(share), law) for share in SHARES}
            for kind in KINDS
        }
        for law in laws
    }
    constants = {
        name: {
            "laws": method.laws,
            "weights": [_rounded(w) for w in method.weights],
            "spread": [_rounded(w) for w in method.spread],
            "quantiles": {str(q): _rounded(value) for q, value in method.quantiles.items()},
        }
        for name, method in fitted.items()
    }
    return fitted, {
        "constants": constants,
        "at_shares_of_the_incumbents_time": by_share,
        "as_they_come_at_shares_of_the_runs_own_time": as_they_come,
    }


def paired(rows: Sequence[Found]) -> dict[str, Any]:
    """Hold searches that stop their trials against the same ones that do not."""
    told = {}
    for budget in BUDGETS:
        by_rule: dict[str, list[Found]] = {}
        for row in rows:
            if row.budget == budget:
                by_rule.setdefault(row.rule, []).append(row)
        plain = by_rule[name_of(None)]
        told[str(budget)] = {name: _of(mine, plain) for name, mine in by_rule.items()}
    return told


def _of(mine: Sequence[Found], plain: Sequence[Found]) -> dict[str, Any]:
    gain = _table(mine, "log_regret") - _table(plain, "log_regret")
    close = _table(mine, "close") - _table(plain, "close")
    return {
        "searches": len(mine),
        "mean_regret": _rounded(np.mean([np.expm1(row.log_regret) for row in mine])),
        "share_close": _rounded(np.mean([row.close for row in mine])),
        "trials": _rounded(np.mean([row.trials for row in mine])),
        "no_answer": sum(row.failed for row in mine),
        "ln_time_less_plain": interval(gain).plain(),
        "share_close_less_plain": interval(close).plain(),
    }


def _table(rows: Sequence[Found], name: str) -> Floats:
    """Values by workload and repeat, cards averaged: (workloads, repeats)."""
    workloads = sorted({row.workload for row in rows})
    repeats = sorted({row.repeat for row in rows})
    return np.array([
        [
            np.mean([getattr(r, name) for r in rows if (r.workload, r.repeat) == (w, repeat)])
            for repeat in repeats
        ]
        for w in workloads
    ])  # fmt: skip


def _rounded(value: Any) -> float:
    return round(float(value), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3, help="of whole searches; 0 for none")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    fitted, told = study()
    tasks = [
        Task(path=GRIDS / f"{w.name}.npz", card=card.name) for w in WORKLOADS for card in CARDS
    ]
    report = {
        "bench": "search-extrapolation",
        "command": "python benchmarks/search/extrapolation.py",
        "machine": machine_facts(),
        **told,
    }
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=context) as pool:
        report["stops"] = noted_stops(pool, tasks, fitted)
        write(report)
        if asked.repeats:
            report["whole_searches"] = whole_searches(pool, tasks, fitted, asked.repeats)
            write(report)


def noted_stops(
    pool: ProcessPoolExecutor, tasks: Sequence[Task], fitted: Mapping[str, Foresight]
) -> dict[str, Any]:
    """Say what each rule would have made of the trials of searches that knew nothing of it."""
    rules = [
        (name, fitted[name], quantile)
        for name in ("power law", "pace", "combination")
        for quantile in STOP_QUANTILES
    ]
    look = partial(stops, rules=rules, budget=STOP_BUDGET, repeats=STOP_REPEATS)
    noted = [one for each in pool.map(look, tasks) for one in each]
    return {
        kind: [
            summed([one for one in noted if KIND_OF[one["workload"]] == kind], name, quantile)
            for name, _, quantile in rules
        ]
        for kind in KINDS
    }


def whole_searches(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task],
    fitted: Mapping[str, Foresight],
    repeats: int,
) -> dict[str, Any]:
    """Run searches that stop their trials by the combination, and the same without."""
    rules = [
        Rule(foresight=fitted["combination"], quantile=quantile, telling=telling)
        for telling, quantile in TELLINGS
    ]
    run = partial(searches, rules=rules, budgets=BUDGETS, repeats=repeats)
    rows = [row for each in pool.map(run, tasks) for row in each]
    return {
        "repeats": repeats,
        **{kind: paired([r for r in rows if KIND_OF[r.workload] == kind]) for kind in KINDS},
        "all": paired(rows),
    }


def write(report: Mapping[str, Any]) -> None:
    """Keep what is known so far: whole searches take long, and may be broken off."""
    told = {name: report[name] for name in ("stops", "whole_searches") if name in report}
    print(json.dumps(told, indent=1), flush=True)
    (RESULTS / "search-extrapolation.json").write_text(json.dumps(report, indent=1) + "\n")


def summed(noted: Sequence[Mapping[str, Any]], method: str, quantile: float) -> dict[str, Any]:
    """Add up what one rule would have done over several searches."""
    mine = [one for one in noted if (one["method"], one["quantile"]) == (method, quantile)]
    total = {
        name: sum(one[name] for one in mine)
        for name in mine[0]
        if name not in {"method", "quantile", "workload"}
    }
    spent = total.pop("search_seconds")
    saved = spent - total.pop("stopped_seconds")
    return {
        "method": method,
        "quantile": quantile,
        "share_of_trial_cost_saved": _rounded(saved / spent),
        "share_of_budget_saved": _rounded(saved / total.pop("all_seconds")),
        **total,
    }


if __name__ == "__main__":
    main()
