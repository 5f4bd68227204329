"""Training runs: what the API shows of them, joined with what their results hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.evidence.tuning import RunEvidence
from service.store.recorded import Recorded
from service.store.tables import Record, Trial
from tuner.records import CurvePoint, NoiseWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The result of one run, as stored.

    Args:
        payload: Of the run, plain JSON.
        stacked_in: The request that trained it beside others, or None.
    """

    payload: Mapping[str, Any]
    stacked_in: str | None = None


def runs_of(recorded: Recorded) -> tuple[RunEvidence, ...]:
    """Read every training run of a tuning, in starting order.

    Args:
        recorded: All that is stored of the job.
    """
    stored = dict(_stored(recorded))
    return tuple(_run(trial, stored.get(_id(trial))) for trial in recorded.trials)


def _stored(recorded: Recorded) -> Iterator[tuple[str, Stored]]:
    """Every training result by the id of its run, those of stacks one by one."""
    stacks = {key: ids for key, ids in map(_stack, recorded.records) if ids}
    for request_id, payload in recorded.results.items():
        if request_id in stacks and isinstance(payload.get("results"), list):
            pairs = zip(stacks[request_id], payload["results"], strict=False)
            for run_id, result in pairs:
                yield run_id, Stored(payload=result, stacked_in=request_id)
        elif payload.get("record") == "TrainingResult":
            yield request_id, Stored(payload=payload)


def _stack(record: Record) -> tuple[str, tuple[str, ...]]:
    """Id of a request, and those of the runs that it trains side by side."""
    request = record.event.get("request")
    if not isinstance(request, Mapping) or request.get("record") != "StackedRuns":
        return "", ()
    return str(request.get("id")), tuple(str(run.get("id")) for run in request.get("runs", ()))


def _run(trial: Trial, stored: Stored | None) -> RunEvidence:
    view: dict[str, Any] = {name: trial.view.get(name) for name in _VIEWED}
    if stored is None:
        return RunEvidence(**view)
    payload = stored.payload
    stacked = stored.stacked_in is not None
    steps, seconds = view["steps"], view["calibrated_seconds"]
    known = payload.get("sharpness") or {}
    return RunEvidence(
        **view,
        step_seconds=seconds / steps if steps and seconds is not None else None,
        keskar=known.get("keskar"),
        hessian_top_eigenvalue=known.get("hessian_top_eigenvalue"),
        curve=tuple(
            CurvePoint(step=int(point["step"]), value=float(point["value"]))
            for point in payload.get("curve", ())
        ),
        noise=tuple(_window(window) for window in payload.get("noise", ())),
        limit_steps=payload.get("limit_applied"),
        device_seconds=None if stacked else payload.get("device_seconds"),
        stacked_in=stored.stacked_in,
    )


_VIEWED = (
    "number",
    "request_id",
    "stage",
    "state",
    "global_batch_size",
    "micro_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "seed",
    "steps",
    "calibrated_seconds",
    "metric",
    "asam",
)


def _window(plain: Mapping[str, Any]) -> NoiseWindow:
    return NoiseWindow(
        step=int(plain["step"]),
        small_batch_size=int(plain["small_batch_size"]),
        splits=int(plain["splits"]),
        small=float(plain["small"]),
        big=float(plain["big"]),
    )


def _id(trial: Trial) -> str:
    return str(trial.view.get("request_id"))
