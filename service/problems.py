"""The only table from a stable code to an HTTP status and a title.

A problem is the same object in a response (RFC 9457) and in a failed job, so that a client
needs one way of reading both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from tuner.errors import Problem as TunerProblem

MEDIA_TYPE: Final = "application/problem+json"
MOST_IN_DETAIL: Final = 4000
"""Characters of a sentence; what the user wrote may be repeated in it, and be endless."""

MOST_IN_ADDRESS: Final = 500
"""Characters of an instance or a pointer; a longer one is left out, since half of one misleads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What every problem of one code has in common.

    Args:
        status: HTTP status of a response with it.
        title: Short, the same each time.
    """

    status: int
    title: str


KINDS: Final[Mapping[str, Kind]] = {
    # the request as HTTP
    "invalid_json": Kind(status=400, title="The body is not one JSON value"),
    "bad_request": Kind(status=400, title="The request cannot be read"),
    "unauthenticated": Kind(status=401, title="A valid key is needed"),
    "cross_site": Kind(status=403, title="The form came from another site"),
    "not_found": Kind(status=404, title="There is nothing at this address"),
    "tuning_job_not_found": Kind(status=404, title="There is no such tuning job"),
    "batch_size_study_not_found": Kind(status=404, title="There is no such batch-size study"),
    "no_findings": Kind(status=404, title="This study ended without findings"),
    "no_recommendation": Kind(status=404, title="This job ended without a recommendation"),
    "method_not_allowed": Kind(status=405, title="This address does not take that method"),
    "body_too_slow": Kind(status=408, title="The body did not arrive in time"),
    "not_finished": Kind(status=409, title="The job has not finished yet"),
    "idempotency_key_in_use": Kind(status=409, title="The first request is still being answered"),
    "body_too_large": Kind(status=413, title="The body is over the limit"),
    "unsupported_media_type": Kind(status=415, title="The body must be JSON"),
    "unknown_host": Kind(status=421, title="The request is for another host"),
    "invalid_parameter": Kind(status=422, title="A parameter is not valid"),
    "idempotency_key_reused": Kind(status=422, title="This key came with another request before"),
    "callback_refused": Kind(status=422, title="A callback must not go to this URL"),
    "queue_full": Kind(status=429, title="Too many jobs are queued"),
    "key_queue_full": Kind(status=429, title="Too many jobs of this key are queued"),
    "too_many_streams": Kind(status=429, title="Too many streams of events are open"),
    "estimates_busy": Kind(status=429, title="Other estimates are being made"),
    "estimate_lost": Kind(status=500, title="The process that predicts has died"),
    "estimate_timed_out": Kind(status=504, title="The prediction took too long"),
    "internal_error": Kind(status=500, title="Something went wrong in batchscout"),
    "not_ready": Kind(status=503, title="The service is not ready"),
    "storage_full": Kind(status=507, title="There is no room to store this"),
    # the request as a question to the tuner
    "invalid_spec": Kind(status=422, title="The request is not valid"),
    "batch_above_data_cap": Kind(status=422, title="The data set is too small for this batch"),
    "study_too_large": Kind(status=422, title="The study has too many runs"),
    "accelerator_unavailable": Kind(status=422, title="There is no such accelerator here"),
    "invalid_workload": Kind(status=422, title="Model, data or options cannot be used"),
    "model_not_accepted": Kind(status=422, title="This architecture is not accepted"),
    "config_key_refused": Kind(status=422, title="This key of a configuration is not accepted"),
    "model_too_large": Kind(status=422, title="The model is too large"),
    "workload_raised": Kind(status=422, title="Your own code raised an error"),
    "card_unknown": Kind(status=422, title="This card is not in the catalogue"),
    "model_not_traceable": Kind(status=422, title="The model's memory cannot be predicted"),
    "model_failed": Kind(status=422, title="The model raised an error"),
    "data_failed": Kind(status=422, title="The data set raised an error"),
    "entrypoint_not_allowed": Kind(status=422, title="This entry point is not allowed here"),
    "entrypoint_not_found": Kind(status=422, title="There is no such entry point"),
    "path_outside_root": Kind(status=422, title="The path leads outside of the file roots"),
    "file_not_found": Kind(status=422, title="There is no such file"),
    "unreadable_file": Kind(status=422, title="The file cannot be read"),
    "missing_array": Kind(status=422, title="The file lacks an array"),
    "shape_mismatch": Kind(status=422, title="Shapes or types of the data do not fit"),
    "too_few_samples": Kind(status=422, title="There are too few samples"),
    "data_not_finite": Kind(status=422, title="The data holds a value that is not finite"),
    "labels_out_of_range": Kind(status=422, title="A label is out of range"),
    # how a job can end
    "no_feasible_batch": Kind(status=422, title="Not even one sample fits into memory"),
    "not_answerable": Kind(status=422, title="There is no honest answer to this request"),
    "horizon_too_short": Kind(status=422, title="The horizon is too short for a target"),
    "no_automatic_target": Kind(status=422, title="No target could be found"),
    "all_runs_diverged": Kind(status=422, title="Every training run diverged"),
    "no_trial_succeeded": Kind(status=422, title="No trial of the search gave a result"),
    "budget_exhausted": Kind(status=422, title="The budget ended before there was an answer"),
    "attempts_exhausted": Kind(status=500, title="A measurement was lost again and again"),
    "cancelled": Kind(status=409, title="The job was cancelled"),
    "incompatible_upgrade": Kind(status=409, title="This version cannot read the job's records"),
}


class Violation(BaseModel):
    """One thing that is wrong, where it is, and what to change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detail: str
    pointer: str | None = Field(
        default=None, description="JSON Pointer into the request's body, if a field is to blame."
    )
    parameter: str | None = Field(
        default=None, description="Name of the query parameter or header that is to blame."
    )


class Problem(BaseModel):
    """Why something could not be done (RFC 9457)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(description="`urn:batchscout:problem:` and the code.")
    title: str
    status: int
    detail: str
    instance: str | None = Field(default=None, description="The address it is about.")
    code: str = Field(description="Stable: programs decide by it.")
    errors: list[Violation] = []
    traceback: str | None = Field(default=None, description="Of your own code, where it raised.")
    facts: dict[str, JsonValue] | None = Field(default=None, description="Numbers behind it.")


class ProblemError(Exception):
    """A request is refused. Turned into a problem response in one place.

    Args:
        code: From `KINDS`.
        detail: One or two sentences: what is wrong, and what to change.
        errors: The single violations, where there are any.
        headers: Extra response headers.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Violation] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def kind_of(code: str) -> Kind:
    """Look a code up; one that is not listed is some kind of invalid workload."""
    return KINDS.get(code, KINDS["invalid_workload"])


def make_problem(
    code: str,
    detail: str,
    *,
    instance: str | None = None,
    errors: Sequence[Violation] = (),
    traceback: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Problem:
    """Fill a problem in from its code.

    Args:
        code: From `KINDS`.
        detail: What is wrong here, and what to change.
        instance: The address it is about.
        errors: The single violations.
        traceback: Of the user's own code.
        facts: Numbers behind it.

    Returns:
        The problem, with its type, title and status.
    """
    kind = kind_of(code)
    return Problem(
        type=f"urn:batchscout:problem:{code}",
        title=kind.title,
        status=kind.status,
        detail=_cut(detail),
        instance=_address(instance),
        code=code,
        errors=list(errors),
        traceback=traceback,
        facts=dict(facts) if facts else None,
    )


def from_tuner(problem: TunerProblem, *, instance: str | None = None) -> Problem:
    """Turn the tuner's problem into the one that people see.

    Args:
        problem: What admission, a worker or the tuning itself said.
        instance: The address it is about.

    Returns:
        The problem; a blamed field becomes its one violation.
    """
    errors = []
    if problem.pointer is not None:
        errors.append(Violation(detail=_cut(problem.detail), pointer=_address(problem.pointer)))
    return make_problem(
        problem.code,
        problem.detail,
        instance=instance,
        errors=errors,
        traceback=problem.traceback,
        facts=problem.facts,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MOST_IN_DETAIL else text[: MOST_IN_DETAIL - 1] + "…"


def _address(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_IN_ADDRESS else None
