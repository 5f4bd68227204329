"""What a plain YAML scalar is, by a rule of our own.

YAML 1.1, which PyYAML reads, and YAML 1.2 disagree on some numbers. `1e-4` is one by the rule
of 1.2, and every framework makes a number of it; on `010` (8 or 10), `1_000`, `0o17` and
`1:30` the readers differ, so that they are told as doubtful instead of being read.
"""

from __future__ import annotations

import re

from batchscout.check.configuration import Obstacle
from batchscout.check.reading.entries import Kind, Trouble, printable

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DOUBTFUL = re.compile(
    r"[-+]?(0[0-9]+|0o[0-7]+|0b[01_]+|[0-9][0-9_]*_[0-9_.eE+-]*|[0-9][0-9_.]*\.[0-9_]*_[0-9_]*"
    r"|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?)"
)
_LONGEST_DOUBTFUL = 64
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})

Told = tuple[Kind, "float | str | None", "Trouble | None"]


def plain_value(written: str) -> Told:
    """Tell what a scalar without quotes and tag is."""
    if written in _NOTHING:
        return Kind.NOTHING, None, None
    if written in _TRUTH:
        return Kind.OTHER, written, None
    try:
        number = _number(written)
    except ValueError:  # more digits than Python turns into a whole number
        return Kind.TEXT, written, None
    if number is not None:
        return Kind.NUMBER, number, None
    if len(written) <= _LONGEST_DOUBTFUL and _DOUBTFUL.fullmatch(written):
        clause = f"is {printable(written)}, which readers of YAML understand in different ways"
        return Kind.TEXT, written, Trouble(obstacle=Obstacle.NOT_A_NUMBER, clause=clause)
    return Kind.TEXT, written, None


def _number(written: str) -> float | None:
    if _WHOLE.fullmatch(written):
        return int(written)
    if _HEXADECIMAL.fullmatch(written):
        return int(written, 16)
    if _FLOAT.fullmatch(written):
        return float(written)
    if _INFINITE.fullmatch(written):
        return float(written.replace(".", ""))
    return None
