"""A tuning job or a study as the client sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from batchscout.answer import Answer
from batchscout.errors import JobCancelled, JobFailed, Problem, UnexpectedAnswer
from batchscout.study import StudySummary

TERMINAL_STATES: Final = frozenset({"succeeded", "failed", "cancelled"})
"""States that a job never leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One tuning job, or one batch-size study, at one moment.

    Args:
        id: The job's id.
        state: `queued`, `running`, `cancelling`, `cancelled`, `succeeded` or `failed`.
        document: Everything the service said, as plain JSON.
    """

    id: str
    state: str
    document: Mapping[str, Any]

    @classmethod
    def read(cls, document: Any) -> Self:
        """Read a job from JSON.

        Args:
            document: The job as the service gives it.

        Returns:
            The job.

        Raises:
            UnexpectedAnswer: This is not a job.
        """
        if not isinstance(document, Mapping) or not {"id", "state"} <= document.keys():
            raise UnexpectedAnswer("what answers there does not speak of tuning jobs")
        return cls(id=str(document["id"]), state=str(document["state"]), document=document)

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state in TERMINAL_STATES

    @property
    def progress(self) -> Mapping[str, Any]:
        """How far it is; empty before it starts."""
        progress = self.document.get("progress")
        return progress if isinstance(progress, Mapping) else {}

    @property
    def problem(self) -> Problem | None:
        """Why it failed, if it did."""
        problem = self.document.get("problem")
        return Problem.read(problem) if isinstance(problem, Mapping) else None

    @property
    def answer(self) -> Answer | None:
        """The recommendation, if there is one yet."""
        recommendation = self.document.get("recommendation")
        return Answer.read(recommendation) if isinstance(recommendation, Mapping) else None

    def require_answer(self) -> Answer:
        """Return the answer of a job that has ended.

        Returns:
            The answer.

        Raises:
            JobFailed: It failed.
            JobCancelled: It was cancelled.
            UnexpectedAnswer: It has no answer although it says that it succeeded, or it has
                not ended.
        """
        self._require_success()
        answer = self.answer
        if answer is None:
            raise UnexpectedAnswer(f"job {self.id} is {self.state} and carries no recommendation")
        return answer

    @property
    def summary(self) -> StudySummary | None:
        """What a study found, in short, if there is anything yet."""
        summary = self.document.get("summary")
        return StudySummary.read(summary) if isinstance(summary, Mapping) else None

    def require_summary(self) -> StudySummary:
        """Return what a study that has ended found, in short.

        Returns:
            The summary.

        Raises:
            JobFailed: It failed.
            JobCancelled: It was cancelled.
            UnexpectedAnswer: It is no study, or has not ended.
        """
        self._require_success()
        summary = self.summary
        if summary is None:
            raise UnexpectedAnswer(f"study {self.id} is {self.state} and carries no summary")
        return summary

    def _require_success(self) -> None:
        if self.state == "failed":
            raise JobFailed(self.problem or Problem.read({}), job_id=self.id)
        if self.state == "cancelled":
            detail = f"job {self.id} was cancelled before it had an answer"
            raise JobCancelled(Problem(code="cancelled", detail=detail), job_id=self.id)
