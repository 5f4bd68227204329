"""The study machine: events go in, actions come out. No I/O, no threads, no clock.

It is driven exactly as a tuning is, by the same events, and replays in the same way; see
`tuner.staged`. What it answers with is not a choice but everything that was seen.
"""

from __future__ import annotations

from typing import Final

from tuner.deciding.history import History
from tuner.deciding.study import (
    findings,
    gradients,
    inspection,
    landscape,
    line,
    memory,
    minima,
    timing,
    train,
)
from tuner.deciding.study.course import predicted_seconds
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.trials import run_views
from tuner.deciding.trials import TrialView
from tuner.records import Knowledge
from tuner.spec import StudySpec, digest
from tuner.staged import Stage, Staged
from tuner.study_findings import StudyFindings

STAGES: Final = (
    Stage(name="inspect", finding=inspection.finding, wants=inspection.wants),
    Stage(name="memory", finding=memory.finding, wants=memory.wants),
    Stage(name="timing", finding=timing.finding, wants=timing.wants),
    Stage(name="train", finding=train.finding, wants=train.wants),
    Stage(name="minima", finding=minima.finding, wants=minima.wants),
    Stage(name="gradients", finding=gradients.finding, wants=gradients.wants),
    Stage(name="line", finding=line.finding, wants=line.wants),
    Stage(name="landscape", finding=landscape.finding, wants=landscape.wants),
    Stage(name="findings", finding=findings.finding, wants=findings.wants),
)


class Study(Staged[StudyJob, StudyFindings]):
    """One batch-size study, from its spec to its findings.

    Args:
        spec: What was asked.
        spec_digest: Digest of the user's own JSON; that of the resolved spec by default.
    """

    def __init__(self, spec: StudySpec, *, spec_digest: str | None = None) -> None:
        job = StudyJob(
            spec=spec,
            spec_digest=spec_digest or digest(spec.model_dump(mode="json")),
            history=History(),
        )
        super().__init__(job, STAGES)

    @property
    def answer(self) -> StudyFindings | None:
        """What was found, once all of it was measured."""
        return self._job.findings.findings

    @property
    def fingerprint(self) -> str | None:
        """Digest of all that the answer depends on; None before the inspection."""
        return findings.fingerprint(self._job) if self._job.findings.inspect else None

    @property
    def repeats(self) -> str | None:
        """None: a study that is asked for is measured, for nobody asks for the same one twice."""
        return None

    @property
    def question(self) -> str | None:
        """None: a study takes nothing over from past jobs."""
        return None

    def learned(self, *, job_id: str, answered_at: str) -> Knowledge | None:
        """Say nothing: its minima have no target that a tuning could use.

        Args:
            job_id: What later jobs would call it.
            answered_at: When it was answered, ISO 8601.
        """
        del job_id, answered_at
        return None

    def trials(self) -> tuple[TrialView, ...]:
        """Every training run, as people want to see it."""
        return run_views(self._job)

    def _predicted_seconds(self) -> float | None:
        return predicted_seconds(self._job)
