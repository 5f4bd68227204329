"""The errors of batchscout, drawn.

    TunerError                  carries a `Problem`: code, detail, pointer, facts
    ├── InvalidWorkload         the caller must change the request; nothing is retried
    ├── NoFeasibleBatch         not even one sample fits; carries bytes needed and available
    ├── NotAnswerable           everything ran, and still no honest answer exists
    ├── IncompatibleRecord      a stored record cannot be read; the job ends, nothing is guessed
    └── UnknownRequest          an event names a request that was never started; a bug

What a run *showed* (it diverged, it ran out of memory, it missed the target) is an outcome in
its result, not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something could not be done, for people and programs.

    Args:
        code: Stable, from the table in `service/problems.py`.
        detail: One or two sentences: what is wrong, and what to change.
        pointer: JSON Pointer into the user's spec, where one field is to blame.
        traceback: Of the user's own code, where that raised.
        facts: Numbers behind it, such as bytes needed and available.
    """

    code: str
    detail: str
    pointer: str | None = None
    traceback: str | None = None
    facts: Mapping[str, Any] | None = None


class TunerError(Exception):
    """Something prevents an answer. The job ends `failed` with this problem.

    Args:
        detail: One or two sentences: what is wrong, and what to change.
        code: Stable code; the class has a default.
        pointer: JSON Pointer into the user's spec, where one field is to blame.
        facts: Numbers behind it.
        traceback: Of the user's own code, where that raised.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        pointer: str | None = None,
        facts: Mapping[str, Any] | None = None,
        traceback: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problem_code = code or self.code
        self.pointer = pointer
        self.traceback = traceback
        self.facts = facts
        self.traceback = traceback

    @classmethod
    def of(cls, problem: Problem) -> TunerError:
        """Raise again what was stored as a record."""
        return cls(
            problem.detail,
            code=problem.code,
            pointer=problem.pointer,
            facts=problem.facts,
            traceback=problem.traceback,
        )

    @property
    def problem(self) -> Problem:
        """The same as a record, to be stored and shown."""
        return Problem(
            code=self.problem_code,
            detail=self.detail,
            pointer=self.pointer,
            traceback=self.traceback,
            facts=self.facts,
        )


class InvalidWorkload(TunerError):
    """Model, data or options cannot be built or trained. The caller must change the request."""

    code = "invalid_workload"


class NoFeasibleBatch(TunerError):
    """Not even one sample fits.

    Its facts carry `bytes_available`, and `bytes_needed` where a memory trial saw it.
    """

    code = "no_feasible_batch"


class NotAnswerable(TunerError):
    """Everything ran, and still no honest answer exists; the detail says why."""

    code = "not_answerable"


class IncompatibleRecord(TunerError):
    """A stored record cannot be read by this version. The job ends; nothing is guessed."""

    code = "incompatible_upgrade"


class UnknownRequest(TunerError):
    """An event names a request that was never started. A bug in whoever drives the tuning."""

    code = "internal_error"
