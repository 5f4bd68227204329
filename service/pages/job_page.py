"""What the page of one job shows, read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.api.collection import Collection
from service.api.dependencies import Parts
from service.api.security import Caller
from service.kinds import facts_of
from service.pages.exports import ExportShown, Source, exports_of
from service.pages.stages import StageShown, stages_of
from service.pages.time_left import TimeLeft, time_left
from service.pages.wording import VERDICTS
from service.problems import Problem
from service.schemas import Trial
from service.store.database import now
from service.store.jobs import Jobs
from service.store.tables import LIVE, TERMINAL, Job, JobKind, JobState
from service.study_schemas import StudyRunShown
from service.study_summary import StudySummary
from tuner.recommendation import Recommendation
from tuner.study_findings import ClaimFound

ROWS: Final = 100
"""Trials that are shown at once."""

PAST_JOBS: Final = 50
"""Jobs that ended lately, by which predictions are judged."""

WORKS: Final[Mapping[str, str]] = {JobKind.TUNING: "/jobs", JobKind.STUDY: "/studies"}
"""Where the pages of each kind are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRows:
    """Some trials of a job.

    Args:
        items: In the order of their start.
        next_after: Position after which there are more; None: these are the last.
    """

    items: Sequence[Trial | StudyRunShown]
    next_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One job as its page shows it.

    Args:
        job: As stored.
        shown: As the API shows it; readable whatever version wrote the job.
        address: Of its page.
        api_address: Of the resource.
        noun: What people call it.
        stages: Where it is.
        measuring: Device and request of what is being measured now.
        left: How much longer it takes, or None.
        exports: Its answer in forms that can be copied.
    """

    job: Job
    shown: Any
    address: str
    api_address: str
    noun: str
    stages: tuple[StageShown, ...]
    measuring: tuple[tuple[str, str], ...]
    left: TimeLeft | None
    exports: tuple[ExportShown, ...]

    @property
    def is_live(self) -> bool:
        """Whether anything can still change."""
        return self.job.state not in TERMINAL

    @property
    def answer(self) -> Recommendation | None:
        """The recommendation of a tuning job."""
        found = getattr(self.shown, "recommendation", None)
        return found if isinstance(found, Recommendation) else None

    @property
    def summary(self) -> StudySummary | None:
        """What a study found, in short."""
        found = getattr(self.shown, "summary", None)
        return found if isinstance(found, StudySummary) else None

    @property
    def claims(self) -> tuple[tuple[str, tuple[ClaimFound, ...]], ...]:
        """The claims of a study by their verdicts, those that are told first."""
        found = self.summary.claims if self.summary else ()
        grouped = [(name, tuple(one for one in found if one.verdict == name)) for name in VERDICTS]
        return tuple((name, claims) for name, claims in grouped if claims)

    @property
    def problem(self) -> Problem | None:
        """Why it has failed."""
        found = self.shown.problem
        return found if isinstance(found, Problem) else None

    @property
    def sentence(self) -> str:
        """Where it is, for who listens to the page instead of seeing it."""
        stage = next((one for one in self.stages if one.when == "now"), None)
        if not self.is_live or stage is None:
            return f"The {self.noun} is {self.job.state}."
        return f"The {self.noun} is {self.job.state}; stage {stage.name}: it {stage.measures}."


def page_of(collection: Collection[Any], job_id: str, parts: Parts, caller: Caller) -> JobPage:
    """Read a job for its page.

    Args:
        collection: All jobs of its kind.
        job_id: Which job.
        parts: Store and settings.
        caller: Who asks.

    Raises:
        ProblemError: There is none that the caller may see.
    """
    job = collection.find(job_id, parts, caller)
    shown = collection.show(job)
    answer = getattr(shown, "recommendation", None)
    source = Source(job_id=job.id, spec=job.spec, answer=answer) if answer else None
    facts = facts_of(job.kind)
    return JobPage(
        job=job,
        shown=shown,
        address=f"{WORKS[job.kind]}/{job.id}",
        api_address=facts.address(job.id),
        noun=facts.noun,
        stages=stages_of(job.kind, job.stage, job.state),
        measuring=_measuring(job, parts.jobs),
        left=_left(job, parts.jobs, caller),
        exports=exports_of(source) if source else (),
    )


def rows_of(
    model: type[Trial | StudyRunShown], job: Job, jobs: Jobs, *, after: int | None
) -> TrialRows:
    """Read some trials of a job.

    Args:
        model: How they are shown.
        job: Whose they are.
        jobs: The store.
        after: Only those after this position.
    """
    found = jobs.trials(job.number, limit=ROWS + 1, after=after)
    shown = found[:ROWS]
    return TrialRows(
        items=[model.model_validate(trial.view) for trial in shown],
        next_after=shown[-1].position if len(found) > ROWS else None,
    )


def _measuring(job: Job, jobs: Jobs) -> tuple[tuple[str, str], ...]:
    if job.state not in LIVE:
        return ()
    _, devices = jobs.devices()
    return tuple(
        (str(device.view["name"]), str(attempt["request_id"]))
        for device in devices
        if (attempt := device.view.get("attempt")) and attempt["job_id"] == job.id
    )


def _left(job: Job, jobs: Jobs, caller: Caller) -> TimeLeft | None:
    if job.state != JobState.RUNNING or job.started_at is None or not job.progress:
        return None
    limit = job.spec.get("budget", {}).get("timeout_seconds")
    if limit is None:
        limit = facts_of(job.kind).spec.model_validate(job.spec).budget.timeout_seconds
    return time_left(
        predicted_seconds=job.progress.get("predicted_device_seconds"),
        spent_seconds=float(job.progress.get("device_seconds") or 0.0),
        elapsed_seconds=(now() - job.started_at).total_seconds(),
        limit_seconds=float(limit),
        past=_past(job, jobs, caller),
    )


def _past(job: Job, jobs: Jobs, caller: Caller) -> list[float]:
    """By how much the predictions of the caller's own past jobs were off."""
    ended = jobs.page(
        limit=PAST_JOBS,
        before=job.number,
        state=JobState.SUCCEEDED,
        owner=caller.owner,
        kind=JobKind(job.kind),
    )
    return [
        one.progress["device_seconds"] / predicted
        for one in ended
        if one.progress and (predicted := one.progress.get("predicted_device_seconds"))
    ]
