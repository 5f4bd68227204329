"""The memory probe on simulated cards, beside what people use instead.

    python benchmarks/memory/bench.py [--subjects NAME ...] [--foreign] [--jobs 2] [--out FILE]

Every case is one workload on one card of the catalogue. Each card has quirks drawn from a seed
that the prediction cannot see: see `tuner/measuring/quirks.py`. The true maximum is the largest
size that runs at the whole limit, without the margin, with neither out of memory nor a retry
after warm-up; it is found by exhaustion. The cards serve requests by the very model that the
probe replays in; with `--foreign` they have an allocator of coarser rules instead. Peers need
`pip install lightning accelerate`, and are left out where they are missing.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_facts  # noqa: E402 - found beside this file's folder
from benchmarks.memory.foreign import ForeignAllocator  # noqa: E402
from benchmarks.memory.peers import PEERS, Found  # noqa: E402
from benchmarks.memory.rig import Rig  # noqa: E402
from benchmarks.memory.subjects import CARDS, SUBJECTS, cases  # noqa: E402
from benchmarks.memory.table import print_table  # noqa: E402
from benchmarks.memory.traces import Traces  # noqa: E402
from tuner.deciding.feasibility import Budget  # noqa: E402
from tuner.deciding.probing import Probe, probe  # noqa: E402
from tuner.measuring.simulated import simulated  # noqa: E402

RESULT: Final = ROOT / "benchmarks" / "results" / "memory.json"

TUNED_ON: Final = tuple(range(10))
"""Seeds that the probe's constants were chosen on; none of them is reported."""

REPORTED: Final = tuple(range(200, 210))
"""Seeds of the next figures. A run on 100 to 109 was seen before the last improvement."""

PEER_SEEDS: Final = 2
"""The peers run on the first ones of these: they take seconds a case where the probe does not."""

MARGIN: Final = 0.03
SHARE: Final = 0.96
"""An answer is good if it is at least this share of the maximum, or one sample below it."""


def main() -> None:
    arguments = _arguments()
    began = time.time()
    rows: list[dict[str, Any]] = []
    work = [
        (name, arguments.seeds, arguments.peer_seeds, arguments.foreign)
        for name in arguments.subjects
    ]
    if arguments.jobs == 1:
        found: Iterable[list[dict[str, Any]]] = map(run_subject, work)
        rows = [row for some in found for row in some]
    else:
        with ProcessPoolExecutor(arguments.jobs) as pool:
            rows = [row for some in pool.map(run_subject, work) for row in some]
    document = {
        "machine": machine_facts(),
        "device": "simulated cards; no real one was used",
        "allocator": "other rules than the model's" if arguments.foreign else "torch's, modelled",
        "peers": {name: _version(name) for name in ("lightning", "accelerate")},
        "seeds_tuned_on": list(TUNED_ON),
        "seeds_reported": list(arguments.seeds),
        "seeds_of_peers": list(arguments.seeds[: arguments.peer_seeds]),
        "margin": MARGIN,
        "seconds": round(time.time() - began, 1),
        "summary": summary(rows),
        "cases": rows,
    }
    print_table(rows, document["summary"])
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def run_subject(work: tuple[str, Sequence[int], int, bool]) -> list[dict[str, Any]]:
    """Run all cases of one subject."""
    name, seeds, peer_seeds, foreign = work
    warnings.simplefilter("ignore")
    traces = Traces(SUBJECTS[name])
    gc.freeze()  # the finders collect garbage at every trial; traces are none
    rows = []
    for case in cases(name):
        runs = []
        for position, seed in enumerate(seeds):
            card = simulated(case.card, seed)
            card = replace(card, allocator=ForeignAllocator) if foreign else card
            rig = Rig(subject=case.subject, card=card, events_at=traces.at, margin=MARGIN)
            runs.append(run_case(rig, traces, seed, with_peers=position < peer_seeds))
        rows.append(
            {
                "case": case.name,
                "subject": name,
                "family": case.subject.family,
                "card": case.card,
                "precision": case.subject.workload.training["precision"],
                "affine": traces.is_affine,
                "exact": traces.is_exact_at(max(1, runs[0]["maximum"])),
                "runs": runs,
            }
        )
    return rows


def run_case(rig: Rig, traces: Traces, seed: int, *, with_peers: bool) -> dict[str, Any]:
    """Run every method on one card; return what each came to."""
    budget = Budget.of(rig.card.limit_bytes, margin=MARGIN, upper=rig.subject.upper)
    found = {
        "probe": _sum_up(probe(traces.predict, rig.measure, rig.replay, budget)),
        "growth alone": _sum_up(probe(None, rig.measure, rig.replay, budget)),
    }
    if with_peers:
        found |= {name: _as_row(PEERS[name](_runs(rig), rig.subject.upper)) for name in _peers()}
    return {"seed": seed, "maximum": rig.true_maximum(), "methods": found}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count over all runs what the targets speak of."""
    methods = {name for row in rows for run in row["runs"] for name in run["methods"]}
    return {
        "cases": len(rows),
        "families": sorted({row["family"] for row in rows}),
        **{name: _counted(rows, name) for name in sorted(methods)},
    }


def _counted(rows: Sequence[Mapping[str, Any]], method: str) -> dict[str, Any]:
    pairs = [
        (run["methods"][method], run["maximum"])
        for row in rows
        for run in row["runs"]
        if method in run["methods"]
    ]
    ratios = sorted(one["answer"] / maximum for one, maximum in pairs)
    return {
        "runs": len(pairs),
        "trials_mean": round(sum(one["trials"] for one, _ in pairs) / len(pairs), 2),
        "trials_most": max(one["trials"] for one, _ in pairs),
        "share_within_4_trials": _share(one["trials"] <= 4 for one, _ in pairs),
        "share_within_6_trials": _share(one["trials"] <= 6 for one, _ in pairs),
        "share_without_out_of_memory": _share(one["out_of_memory"] == 0 for one, _ in pairs),
        "out_of_memory_mean": round(sum(one["out_of_memory"] for one, _ in pairs) / len(pairs), 2),
        "share_good": _share(is_good(one["answer"], maximum) for one, maximum in pairs),
        "share_above_maximum": _share(one["answer"] > maximum for one, maximum in pairs),
        "share_answer_was_run": _share(one["answer_was_run"] for one, _ in pairs),
        "answer_over_maximum_median": round(ratios[len(ratios) // 2], 4),
        "answer_over_maximum_least": round(ratios[0], 4),
    }


def is_good(answer: int, maximum: int) -> bool:
    """Whether an answer is near enough to the maximum, and not above it."""
    return min(SHARE * maximum, maximum - 1) <= answer <= maximum


def _share(values: Iterable[bool]) -> float:
    seen = list(values)
    return round(sum(seen) / len(seen), 4)


def _runs(rig: Rig) -> Any:
    """What a finder sees of a size: out of memory or not; retries are hidden from it."""
    return lambda size: not rig.measure(size).out_of_memory


def _sum_up(result: Probe) -> dict[str, Any]:
    return {
        "answer": result.max_micro_batch_size,
        "trials": len(result.trials),
        "out_of_memory": sum(trial.out_of_memory for trial in result.trials),
        "answer_was_run": True,
        "sizes": [trial.micro_batch_size for trial in result.trials],
        "retries": [trial.allocation_retries for trial in result.trials],
        "traced": [point.micro_batch_size for point in result.points],
    }


def _as_row(found: Found) -> dict[str, Any]:
    return {
        "answer": found.answer,
        "trials": found.trials,
        "out_of_memory": found.out_of_memory,
        "answer_was_run": found.answer_was_run,
    }


def _peers() -> list[str]:
    def is_here(name: str) -> bool:
        package = name.split(maxsplit=1)[0]
        return package == "doubling" or importlib.util.find_spec(package) is not None

    return [name for name in PEERS if is_here(name)]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", nargs="*", default=list(CARDS), choices=list(CARDS))
    parser.add_argument("--seeds", nargs="*", type=int, default=list(REPORTED))
    parser.add_argument("--peer-seeds", type=int, default=PEER_SEEDS)
    parser.add_argument("--foreign", action="store_true", help="cards with another allocator")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
