"""`python`: the five numbers as constants."""

from __future__ import annotations

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import comment
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import remarks
from tuner.exports.roles import roles


def write(plan: Plan, _: Keys) -> Written:
    """Write a Python module."""
    lines = "".join(f"{name.upper()} = {number(value)}\n" for name, value in roles(plan).items())
    return Written(text=f"{comment(remarks(plan))}\n{lines}")


FORMAT = Format(
    name="python",
    media_type="text/x-python",
    suffix=".py",
    summary="the five numbers as constants of a module",
    has_comments=True,
    write=write,
)
