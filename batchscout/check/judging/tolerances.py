"""How far a configuration may be from the answer. Memory has no tolerance: it is hard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

TABLE: Final = ("tool", "batchscout", "check")


class BadTolerances(Exception):
    """A tolerance cannot be; the message names it and the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """What a team allows.

    Args:
        learning_rate: Factor by which a learning rate may lie outside the measured range; at
            least 1.
        slow_down: Per cent that training may take longer than with the answer; at least 0.
    """

    learning_rate: float = 2.0
    slow_down: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what allows nothing that can be met, or everything."""
        if not 1.0 <= self.learning_rate < math.inf:
            raise BadTolerances("the learning-rate-tolerance is a factor of at least 1")
        if not 0.0 <= self.slow_down < math.inf:
            raise BadTolerances("the slow-down-tolerance is in per cent, at least 0")


NAMES: Final = {
    f"{field.name}_tolerance".replace("_", "-"): field.name for field in fields(Tolerances)
}
"""What a tolerance is called on the command line and in a pyproject.toml."""


def tolerances_of(
    folder: Path, *, learning_rate: float | None = None, slow_down: float | None = None
) -> Tolerances:
    """Find the tolerances of a team; what was given on the command line wins.

    Args:
        folder: Where to begin: the nearest pyproject.toml at or above it that has a table
            `[tool.batchscout.check]` counts.
        learning_rate: As given on the command line.
        slow_down: As given on the command line.

    Returns:
        The tolerances.

    Raises:
        BadTolerances: That table, or its file, cannot be read; or a value cannot be.
    """
    given = {"learning_rate": learning_rate, "slow_down": slow_down}
    wins = {name: value for name, value in given.items() if value is not None}
    return replace(_of_team(folder), **wins)


def _of_team(folder: Path) -> Tolerances:
    start = folder.resolve()
    for place in (start, *start.parents):
        file = place / "pyproject.toml"
        table = _table(file) if file.is_file() else None
        if table is not None:
            return _read(file, table)
    return Tolerances()


def _table(file: Path) -> Mapping[str, Any] | None:
    import tomllib  # noqa: PLC0415 - most checks have no such file

    try:
        found: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadTolerances(f"{file} cannot be read: {error}") from error
    for name in TABLE:
        found = found.get(name) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, dict):
        raise BadTolerances(f"[{'.'.join(TABLE)}] in {file} is no table")
    return found


def _read(file: Path, table: Mapping[str, Any]) -> Tolerances:
    where = f"[{'.'.join(TABLE)}] in {file}"
    unknown = sorted(set(table) - set(NAMES))
    if unknown:
        raise BadTolerances(
            f"{where} has {' and '.join(map(repr, unknown))}, which means nothing there; it may "
            f"have {' and '.join(NAMES)}"
        )
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadTolerances(f"{name} of {where} is no number")
    try:
        return Tolerances(**{NAMES[name]: float(value) for name, value in table.items()})
    except BadTolerances as error:
        raise BadTolerances(f"{where}: {error}") from error
