"""After a restart: jobs are rebuilt from what was recorded, attempts are held against reality.

Nothing recorded is measured again. An attempt that did not outlive its controller is lost,
which is no fault of its own: the tuning offers the same request once more.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pydantic import ValidationError

from service.kinds import Spec, facts_of
from service.live_job import LiveJob
from service.machine import FindAnswer, Machine, MakeMachine, nobody
from service.store.database import now
from service.store.ledger import Ledger
from service.store.tables import Job
from tuner.errors import IncompatibleRecord
from tuner.records import Event
from workers.executor import AttemptId

_log = logging.getLogger(__name__)


def rebuild(
    job: Job, ledger: Ledger, make_machine: MakeMachine, attached: Collection[AttemptId]
) -> LiveJob:
    """Bring a job back to where its recorded sequence leads.

    Args:
        job: As stored.
        ledger: Its records.
        make_machine: Makes its tuning.
        attached: Attempts that the executor still has.

    Returns:
        The job; attempts that are gone wait in it as lost.

    Raises:
        IncompatibleRecord: This version does not read its request or its records.
    """
    spec = read_spec(job)
    history = ledger.history(job.number)
    machine = replay(spec, job.spec_digest, history.events, make_machine)
    elapsed = (now() - job.started_at).total_seconds() if job.started_at else 0.0
    live = LiveJob(
        number=job.number,
        job_id=job.id,
        spec=spec,
        kind=job.kind,
        machine=machine,
        recall=ledger.recall,
        find_answer=past_answers(job, ledger),
        elapsed_seconds=max(0.0, elapsed),
    )
    ids = [
        AttemptId(job_id=job.id, request_id=request_id, number=number)
        for request_id, number in history.alive.items()
    ]
    live.adopt(
        history.events,
        attempts=history.attempts,
        alive={one.request_id: one.number for one in ids if one in attached},
    )
    for attempt in ids:
        if attempt not in attached:
            live.lose(attempt, "restarted")
    return live


def past_answers(job: Job, ledger: Ledger) -> FindAnswer:
    """Say where a job may find its answer: with its owner's past jobs, unless it is forced."""
    return nobody if job.forced else functools.partial(ledger.answered, owner=job.owner)


def replay(
    spec: Spec, spec_digest: str, events: Iterable[Event], make_machine: MakeMachine
) -> Machine:
    """Apply a recorded sequence to a fresh machine.

    Args:
        spec: What was asked.
        spec_digest: Over the user's own JSON.
        events: In the order in which they were recorded.
        make_machine: Makes it.

    Returns:
        The machine, in the state of the one that was interrupted.
    """
    machine = make_machine(spec, spec_digest=spec_digest)
    for event in events:
        machine.apply(event)
    return machine


def sweep_artifacts(folder: Path, live_job_ids: Collection[str]) -> None:
    """Remove the checkpoints of jobs that have ended."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name not in live_job_ids:
            _log.info("removing checkpoints of %s", entry.name)
            shutil.rmtree(entry, ignore_errors=True)


def read_spec(job: Job) -> Spec:
    """Read a stored request again.

    Args:
        job: As stored.

    Returns:
        What was asked.

    Raises:
        IncompatibleRecord: This version does not read it.
    """
    try:
        return facts_of(job.kind).spec.model_validate(job.spec, strict=True)
    except ValidationError as error:
        detail = f"the request of {job.id} is not one of this version: {error.error_count()} errors"
        raise IncompatibleRecord(detail) from error
