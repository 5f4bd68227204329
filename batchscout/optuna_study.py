"""A job as a study of Optuna, for its dashboard and its plots.

What stands for what:

- The value of a trial is what its job compares: the calibrated seconds to the target (not their
  logarithm, which is drawn by a logarithmic axis), or the metric at the end of the budget.
- A run that ended as planned is COMPLETE. One that was stopped before is PRUNED and has no value:
  an imputed one would look measured in every plot. `censored_at_seconds` says how long it ran.
- A run that diverged or did not fit is FAIL, with the reason in `reason`.
- Intermediate values are the evaluations of the metric, by optimizer step. They are in the unit
  of the metric also where the value is in seconds.

The study is there to be looked at. Trials are runs, so that one configuration may be there
several times, on several seeds.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

STATES: Final = {
    "complete": "COMPLETE",
    "censored": "PRUNED",
    "diverged": "FAIL",
    "infeasible": "FAIL",
}
"""State of Optuna for each state of a run; one that still runs is left out."""

REASONS: Final = {
    "diverged": "the loss became infinite, no number, or three times the initial one",
    "infeasible": "it ran out of memory or could not be run",
}

ATTRIBUTES: Final = (
    "request_id",
    "stage",
    "state",
    "seed",
    "steps",
    "calibrated_seconds",
    "metric",
    "asam",
    "micro_batch_size",
    "gradient_accumulation_steps",
)
"""What of a run is kept beside its value."""

BATCH: Final = "global_batch_size"
RATE: Final = "learning_rate"


class OptunaMissing(Exception):
    """Optuna is not installed here; the message says the way out."""


def write_optuna_study(
    trials: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any] | None,
    path: Path,
    *,
    name: str,
    spec: Mapping[str, Any],
) -> int:
    """Write runs into an SQLite file that Optuna opens as a study.

    Args:
        trials: Runs as a report in JSON has them, with `curve`.
        answer: The recommendation, or None.
        path: Where to write; what is there is replaced once the study is whole.
        name: Of the study.
        spec: The request.

    Returns:
        How many trials were written.

    Raises:
        OptunaMissing: Optuna is not installed.
        OSError: The file cannot be written.
    """
    optuna = _optuna()
    objective = spec.get("objective", {})
    metric = str(objective.get("metric", "validation_loss"))
    in_seconds = objective.get("kind") == "time_to_target"
    maximise = metric == "accuracy" and not in_seconds
    space = _space(optuna, spec, trials)
    kept = [one for one in trials if one["state"] in STATES]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        file = Path(folder) / "study.db"
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        try:
            study = optuna.create_study(
                storage=storage, study_name=name, direction="maximize" if maximise else "minimize"
            )
            for key, value in _about(answer, metric, in_seconds=in_seconds).items():
                study.set_user_attr(key, value)
            study.add_trials([_trial(optuna, one, space, in_seconds=in_seconds) for one in kept])
        finally:
            storage.remove_session()
            storage.engine.dispose()
        os.replace(file, path)  # noqa: PTH105 - says that it is one step
    return len(kept)


def _optuna() -> Any:
    try:
        import optuna  # noqa: PLC0415 - a large library that one format alone needs
    except ImportError as error:
        raise OptunaMissing(
            "This format needs Optuna, which is not installed here: pip install 'optuna>=5'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _space(
    optuna: Any, spec: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The ranges that were asked for, widened to hold what was run: a race may go beyond."""
    asked = spec.get("search_space") or {}
    batches = _range(asked.get(BATCH), [one[BATCH] for one in trials])
    rates = _range(asked.get(RATE), [one[RATE] for one in trials])
    return {
        BATCH: optuna.distributions.IntDistribution(int(batches[0]), int(batches[1]), log=True),
        RATE: optuna.distributions.FloatDistribution(*rates, log=True),
    }


def _range(asked: Mapping[str, Any] | None, tried: Sequence[float]) -> tuple[float, float]:
    ends = [end for end in ((asked or {}).get("low"), (asked or {}).get("high")) if end is not None]
    known = [*ends, *tried] or [1.0]
    return min(known), max(known)


def _about(answer: Mapping[str, Any] | None, metric: str, *, in_seconds: bool) -> dict[str, Any]:
    about: dict[str, Any] = {
        "value": "calibrated seconds to the target" if in_seconds else metric,
        "intermediate_values": metric,
    }
    if answer is not None:
        named = (BATCH, RATE, "target", "target_reached", "evidence", "limited_by")
        about |= {
            f"recommended_{key}" if key in {BATCH, RATE} else key: answer[key] for key in named
        }
    return about


def _trial(
    optuna: Any, run: Mapping[str, Any], space: Mapping[str, Any], *, in_seconds: bool
) -> Any:
    state = STATES[run["state"]]
    value = run["calibrated_seconds"] if in_seconds else run["metric"]
    if state == "COMPLETE" and value is None:
        state = "FAIL"
    attributes = {key: run[key] for key in ATTRIBUTES}
    if run["state"] == "censored":
        attributes["censored_at_seconds"] = run["calibrated_seconds"]
    if state == "FAIL":
        attributes["reason"] = REASONS.get(run["state"], "it has no value")
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState[state],
        params={BATCH: run[BATCH], RATE: run[RATE]},
        distributions=dict(space),
        value=value if state == "COMPLETE" else None,
        intermediate_values=_curve(run),
        user_attrs=attributes,
    )


def _curve(run: Mapping[str, Any]) -> dict[int, float]:
    points = [(point["step"], point["value"]) for point in run.get("curve", ())]
    return {step: value for step, value in points if value is not None and math.isfinite(value)}
