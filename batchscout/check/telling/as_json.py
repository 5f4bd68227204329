"""A check as one JSON document."""

from __future__ import annotations

import json
from typing import Any, Final, TextIO

from batchscout.check.configuration import Place
from batchscout.check.plain import COMMAND
from batchscout.check.run import Outcome, Report
from batchscout.check.verdict import Verdict
from batchscout.exits import Exit

CHECK_VERSION: Final = 1
"""Raised when a field changes its meaning or goes away."""

ANSWER: Final = (
    "micro_batch_size",
    "gradient_accumulation_steps",
    "data_parallel_size",
    "global_batch_size",
    "learning_rate",
)


def write_json(outcome: Outcome, stream: TextIO) -> None:
    """Write what a check found for programs.

    Args:
        outcome: What it found.
        stream: Where to write; nothing else is written there.
    """
    text = json.dumps(document(outcome), indent=2)
    # Outside of strings no number sign stands in JSON, so this changes no value.
    stream.write(text.replace(COMMAND, "\\u0023#[") + "\n")


def document(outcome: Outcome) -> dict[str, Any]:
    """Lay a check out as plain values.

    Args:
        outcome: What it found.

    Returns:
        The document; `docs/check.md` describes it.
    """
    lock = outcome.held.lock
    tolerances = outcome.task.tolerances
    return {
        "check_version": CHECK_VERSION,
        "exit_code": int(outcome.exit_code),
        "matched": outcome.exit_code is Exit.OK,
        "lock": {
            "file": str(outcome.task.wanted.lock_file),
            "job_id": lock.job_id if lock else None,
            "locked_at": lock.locked_at if lock else None,
            "device_name": lock.measured.device_name if lock else None,
            "fresh": outcome.held.is_fresh,
            "written": outcome.wrote_lock,
            "verdicts": [_verdict(one) for one in outcome.held.verdicts],
        },
        "answer": {name: getattr(lock.measured, name) for name in ANSWER} if lock else None,
        "tolerances": {
            "learning_rate_factor": tolerances.learning_rate,
            "slow_down_per_cent": tolerances.slow_down,
        },
        "configs": [_report(one) for one in outcome.reports],
    }


def _report(report: Report) -> dict[str, Any]:
    return {
        "file": report.file,
        "framework": report.framework,
        "verdicts": [_verdict(one) for one in report.verdicts],
        "changed": [
            {"role": one.role.value, "key": one.key, "before": one.before, "after": one.after}
            for one in report.changes
        ],
        "not_written": list(report.refused),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "code": verdict.code,
        "level": verdict.level.value,
        "detail": verdict.detail,
        "numbers": dict(verdict.numbers),
        "role": verdict.role.value if verdict.role else None,
        "place": _place(verdict.place) if verdict.place else None,
    }


def _place(place: Place) -> dict[str, Any]:
    return {"key": place.key, "line": place.line, "column": place.column}
