"""Jobs of one kind as a resource: what is done with them, whatever the kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from fastapi import Response, status
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from service.api.creation import Admit, create_job
from service.api.cursors import read_cursor, write_cursor
from service.api.dependencies import Parts
from service.api.etags import etag_of, names_revision
from service.api.event_stream import EventStream
from service.api.security import Caller, recheck
from service.api.watch import Status
from service.kinds import KindFacts, facts_of
from service.problems import Problem, ProblemError
from service.schemas import unreadable
from service.store.jobs import Asked, NotFinished
from service.store.tables import TERMINAL, Job, JobKind, JobState

RETRY_AFTER_SECONDS: Final = 2
"""What a client that cannot wait on the connection is told to sleep."""

BUSY_RETRY_SECONDS: Final = 10
"""What a reader of events is told to wait where there are too many."""

RETRY: Final = {"Retry-After": str(RETRY_AFTER_SECONDS)}

Shown = TypeVar("Shown", bound=BaseModel)
Read = TypeVar("Read", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection(Generic[Shown]):
    """All jobs of one kind, seen through the eyes of who asks.

    Args:
        kind: Theirs; jobs of another kind are not here.
        admit: Refuses a request that cannot be answered here.
        show: Shows a stored job.
        cursors: Name of its list in cursors.
    """

    kind: JobKind
    admit: Admit
    show: Callable[[Job], Shown]
    cursors: str

    @property
    def facts(self) -> KindFacts:
        """What is said about this kind."""
        return facts_of(self.kind)

    async def create(self, body: Any, response: Response, parts: Parts, asked: Asked) -> Shown:
        """Queue a job; see `create_job`."""
        job = await run_in_threadpool(create_job, body, parts, asked, self.admit)
        response.headers["Location"] = self.facts.address(job.id)
        return self._described(response, job)

    def page(
        self,
        parts: Parts,
        caller: Caller,
        *,
        limit: int,
        cursor: str | None,
        state: JobState | None,
    ) -> tuple[list[Shown], str | None]:
        """List the caller's jobs, the newest first.

        Returns:
            At most `limit` of them, and the cursor of the next ones if there are more.
        """
        before = read_cursor(self.cursors, cursor)
        jobs = parts.jobs.page(
            limit=limit + 1, before=before, state=state, owner=caller.owner, kind=self.kind
        )
        shown = jobs[:limit]
        more = write_cursor(self.cursors, shown[-1].number) if len(jobs) > limit else None
        return [self.show(job) for job in shown], more

    def find(self, job_id: str, parts: Parts, caller: Caller) -> Job:
        """Read a job that the caller may see.

        Raises:
            ProblemError: There is none of this kind, or it is somebody else's, which is not
                told apart.
        """
        job = parts.jobs.get(job_id, owner=caller.owner, kind=self.kind)
        if job is None:
            raise self._none(job_id)
        return job

    async def look(
        self,
        job_id: str,
        response: Response,
        parts: Parts,
        caller: Caller,
        *,
        wait: float,
        if_none_match: str | None,
    ) -> Shown | Response:
        """Read a job, at once or when it has changed or ended.

        Returns:
            The job, or 304 where nothing has changed.
        """
        job = await run_in_threadpool(self.find, job_id, parts, caller)
        seconds = min(wait, parts.settings.max_wait_seconds)
        if seconds > 0 and not _enough(if_none_match, (job.revision, job.state)):
            await parts.watch.wait(
                job_id, lambda found: _enough(if_none_match, found), timeout_seconds=seconds
            )
            await run_in_threadpool(recheck, caller, parts)
            job = await run_in_threadpool(self.find, job_id, parts, caller)
        if names_revision(if_none_match, job.revision):
            return Response(
                status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag_of(job.revision)}
            )
        return self._described(response, job)

    def cancel(self, job_id: str, response: Response, parts: Parts, caller: Caller) -> Shown:
        """Ask for the end of a job; asking again, or after its end, changes nothing."""
        job = parts.jobs.cancel(job_id, owner=caller.owner, kind=self.kind)
        if job is None:
            raise self._none(job_id)
        return self._described(response, job)

    def delete(self, job_id: str, parts: Parts, caller: Caller) -> None:
        """Remove a job that has ended, with its records, results and files."""
        try:
            found = parts.jobs.delete(job_id, owner=caller.owner, kind=self.kind)
        except NotFinished as error:
            detail = f"The job is {error.state}: cancel it and wait for its end first."
            raise ProblemError("not_finished", detail, headers=RETRY) from error
        if not found:
            raise self._none(job_id)
        shutil.rmtree(parts.settings.places_of(job_id).artifacts, ignore_errors=True)

    async def stream(
        self, job_id: str, parts: Parts, caller: Caller, last_event_id: str | None
    ) -> EventStream:
        """Follow a job as Server-Sent Events.

        Raises:
            ProblemError: There is no such job, or too many are followed already.
        """
        job = await run_in_threadpool(self.find, job_id, parts, caller)
        if parts.feeds.full:
            limit = parts.settings.max_event_streams
            detail = f"{limit} streams are open, as many as this service takes: come back later."
            headers = {"Retry-After": str(BUSY_RETRY_SECONDS)}
            raise ProblemError("too_many_streams", detail, headers=headers)
        return EventStream(
            parts.feeds,
            job.id,
            revision=job.revision,
            last_event_id=last_event_id,
            needs_key=caller.owner is not None,
            heartbeat_seconds=parts.settings.event_heartbeat_seconds,
            lifetime_seconds=parts.settings.event_stream_seconds,
        )

    def trials(
        self, model: type[Read], job: Job, parts: Parts, *, limit: int, cursor: str | None
    ) -> tuple[list[Read], str | None]:
        """List what a job has trained, in the order of their start.

        Returns:
            At most `limit` of them, and the cursor of the next ones if there are more.
        """
        this_list = f"trials/{job.number}"
        after = read_cursor(this_list, cursor)
        trials = parts.jobs.trials(job.number, limit=limit + 1, after=after)
        shown = trials[:limit]
        more = write_cursor(this_list, shown[-1].position) if len(trials) > limit else None
        return [readable(model, trial.view, job) for trial in shown], more

    def no_answer(self, job: Job, code: str) -> ProblemError:
        """Say why a job has no answer: not yet, or never.

        Args:
            job: Which job.
            code: Where there will be none.

        Returns:
            The problem.
        """
        if job.state not in TERMINAL:
            address = self.facts.address(job.id)
            detail = f"The job is {job.state}: wait with GET {address}?wait=60."
            return ProblemError("not_finished", detail, headers=RETRY)
        why = Problem.model_validate(job.problem).detail if job.problem else "It was cancelled."
        return ProblemError(code, f"The job has {job.state}. {why}")

    def _none(self, job_id: str) -> ProblemError:
        facts = self.facts
        return ProblemError(facts.not_found, f"There is no {facts.noun} {job_id}.")

    def _described(self, response: Response, job: Job) -> Shown:
        response.headers["ETag"] = etag_of(job.revision)
        if job.state not in TERMINAL:
            response.headers.update(RETRY)
        return self.show(job)


def readable(model: type[Read], stored: Any, job: Job) -> Read:
    """Read what was stored about a job.

    Args:
        model: What it is.
        stored: As JSON.
        job: Whose it is.

    Returns:
        The record.

    Raises:
        ProblemError: `incompatible_upgrade`; another version wrote it.
    """
    try:
        return model.model_validate(stored)
    except ValidationError as error:
        problem = unreadable(job)
        raise ProblemError(problem.code, problem.detail) from error


def _enough(if_none_match: str | None, found: Status) -> bool:
    revision, state = found
    if if_none_match is None:
        return state in TERMINAL
    # A job that has ended will not change any more: whoever knows it need not wait.
    return state in TERMINAL or not names_revision(if_none_match, revision)
