"""What the service drives: a tuning or a study, and the past jobs that it may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from service.kinds import Answer
from tuner.errors import Problem
from tuner.records import Action, Event, Knowledge, PastAnswer


class Machine(Protocol):
    """What is driven: `tuner.tuning.Tuning` or `tuner.study.Study`, seen from here."""

    def apply(self, event: Event) -> None:
        """Take in what happened."""

    def actions(self) -> tuple[Action, ...]:
        """Say what is to be done now."""

    def trials(self) -> tuple[Any, ...]:
        """Show every training run: frozen records with a `number`."""

    def learned(self, *, job_id: str, answered_at: str) -> Knowledge | None:
        """Say what it leaves to later jobs; None where that is nothing."""

    @property
    def fingerprint(self) -> str | None:
        """Digest of all that its answer depends on; None before the inspection."""

    @property
    def repeats(self) -> str | None:
        """Fingerprint of what may have been answered before; None where nobody is to be asked."""

    @property
    def question(self) -> str | None:
        """Key of what past jobs may know; None where nobody is to be asked."""

    @property
    def progress(self) -> Any:
        """Where it is: a frozen record with a `stage`."""

    @property
    def answer(self) -> Answer | None:
        """The recommendation or the findings, once they are decided."""

    @property
    def failure(self) -> Problem | None:
        """Why there will be no answer, or None."""

    @property
    def finished(self) -> bool:
        """Whether there is an answer, a failure, or a cancellation."""


class MakeMachine(Protocol):
    """Makes the machine of a job that has seen nothing yet, by the kind of its spec."""

    def __call__(self, spec: Any, *, spec_digest: str) -> Machine:
        """Make it."""


Recall = Callable[[str], Knowledge | None]
"""Looks up what past jobs know, by key."""

FindAnswer = Callable[[str], PastAnswer | None]
"""Looks up what a past job has answered, by fingerprint."""


def nobody(key: str) -> None:
    """Know nothing."""
    del key
