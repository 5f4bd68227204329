"""What each method picks, found live on the device, with all that it cost.

The coarse grid trains each of its cells once, cut at 1.3 times the best so far, from its middle
outwards; its two best are both scored. Optuna's TPE gets the device seconds that our search
spent, the same bounds, and the same cut.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import optuna

from benchmarks.search.on_card.reference import Reference
from benchmarks.search.on_card.rig import Ran, Rig
from benchmarks.search.on_card.subjects import Subject
from tuner.errors import TunerError
from tuner.measuring.device import describe_device
from tuner.measuring.out_of_memory import release
from tuner.records import CapacityChanged, Measurement, MemoryMeasurement, MemoryTrial, Request
from tuner.spec import TuningSpec
from tuner.tune import tune

OURS: Final = "batchscout"
GRID: Final = "coarse-grid"
GRID_SECOND: Final = "coarse-grid-second"
LARGEST: Final = "largest-batch"
LIGHTNING: Final = "lightning-finders"
TPE: Final = "optuna-tpe-capped"

CUT: Final = 1.3
"""Runs of a search are cut at this multiple of the best time so far."""

GRID_SEED: Final = 2001
TPE_SEED: Final = 3001
TRIALS: Final = 100
"""More than any budget here holds."""

LARGEST_SHARE: Final = 0.1
"""No batch above this share of the training samples, for peers as for ourselves."""

TIMEOUT_SECONDS: Final = 86400.0
LIGHTNING_RESERVE: Final = 5.0
"""Lightning's finders may take so many times the reference seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """What a method would have one train with.

    Args:
        method: Its name.
        global_batch_size: None where it has no answer.
        learning_rate: None where it has no answer.
        spent_seconds: Device seconds behind it.
        note: What else there is to say.
        details: What the method itself reported.
    """

    method: str
    global_batch_size: int | None
    learning_rate: float | None
    spent_seconds: float
    note: str = ""
    details: dict[str, Any] | None = None


def keep(rig: Rig, pick: Pick) -> Pick:
    """Write a pick down."""
    rig.ledger.put(f"pick/{pick.method}", asdict(pick))
    return pick


def recall(rig: Rig, method: str) -> Pick | None:
    """Return what an earlier call picked, or None."""
    known = rig.ledger.get(f"pick/{method}")
    return None if known is None else Pick(**known)


# ------------------------------------------------------------------------------- ourselves


def ours(rig: Rig, spec: TuningSpec) -> Pick:
    """Run one whole job on the device."""
    spent = 0.0

    def measure(request: Request) -> Measurement:
        nonlocal spent
        result = rig.measure(f"ours/{request.id}", request)
        spent += result.device_seconds
        return result

    capacity = CapacityChanged(
        accelerator=rig.workload.accelerator, device_kind=rig.device_kind, slots=1
    )
    try:
        answer = tune(spec, measure=measure, capacity=capacity)
    except TunerError as error:
        return keep(
            rig,
            Pick(
                method=OURS,
                global_batch_size=None,
                learning_rate=None,
                spent_seconds=spent,
                note=f"{error.problem.code}: {error.problem.detail}",
            ),
        )
    told = answer.model_dump(mode="json", exclude={"memory_curve", "pareto", "rivals"})
    return keep(
        rig,
        Pick(
            method=OURS,
            global_batch_size=answer.global_batch_size,
            learning_rate=answer.learning_rate,
            spent_seconds=answer.spending.device_seconds,
            note=f"evidence: {answer.evidence}, {answer.runs_reached} of {answer.runs} reached",
            details=told,
        ),
    )


def spec_of(
    subject: Subject,
    *,
    accelerator: str,
    target: float | None = None,
    device_seconds: float | None = None,
) -> TuningSpec:
    """Make the spec that a user of this workload would write."""
    low, high = subject.batches
    return TuningSpec.model_validate(
        {
            "model": subject.model,
            "dataset": subject.dataset,
            "training": subject.training,
            "objective": {"kind": "time_to_target", "target": target},
            "search_space": {
                "global_batch_size": {"low": low, "high": high},
                "learning_rate": {"low": subject.rates[0], "high": subject.rates[1]},
                "max_data_fraction": LARGEST_SHARE,
            },
            "search": {"reuse": "never"},
            "budget": {
                "max_trials": TRIALS,
                "max_device_seconds": device_seconds,
                "timeout_seconds": TIMEOUT_SECONDS,
            },
            "hardware": {"accelerator": accelerator},
        }
    )


# -------------------------------------------------------------------------------- the peers


def grid(rig: Rig, subject: Subject, reference: Reference) -> tuple[Pick, Pick]:
    """Train every cell of the coarse grid once; return its best two."""
    tried: list[tuple[Ran, int, float]] = []
    for batch, rate in _from_the_middle(subject):
        limit = _cut([ran for ran, *_ in tried], rig, reference)
        _, ran = rig.train(batch, rate, GRID_SEED, limit_seconds=limit, target=reference.target)
        tried.append((ran, batch, rate))
    tried.sort(key=lambda one: one[0].order)
    spent = sum(ran.device_seconds for ran, *_ in tried)
    cells = [
        {"global_batch_size": batch, "learning_rate": rate, "seconds": ran.seconds}
        for ran, batch, rate in tried
    ]
    first, second = (
        keep(
            rig,
            Pick(
                method=method,
                global_batch_size=batch,
                learning_rate=rate,
                spent_seconds=spent,
                note=f"{len(tried)} cells, one seed, cut at {CUT} times the best",
                details={"cells": cells},
            ),
        )
        for method, (_, batch, rate) in zip((GRID, GRID_SECOND), tried[:2], strict=True)
    )
    return first, second


def _limit_bytes(rig: Rig) -> int:
    """What a pass may hold, as the first call found it: on a processor it is what is free then."""
    known = rig.ledger.get("limit")
    if known is None:
        known = {"bytes": describe_device(rig.workload).limit_bytes}
        rig.ledger.put("limit", known)
    return int(known["bytes"])


def largest(rig: Rig, reference: Reference) -> Pick:
    """Take the largest power of two that fits, and scale the reference's rate with it.

    Source: Goyal et al. 2017, arXiv:1706.02677.
    """
    most = int(LARGEST_SHARE * len(rig.bench.train))
    limit = _limit_bytes(rig)
    batch, spent = reference.global_batch_size, reference.device_seconds
    while 2 * batch <= most:
        trial = MemoryTrial(
            id=f"memory-{2 * batch}",
            workload=rig.workload,
            micro_batch_size=2 * batch,
            accumulation=1,
            limit_bytes=limit,
        )
        ran = rig.measure(f"memory/{2 * batch}", trial)
        if not isinstance(ran, MemoryMeasurement):
            raise TypeError(type(ran).__name__)
        spent += ran.device_seconds
        if ran.out_of_memory:
            break
        batch *= 2
    scaled = reference.learning_rate * batch / reference.global_batch_size
    note = f"up to {LARGEST_SHARE:g} of the training samples; linear from the reference"
    return keep(
        rig,
        Pick(
            method=LARGEST,
            global_batch_size=batch,
            learning_rate=scaled,
            spent_seconds=spent,
            note=note,
        ),
    )


def lightning(rig: Rig) -> Pick:
    """Run Lightning's own finders, with its defaults, once."""
    from benchmarks.search.on_card.lightning_finders import find  # noqa: PLC0415 - heavy, may be absent

    rig.reserve(LIGHTNING_RESERVE * rig.limits.reference_seconds)
    began = time.monotonic()
    found = find(rig.bench, seed=GRID_SEED)
    release(rig.bench.device)  # what the last sizes held is not to stand in the way of others
    return keep(
        rig,
        Pick(
            method=LIGHTNING,
            global_batch_size=min(found.batch, len(rig.bench.train)),
            learning_rate=found.learning_rate,
            spent_seconds=time.monotonic() - began,
            note="scale_batch_size in powers of two, then lr_find, one seed",
        ),
    )


def tpe(rig: Rig, subject: Subject, reference: Reference, budget_seconds: float) -> Pick:
    """Search by Optuna's TPE as it comes, until the budget is spent."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="minimize", sampler=optuna.samplers.TPESampler(seed=TPE_SEED)
    )
    low, high = (round(math.log2(size)) for size in subject.batches)
    tried: list[tuple[Ran, int, float]] = []
    spent = 0.0
    while spent < budget_seconds:
        trial = study.ask()
        batch = 2 ** trial.suggest_int("log2_batch", low, high)
        rate = trial.suggest_float("learning_rate", *subject.rates, log=True)
        limit = _cut([ran for ran, *_ in tried], rig, reference)
        _, ran = rig.train(
            batch, rate, TPE_SEED + len(tried), limit_seconds=limit, target=reference.target
        )
        spent += ran.device_seconds
        study.tell(trial, _value(ran, rig.limits.miss * reference.seconds))
        tried.append((ran, batch, rate))
    _, batch, rate = min(tried, key=lambda one: one[0].order)
    return keep(
        rig,
        Pick(
            method=TPE,
            global_batch_size=batch,
            learning_rate=rate,
            spent_seconds=spent,
            note=f"{len(tried)} trials",
        ),
    )


def _value(ran: Ran, longest: float) -> float:
    """Seconds, or for a run that did not get there more, by how far its loss still was."""
    return longest * math.e * math.exp(min(ran.excess, 5.0)) if ran.seconds is None else ran.seconds


def _cut(tried: list[Ran], rig: Rig, reference: Reference) -> float:
    times = [CUT * ran.seconds for ran in tried if ran.seconds is not None]
    return min([rig.limits.miss * reference.seconds, *times])


def _from_the_middle(subject: Subject) -> list[tuple[int, float]]:
    """List the cells, those in the middle first: they are likely good, and cut the others."""
    rows, columns = len(subject.grid_batches), len(subject.grid_rates)
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    cells.sort(key=lambda at: abs(at[0] - (rows - 1) / 2) + abs(at[1] - (columns - 1) / 2))
    return [(subject.grid_batches[row], subject.grid_rates[column]) for row, column in cells]
