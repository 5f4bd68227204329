"""`yaml`: the five numbers as one flat mapping, in our own words."""

from __future__ import annotations

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import comment
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import remarks
from tuner.exports.roles import roles


def write(plan: Plan, _: Keys) -> Written:
    """Write a YAML mapping."""
    lines = "".join(f"{name}: {number(value)}\n" for name, value in roles(plan).items())
    return Written(text=comment(remarks(plan)) + lines)


FORMAT = Format(
    name="yaml",
    media_type="application/yaml",
    suffix=".yaml",
    summary="the five numbers as a flat mapping",
    has_comments=True,
    write=write,
)
