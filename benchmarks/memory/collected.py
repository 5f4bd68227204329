"""One document of the rows that the card's bench has left, with the band that follows from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

QUANTILE: Final = 0.95
"""Of the absolute prediction error; it is the half-width of the `unsure` band."""


def collect(sources: Sequence[Path], result: Path) -> dict[str, Any]:
    """Read rows and write the document.

    Args:
        sources: Files of JSON lines, one for each shard.
        result: Where the document goes.

    Returns:
        The document.
    """
    rows = [json.loads(line) for source in sources for line in source.read_text().splitlines()]
    document = {"status": status(rows), "summary": summary(rows), "cases": rows}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def status(rows: Sequence[dict[str, Any]]) -> str:
    """Say what the rows were measured on."""
    devices = sorted({row["device"] for row in rows})
    if not devices or "simulated" in devices:
        return "not yet run on a real card"
    return f"run on {', '.join(devices)}"


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count what the rows show; a row with a problem is counted as such and no more."""
    good = [row for row in rows if "problem" not in row]
    ratios = sorted(row["answer"] / row["maximum"] for row in good)
    return {
        "cases": len(rows),
        "problems": len(rows) - len(good),
        "trials_most": max((row["trials"] for row in good), default=None),
        "cases_without_out_of_memory": sum(row["out_of_memory"] == 0 for row in good),
        "answer_over_maximum_least": round(ratios[0], 4) if ratios else None,
        "live_error_95": _quantile(good, "live"),
        "reserved_error_95": _quantile(good, "reserved"),
    }


def _quantile(rows: Sequence[dict[str, Any]], kind: str) -> float | None:
    found = [abs(error[kind]) for row in rows for error in row["errors"] if error[kind] is not None]
    found.sort()
    return found[min(len(found) - 1, int(QUANTILE * len(found)))] if found else None
