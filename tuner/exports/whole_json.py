"""`json`: the answer itself, every field."""

from __future__ import annotations

from tuner.exports.format import Format, Keys, Written
from tuner.exports.json_text import json_text
from tuner.exports.plan import Plan, UnusableAnswer


def write(plan: Plan, _: Keys) -> Written:
    """Write the whole answer."""
    try:
        return Written(text=json_text(plan.answer) + "\n")
    except (TypeError, ValueError) as error:
        raise UnusableAnswer(f"the answer holds what JSON does not: {error}") from error


FORMAT = Format(
    name="json",
    media_type="application/json",
    suffix=".json",
    summary="the whole answer, as the service gives it",
    has_comments=True,  # the evidence is in it
    write=write,
)
