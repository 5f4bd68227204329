"""A check as text: a line for each verdict, the file that it blames, and what was written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, TextIO

from batchscout.check.amounts import counted
from batchscout.check.plain import plain
from batchscout.check.run import Outcome, Report
from batchscout.check.verdict import Level, Verdict
from batchscout.exits import Exit

COLOURS: Final = {
    Level.OK: "\x1b[32m",
    Level.WARNING: "\x1b[33m",
    Level.UNTOLD: "\x1b[35m",
    Level.ERROR: "\x1b[1;31m",
}
PLAIN: Final = "\x1b[0m"

ENDINGS: Final = {
    Exit.OK: "passed",
    Exit.NEGATIVE: "refused",
    Exit.USAGE: "something has to change before this can be judged",
    Exit.UNTOLD: "cannot be told",
    Exit.LATER: "try later",
}


def write_text(outcome: Outcome, stream: TextIO) -> None:
    """Write what a check found for people.

    Args:
        outcome: What it found.
        stream: Where to write; coloured only if somebody looks at it.
    """
    coloured = stream.isatty() and "NO_COLOR" not in os.environ
    stream.writelines(f"{line}\n" for line in _lines(outcome, coloured=coloured))


def _lines(outcome: Outcome, *, coloured: bool) -> Iterator[str]:
    lock = outcome.held.lock
    yield f"lock {plain(str(outcome.task.wanted.lock_file))}"
    if lock is not None:
        yield f"  measured on {plain(lock.measured.device_name)}, {plain(lock.locked_at)}"
    yield from _verdicts(outcome.held.verdicts, coloured=coloured)
    if outcome.wrote_lock:
        yield "  written anew"
    for report in outcome.reports:
        yield from _report(report, coloured=coloured)
    yield f"result: {ENDINGS[outcome.exit_code]} (exit code {int(outcome.exit_code)})"


def _report(report: Report, *, coloured: bool) -> Iterator[str]:
    words = f" ({report.framework})" if report.framework else ""
    yield f"config {plain(report.file)}{words}: {_summary(report.verdicts)}"
    yield from _verdicts(report.verdicts, coloured=coloured)
    for change in report.changes:
        yield f"  wrote {plain(change.key)}: {_number(change.before)} -> {_number(change.after)}"
    for refused in report.refused:
        yield f"  not written: {plain(refused)}"


def _summary(verdicts: tuple[Verdict, ...]) -> str:
    nouns = {Level.ERROR: "error", Level.WARNING: "warning"}
    parts = [
        counted(number, noun)
        for level, noun in nouns.items()
        if (number := sum(verdict.level is level for verdict in verdicts))
    ]
    untold = sum(verdict.level is Level.UNTOLD for verdict in verdicts)
    parts += [f"{untold} untold"] if untold else []
    return ", ".join(parts) or "all ok"


def _verdicts(verdicts: tuple[Verdict, ...], *, coloured: bool) -> Iterator[str]:
    for verdict in verdicts:
        level = f"{verdict.level:<7}"
        if coloured:
            level = f"{COLOURS[verdict.level]}{level}{PLAIN}"
        yield f"  {level} {verdict.code:<16} {_place(verdict)}{plain(verdict.detail)}"


def _place(verdict: Verdict) -> str:
    if verdict.place is None or verdict.level is Level.OK:
        return ""
    key = f"{plain(verdict.place.key)}, " if verdict.place.key else ""
    return f"{key}line {verdict.place.line}: "


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
