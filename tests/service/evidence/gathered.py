"""Evidence of jobs that were really driven, over a world of known laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.controller import Controller
from service.evidence import TuningEvidence, tuning_evidence
from service.settings import Settings
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from service.store.recorded import Recorded
from service.store.tables import TERMINAL
from tests.service.fake_executor import SPEC, FakeExecutor
from tests.tuner.world import World
from tuner.spec import digest
from tuner.tuning import Tuning

MAX_TURNS = 3000


def driven(
    settings: Settings,
    jobs: Jobs,
    ledger: Ledger,
    *,
    world: World | None = None,
    turns: int = MAX_TURNS,
    crash: bool = False,
    **parts: Any,
) -> Recorded:
    """Drive a small job to its end, or for so many turns, and read all that is stored of it."""
    spec: Mapping[str, Any] = {**SPEC, **parts}
    job = jobs.create(spec, digest(spec), max_queued=100)
    executor = FakeExecutor(world=world)
    executor.crash_next = crash
    controller = Controller(
        settings=settings, ledger=ledger, executor=executor, make_machine=Tuning
    )
    controller.recover()
    for _ in range(turns):
        found = jobs.get(job.id)
        assert found is not None
        if found.state in TERMINAL:
            break
        controller.turn(0.0)
    recorded = jobs.recorded(job.number)
    assert recorded is not None
    return recorded


def evidence_of(settings: Settings, jobs: Jobs, ledger: Ledger, **more: Any) -> TuningEvidence:
    """Drive a small job and gather its evidence."""
    return tuning_evidence(driven(settings, jobs, ledger, **more))
