"""A check in the words of a GitHub runner: annotations, job summary, outputs of the step.

Whatever comes from a file is data here: in an annotation percent signs and line breaks are
escaped as the runner undoes it, in the summary what Markdown would read, in the outputs a
value is one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit, urlunsplit

from batchscout.check.amounts import counted
from batchscout.check.plain import plain
from batchscout.check.run import Outcome
from batchscout.check.telling.text import ENDINGS
from batchscout.check.verdict import Level, Verdict
from batchscout.exits import Exit

MAX_ANNOTATIONS: Final = 10
"""Of each kind a step shows so many and drops the rest in silence."""

MAX_SUMMARY_BYTES: Final = 2**20
"""A step whose summary is longer has none."""

MARKDOWN: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]()#+-.!|~@"} | {"<": "&lt;"})


def is_runner(environment: Mapping[str, str]) -> bool:
    """Whether this process runs as a step of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def write_annotations(outcome: Outcome, stream: TextIO) -> None:
    """Write workflow commands that mark the lines of the files, at most 10 of each kind.

    Args:
        outcome: What was found.
        stream: Standard output or standard error: a runner reads both.
    """
    found: dict[str, list[str]] = {"error": [], "warning": []}
    for file, verdict in _findings(outcome):
        kind = _kind(verdict, allows_untold=outcome.task.allows_untold)
        if kind is not None:
            found[kind].append(_annotation(kind, file, verdict))
    for kind, lines in found.items():
        if len(lines) > MAX_ANNOTATIONS:
            more = counted(len(lines) - MAX_ANNOTATIONS + 1, f"more {kind}")
            title = f"::{kind} title=batchscout::{more}: see the summary of the job"
            lines[MAX_ANNOTATIONS - 1 :] = [title]
        stream.writelines(f"{line}\n" for line in lines)


def write_summary(outcome: Outcome, file: Path) -> None:
    """Append a table of the verdicts to a job summary, as far as there is room.

    Args:
        outcome: What was found.
        file: As named by `GITHUB_STEP_SUMMARY`.
    """
    room = MAX_SUMMARY_BYTES - (file.stat().st_size if file.exists() else 0)
    ending = "\nThe rest did not fit here: see the log.\n"
    text, room = "", room - len(ending.encode())
    for line in _summary(outcome):
        room -= len(line.encode()) + 1
        if room < 0:
            text += ending
            break
        text += f"{line}\n"
    if len(text) > len(ending):
        _append(file, text)


def write_outputs(outcome: Outcome, file: Path, server: str | None) -> None:
    """Append the outputs of the step.

    Args:
        outcome: What was found.
        file: As named by `GITHUB_OUTPUT`.
        server: The address of the service, for a link to the job.
    """
    lock = outcome.held.lock
    measured = lock.measured if lock else None
    rate = measured.learning_rate if measured else None
    values = {
        "micro-batch-size": measured.micro_batch_size if measured else "",
        "gradient-accumulation-steps": measured.gradient_accumulation_steps if measured else "",
        "global-batch-size": measured.global_batch_size if measured else "",
        "learning-rate": "" if rate is None else repr(rate),
        "job-url": _job_url(server, lock.job_id) if server and lock else "",
        "matched": "true" if outcome.exit_code is Exit.OK else "false",
    }
    _append(file, "".join(f"{name}={plain(str(value))}\n" for name, value in values.items()))


def _findings(outcome: Outcome) -> Iterator[tuple[str, Verdict]]:
    lock_file = str(outcome.task.wanted.lock_file)
    yield from ((lock_file, verdict) for verdict in outcome.held.verdicts)
    for report in outcome.reports:
        yield from ((report.file, verdict) for verdict in report.verdicts)


def _kind(verdict: Verdict, *, allows_untold: bool) -> str | None:
    if verdict.level is Level.OK:
        return None
    passes = verdict.level is Level.WARNING or (verdict.level is Level.UNTOLD and allows_untold)
    return "warning" if passes else "error"


def _annotation(kind: str, file: str, verdict: Verdict) -> str:
    properties = {"file": file}
    if verdict.place is not None:
        properties |= {"line": str(verdict.place.line), "col": str(verdict.place.column)}
    properties["title"] = f"batchscout: {verdict.code}"
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {written}::{_data(plain(verdict.detail))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C").replace("##[", "# #[")


def _summary(outcome: Outcome) -> Iterator[str]:
    yield f"### batchscout check: {ENDINGS[outcome.exit_code]}"
    lock = outcome.held.lock
    if lock is not None:
        answer = lock.measured
        yield ""
        yield (
            f"Measured on {_cell(answer.device_name)}: micro-batch {answer.micro_batch_size}, "
            f"accumulation {answer.gradient_accumulation_steps}, global batch "
            f"{answer.global_batch_size}, learning rate {answer.learning_rate or 'not tuned'}."
        )
    yield ""
    yield "| file | line | verdict | question | detail |"
    yield "|---|---|---|---|---|"
    for file, verdict in _findings(outcome):
        line = verdict.place.line if verdict.place else ""
        cells = (_cell(file), line, verdict.level, verdict.code, _cell(verdict.detail))
        yield "| " + " | ".join(map(str, cells)) + " |"
    for report in outcome.reports:
        for change in report.changes:
            now = f"{change.before:g} → {change.after!r}"
            yield f"| {_cell(report.file)} | | written | {change.role} | {now} |"
        for refused in report.refused:
            yield f"| {_cell(report.file)} | | not written | | {_cell(refused)} |"


def _cell(text: str) -> str:
    return plain(text).translate(MARKDOWN)


def _job_url(server: str, job_id: str) -> str:
    parts = urlsplit(server)
    host = parts.netloc.rpartition("@")[2]  # a user and a password are nobody's business
    base = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return f"{base}/v1/tuning-jobs/{job_id}"


def _append(file: Path, text: str) -> None:
    with file.open("a+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(size - 1)
            text = text if stream.read(1) == b"\n" else f"\n{text}"
        stream.write(text.encode())
