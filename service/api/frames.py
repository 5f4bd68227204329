"""Events as they are written on a `text/event-stream`.

The stream is one of state, not of a log: an event says how something is now. The id is the
job's revision. It is on the `job` event alone, which comes last in its batch, so that whoever
is cut off within a batch gets all of that batch again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from service import schemas
from service.store.changes import Change
from service.store.tables import TERMINAL, JobKind
from service.study_schemas import BatchSizeStudy, StudyRunShown

RETRY_MILLISECONDS: Final = 2000
"""How long a client is told to wait before it comes back."""

GREETING: Final = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
HEARTBEAT: Final = b": still here\n\n"
TROUBLE: Final = b": the database does not answer, still trying\n\n"
RESET: Final = b"event: reset\ndata: {}\n\n"
DELETED: Final = b'event: end\ndata: {"state": "deleted"}\n\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFrame:
    """One trial as it is now.

    Args:
        revision: Of the job when the trial last changed.
        frame: The event.
    """

    revision: int
    frame: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What became of one job, written once for all who follow it.

    Args:
        revision: Of the job.
        job: The event, with its id.
        trials: Changed ones by position.
        dated_from: Changes of trials can be told apart from this revision on.
        end: The event of its end; None: there will be more.
    """

    revision: int
    job: bytes
    trials: Mapping[int, TrialFrame]
    dated_from: int
    end: bytes | None


def render(change: Change) -> Rendered:
    """Write the events of one change."""
    job = change.job
    is_study = job.kind == JobKind.STUDY
    shown_job = BatchSizeStudy.of(job) if is_study else schemas.TuningJob.of(job)
    trial_type = StudyRunShown if is_study else schemas.Trial
    shown = shown_job.model_dump_json(exclude={"spec"})
    has_ended = job.state in TERMINAL
    trials = {
        trial.position: TrialFrame(revision=trial.revision, frame=_frame("trial", text))
        for trial in change.trials
        if (text := _trial(trial_type, trial.view)) is not None
    }
    return Rendered(
        revision=job.revision,
        job=_frame("job", shown, job.revision),
        trials=trials,
        dated_from=change.dated_from,
        end=_frame("end", json.dumps({"state": job.state}), job.revision) if has_ended else None,
    )


def _trial(model: type[schemas.Envelope], view: object) -> str | None:
    try:
        return model.model_validate(view).model_dump_json()
    except ValidationError:
        # Another version wrote it. The job goes on, and `/trials` says what is the matter.
        return None


def _frame(event: str, data: str, revision: int | None = None) -> bytes:
    """Write one event; JSON has no line breaks of its own, so its data are one line."""
    identity = "" if revision is None else f"id: {revision}\n"
    return f"event: {event}\n{identity}data: {data}\n\n".encode()
