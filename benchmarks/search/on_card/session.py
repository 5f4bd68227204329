"""One call: a workload as far as its seconds go. Every step is kept, and none is done twice."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.machine import machine_facts
from benchmarks.search.on_card import picks
from benchmarks.search.on_card.ledger import Ledger
from benchmarks.search.on_card.needed import missing
from benchmarks.search.on_card.picks import GRID, GRID_SECOND, LARGEST, LIGHTNING, OURS, TPE, Pick
from benchmarks.search.on_card.reference import Reference, reference_of
from benchmarks.search.on_card.rig import Limits, OutOfTime, Rig
from benchmarks.search.on_card.subjects import Subject
from tuner.measuring.device import describe_device
from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.records import Workload
from tuner.spec import TuningSpec

FIRST_SEED: Final = 9001
"""Of the seeds that picks are scored on; no search trains on them."""

METHODS: Final = (OURS, GRID, LARGEST, LIGHTNING, TPE)
"""In the order in which they run: what a first call is most likely to hold comes first."""

OWN_CODE: Final = ("benchmarks.search.on_card",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one call is to do.

    Args:
        subject: The workload.
        is_tiny: Whether it is a stand-in, which says nothing of any card.
        accelerator: `cuda` or `cpu`.
        limits: How long is trained.
        methods: Which are to be run.
        out: File of lines.
        ends_at: `time.monotonic` at which the call is to be over.
    """

    subject: Subject
    is_tiny: bool
    accelerator: str
    limits: Limits
    methods: Sequence[str]
    out: Path
    ends_at: float


def run(call: Call) -> bool:
    """Go on where the lines end.

    Returns:
        Whether the workload is complete.

    Raises:
        OtherSetting: The lines were measured on another device, data or with other limits.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / f"{call.subject.name}.npz"
        call.subject.write(data)
        places = Places(artifacts=folder, file_roots=(folder,), entrypoint_prefixes=OWN_CODE)
        rig = _rig(call, places)
        try:
            _steps(rig, call)
        except OutOfTime:
            return False
    return True


def workload_of(spec: TuningSpec, accelerator: str) -> Workload:
    """Return what a device builds for a spec: the very same in our jobs and in all other runs."""
    return Workload(
        model=spec.model.model_dump(mode="json"),
        dataset=spec.dataset.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        metric=spec.objective.metric,
        accelerator=accelerator,
        data_seed=spec.seed,
    )


def _rig(call: Call, places: Places) -> Rig:
    spec = picks.spec_of(call.subject, accelerator=call.accelerator)
    workload = workload_of(spec, call.accelerator)
    device = describe_device(workload)
    rig = Rig(
        workload=workload,
        device_kind=device.kind,
        ledger=Ledger(call.out, call.subject.name),
        measuring=Measuring(places),
        limits=call.limits,
        ends_at=call.ends_at,
    )
    rig.ledger.agree(_setting(call, rig), {**machine_facts(), "accelerator": device.name})
    return rig


def _setting(call: Call, rig: Rig) -> dict[str, Any]:
    """Say what has to be the same in every call, so that its lines belong together."""
    limits = call.limits
    return {
        "device": rig.device_kind,
        "tiny": call.is_tiny,
        "torch": torch.__version__,
        "model": call.subject.model,
        "parameters": sum(p.numel() for p in rig.bench.model(0).parameters()),
        "training": call.subject.training,
        "data": call.subject.data,
        "data_digest": rig.bench.data.digest,
        "training_samples": len(rig.bench.train),
        "reference_seconds": limits.reference_seconds,
        "budget_runs": limits.budget_runs,
        "batches": list(call.subject.batches),
        "rates": list(call.subject.rates),
    }


def _steps(rig: Rig, call: Call) -> None:
    reference = reference_of(rig, call.subject)
    print(
        f"{call.subject.name}: the reference reaches {reference.target:.4f} in "
        f"{reference.steps:.0f} steps, {reference.seconds:.2f} s",
        flush=True,
    )
    for method in METHODS:
        if method not in call.methods:
            continue
        if method == LIGHTNING and missing(["lightning"]):
            print("lightning is not installed: its finders are left out", flush=True)
            continue
        for pick in _picks(rig, call, reference, method):
            _score(rig, pick, reference)


def _picks(rig: Rig, call: Call, reference: Reference, method: str) -> Sequence[Pick]:
    """Have a method pick, unless an earlier call did."""
    names = (GRID, GRID_SECOND) if method == GRID else (method,)
    known = [pick for pick in (picks.recall(rig, name) for name in names) if pick is not None]
    if len(known) == len(names):
        return known
    budget = rig.limits.budget_runs * reference.seconds
    mine = picks.recall(rig, OURS)
    ways: dict[str, Callable[[], Pick | Sequence[Pick]]] = {
        OURS: lambda: picks.ours(
            rig,
            picks.spec_of(
                call.subject,
                accelerator=call.accelerator,
                target=reference.target,
                device_seconds=budget,
            ),
        ),
        GRID: partial(picks.grid, rig, call.subject, reference),
        LARGEST: partial(picks.largest, rig, reference),
        LIGHTNING: partial(picks.lightning, rig),
        TPE: partial(
            picks.tpe, rig, call.subject, reference, mine.spent_seconds if mine else budget
        ),
    }
    found = ways[method]()
    return [found] if isinstance(found, Pick) else found


def _score(rig: Rig, pick: Pick, reference: Reference) -> None:
    """Train a pick to the target on seeds that no search has seen."""
    batch, rate = pick.global_batch_size, pick.learning_rate
    told = f"{pick.method}: batch {batch}, rate {rate}, {pick.spent_seconds:.0f} s ({pick.note})"
    print(told, flush=True)
    if batch is None or rate is None:
        return
    for index in range(rig.limits.seeds):
        limit = rig.limits.miss * reference.seconds
        seed = FIRST_SEED + index
        _, ran = rig.train(batch, rate, seed, limit_seconds=limit, target=reference.target)
        timed = rig.timed(batch)
        rig.ledger.put(
            f"score/{pick.method}/{index}",
            {
                "seed": seed,
                "outcome": ran.outcome,
                "seconds": ran.seconds,
                "given_up_seconds": limit if ran.seconds is None else None,
                "wall_seconds": ran.wall_seconds,
                "step_seconds": timed.step_seconds,
                "micro_batch_size": timed.plan.micro_batch_size,
                "gradient_accumulation_steps": timed.plan.gradient_accumulation_steps,
            },
        )
