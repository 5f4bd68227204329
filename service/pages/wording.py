"""Numbers, moments and requests as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from service.charts.drawing import NOT_MEASURED, number

MINUTE_SECONDS: Final = 60.0
HOUR_SECONDS: Final = 3600.0
DAY_SECONDS: Final = 86400.0
_MOST_CHARACTERS: Final = 80

STATES: Final[Mapping[str, tuple[str, str]]] = {
    "queued": ("○", "queued"),
    "running": ("▶", "running"),
    "cancelling": ("◼", "being cancelled"),
    "cancelled": ("◼", "cancelled"),
    "succeeded": ("✓", "succeeded"),
    "failed": ("✗", "failed"),
}
"""A sign and a word for each state of a job: never a colour alone."""

VERDICTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "holds": ("✓", "holds", "hold"),
    "does_not_hold": ("✗", "does not hold", "do not hold"),
    "cannot_be_told": ("?", "cannot be told", "cannot be told"),
}
"""The same for each verdict on a claim, and a word for several of them."""


def duration(seconds: float | None) -> str:
    """Write seconds in the unit that suits them.

    Args:
        seconds: How long; None was not measured.
    """
    if seconds is None:
        return NOT_MEASURED
    for unit, of_one, enough in (
        ("days", DAY_SECONDS, 2.0),
        ("h", HOUR_SECONDS, 1.0),
        ("min", MINUTE_SECONDS, 2.0),
    ):
        if seconds >= enough * of_one:
            return f"{seconds / of_one:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 1.0 else f"{seconds * 1e3:.3g} ms"


def ago(moment: datetime | None, now: datetime) -> str:
    """Say how long ago something was.

    Args:
        moment: When it was.
        now: The present.
    """
    if moment is None:
        return NOT_MEASURED
    seconds = max(0.0, (now - moment).total_seconds())
    for unit, of_one in (("day", DAY_SECONDS), ("hour", HOUR_SECONDS), ("minute", MINUTE_SECONDS)):
        if seconds >= of_one:
            count = int(seconds // of_one)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now" if seconds < 1.0 else f"{int(seconds)} s ago"


def share(value: float) -> str:
    """Write a part of one as a percentage."""
    return f"{value * 100:.0f} %"


def model_of(spec: Mapping[str, Any]) -> str:
    """Name the model of a request, whoever wrote it: a stored one may be of another version."""
    return _named(spec.get("model"), ("name", "model_type", "entrypoint"))


def data_of(spec: Mapping[str, Any]) -> str:
    """Name the data of a request."""
    return _named(spec.get("dataset"), ("name", "path", "train", "entrypoint"))


def best_of(best: Mapping[str, Any] | None) -> str:
    """Say which configuration is best so far.

    Args:
        best: As a job's progress shows it, or None.
    """
    if not best:
        return NOT_MEASURED
    batch = best.get("global_batch_size", best.get("batch_size"))
    said = [f"batch {number(batch)}"] if isinstance(batch, int) else []
    rate, metric = best.get("learning_rate"), best.get("metric")
    if isinstance(rate, int | float):
        said.append(f"learning rate {number(rate)}")
    if isinstance(metric, int | float):
        said.append(f"metric {number(metric)}")
    seconds = best.get("calibrated_seconds")
    if isinstance(seconds, int | float):
        said.append(f"{duration(seconds)} of training")
    return ", ".join(said) or NOT_MEASURED


def _named(part: Any, keys: tuple[str, ...]) -> str:
    if not isinstance(part, Mapping):
        return NOT_MEASURED
    named = next((str(part[key]) for key in keys if part.get(key)), "")
    kind = str(part.get("kind", ""))
    said = f"{named} ({kind})" if named and kind else named or kind
    return said if len(said) <= _MOST_CHARACTERS else f"{said[: _MOST_CHARACTERS - 1]}…"
