"""Evidence of jobs that were really driven, over a world of known laws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.controller import Controller
from service.evidence import StudyEvidence, TuningEvidence, study_evidence, tuning_evidence
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Asked, Jobs
from service.store.ledger import Ledger
from service.store.migrate import migrate
from service.store.recorded import Recorded
from service.store.tables import TERMINAL, JobKind
from tests.service.fake_executor import SPEC, FakeExecutor
from tests.tuner.study.world import StudyWorld, make_study
from tests.tuner.world import World
from tuner.spec import digest
from tuner.study import Study
from tuner.tuning import Tuning

MAX_TURNS = 3000


def driven(
    settings: Settings,
    jobs: Jobs,
    ledger: Ledger,
    *,
    world: Any = None,
    turns: int = MAX_TURNS,
    crash: bool = False,
    kind: JobKind = JobKind.TUNING,
    spec: Mapping[str, Any] = SPEC,
) -> Recorded:
    """Drive a small job to its end, or for so many turns, and read all that is stored of it."""
    job = jobs.create(spec, digest(spec), max_queued=100, asked=Asked(kind=kind))
    executor = FakeExecutor(world=world)
    executor.crash_next = crash
    controller = Controller(
        settings=settings,
        ledger=ledger,
        executor=executor,
        make_machine=Tuning if kind is JobKind.TUNING else Study,
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


def study_of(
    settings: Settings, jobs: Jobs, ledger: Ledger, *, turns: int = MAX_TURNS, **parts: Any
) -> StudyEvidence:
    """Drive a small study and gather its evidence."""
    spec = make_study(**parts).model_dump(mode="json")
    world, kind = StudyWorld(scatter=0.02), JobKind.STUDY
    return study_evidence(
        driven(settings, jobs, ledger, world=world, kind=kind, spec=spec, turns=turns)
    )


def evidence_of(settings: Settings, jobs: Jobs, ledger: Ledger, **more: Any) -> TuningEvidence:
    """Drive a small job and gather its evidence."""
    return tuning_evidence(driven(settings, jobs, ledger, **more))


@cache
def ended_tuning() -> TuningEvidence:
    """Evidence of one job that ended, driven once for all tests that only read it."""
    with _deployment() as (settings, jobs, ledger):
        return evidence_of(settings, jobs, ledger, world=World(scatter=0.1))


@cache
def ended_study() -> StudyEvidence:
    """The same of a study."""
    with _deployment() as (settings, jobs, ledger):
        return study_of(settings, jobs, ledger)


@contextmanager
def _deployment() -> Iterator[tuple[Settings, Jobs, Ledger]]:
    with TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), port=0)
        database = Database(settings.resolved_database_url)
        migrate(database, lock_file=settings.data_dir / "migrate.lock")
        yield settings, Jobs(database), Ledger(database)
        database.close()
