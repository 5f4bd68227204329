"""The document of a study: what was asked, what was found, and how busy the machine was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.machine import machine_facts
from benchmarks.study.comparison import best_rates, compared
from benchmarks.study.journal import Journal, pass_total, quietest
from benchmarks.study.plots import plot
from benchmarks.study.stages import update_norms
from benchmarks.study.subjects import Subject
from tuner.records import StepTiming
from tuner.study import Study

MAX_POINTS: Final = 12
"""Points of a curve that are written at most, beside its first, its lowest and its last one."""

DIGITS: Final = 5
"""Significant digits of a number; its scatter over seeds begins long before."""


def write(
    subject: Subject, study: Study, journal: Journal, patience: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Write the document of a finished study, and its picture where there is matplotlib.

    Args:
        subject: What was studied.
        study: At its end.
        journal: What it has measured.
        patience: What more patience changes.
        folder: Where to.

    Returns:
        The document.
    """
    document = document_of(subject, study, journal, patience)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"study-{subject.name}.json"
    target.write_text(_text(document), encoding="utf-8")
    if find_spec("matplotlib") is not None:
        plot(document, target.with_suffix(".svg"))
    return document


def document_of(
    subject: Subject, study: Study, journal: Journal, patience: dict[str, Any]
) -> dict[str, Any]:
    """Put the document together; see `write`."""
    assert study.answer is not None  # noqa: S101  (the caller drove it to its end)
    findings = study.answer.model_dump(mode="json")
    for arm in findings["arms"]:
        for run in arm["runs"]:
            run["points_in_all"] = len(run["points"])
            run["points"] = thinned(run["points"], run["minimum"])
    claims = findings.pop("claims")
    return {
        "bench": "study",
        "subject": subject.title,
        "command": subject.command,
        "machine": machine_facts(),
        "load": _load(journal),
        "timings": _timings(study, journal),
        "spec": subject.spec.model_dump(mode="json"),
        "verdicts": dict(Counter(claim["verdict"] for claim in claims)),
        "beside_the_published": _rounded(compared(study)),
        "best_rates": best_rates(study),
        "patience": _rounded(patience),
        "update_norms": _rounded(update_norms(study)),
        "claims": _rounded(claims),
        "findings": _rounded(findings),
        "left_out": f"Curves hold {MAX_POINTS + 3} points at most, spread evenly over the epochs "
        "with the first, the lowest and the last one; points_in_all counts those that were "
        f"measured. Numbers have {DIGITS} significant digits.",
    }


def thinned(points: Sequence[Any], minimum: dict[str, Any] | None) -> list[Any]:
    """Keep the first, the lowest and the last point of a curve, and some between.

    Args:
        points: As found.
        minimum: Of the run, whose step names the lowest point; None where there is none.
    """
    if not points:
        return []
    width = max(1, -(-len(points) // MAX_POINTS))
    kept = {0, len(points) - 1, *range(0, len(points), width)}
    if minimum is not None:
        kept |= {i for i, point in enumerate(points) if point["step"] == minimum["step"]}
    return [points[index] for index in sorted(kept)]


def _text(document: dict[str, Any]) -> str:
    """Write JSON with one line for each part, row, claim and arm."""
    rows = {"beside_the_published", "claims"}
    findings = document["findings"]
    parts = {name: part for name, part in document.items() if name != "findings"}
    lines = [f'"{name}": {_lined(part) if name in rows else json.dumps(part)}'
             for name, part in parts.items()]  # fmt: skip
    within = [f' "{name}": {_lined(part) if name == "arms" else json.dumps(part)}'
              for name, part in findings.items()]  # fmt: skip
    return "{" + ",\n".join([*lines, '"findings": {\n' + ",\n".join(within) + "}"]) + "}\n"


def _lined(rows: list[Any]) -> str:
    return "[\n  " + ",\n  ".join(map(json.dumps, rows)) + "]"


def _load(journal: Journal) -> dict[str, Any]:
    loads = [line.load_average for line in journal.lines]
    return {
        "what": "Load average of the machine over one minute, at the end of every measurement. "
        "Other work shared the cores: the walls of a run say little, and seconds are calibrated.",
        "lowest": round(min(loads), 2),
        "median": round(median(loads), 2),
        "highest": round(max(loads), 2),
    }


def _timings(study: Study, journal: Journal) -> list[dict[str, Any]]:
    found = []
    for entry in study.job.history.of("timing"):
        request = entry.request
        if not isinstance(request, StepTiming) or not request.id.endswith("-0"):
            continue
        taken = journal.timings(request)
        chosen = quietest(taken)
        found.append(
            {
                "of": request.id.removesuffix("-0"),
                "sizes": list(request.micro_batch_sizes),
                "what": "Milliseconds of one step of all sizes together, of every time that they "
                "were taken; the lowest counts, whole.",
                "step_milliseconds": [round(1e3 * pass_total(one), 2) for one in taken],
                "windows_differ_by": round(max(one.spread for one in chosen.passes), 3),
            }
        )
    return found


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
