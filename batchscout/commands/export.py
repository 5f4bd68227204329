"""`batchscout export`: an answer in the words of a framework, from a service or from a lock."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchscout.check.lock import BadLock, read_lock
from batchscout.commands.problem_text import problem_text
from batchscout.errors import BatchscoutError, Refused, ServiceUnavailable
from batchscout.exits import Exit
from batchscout.origin import ForeignPackage, check_origin

if TYPE_CHECKING:
    from batchscout.client import Client
    from tuner.exports.format import Written

SERVER_VARIABLE: Final = "BATCHSCOUT_SERVER"
ENDED: Final = {"not_finished": Exit.LATER, "no_recommendation": Exit.UNTOLD}
"""Refusals that are no mistake: there is no answer yet, or there will be none."""

OPTUNA: Final = "optuna"
"""The one format that is no text: a job's runs as a study, in a file that Optuna opens."""


class CannotExport(Exception):
    """Nothing is written; the message says why.

    Args:
        message: For people.
        code: How the command ends.
    """

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


def export(options: argparse.Namespace) -> Exit:
    """Write an answer in a format.

    Args:
        options: `job` or `lock`, `format`, `server`, `out` and `map`.

    Returns:
        OK; USAGE for a command line or a lock that has to change; UNTOLD where there is no
        answer; LATER where nobody answers or the job has not ended.
    """
    try:
        if options.format == OPTUNA:
            _write_study(options)
            return Exit.OK
        written = _write(_answer(options), options)
        _put(written.text, options.out)
    except CannotExport as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    return Exit.OK


def _answer(options: argparse.Namespace) -> object:
    if (options.job is None) == (options.lock is None):
        raise CannotExport("Name a job or a lock file: either, not both.", Exit.USAGE)
    if options.lock is None:
        return _asked(options)
    if options.server:
        raise CannotExport("--lock asks no service: leave --server out.", Exit.USAGE)
    try:
        return read_lock(options.lock).answer
    except BadLock as error:
        raise CannotExport(str(error), Exit.UNTOLD if error.untold else Exit.USAGE) from error


def _asked(options: argparse.Namespace) -> object:
    try:
        with _service(options) as client:
            return json.loads(client.export(options.job, "json"))
    except ValueError as error:
        message = "Cannot tell: what answers there does not speak JSON"
        raise CannotExport(message, Exit.UNTOLD) from error


@contextmanager
def _service(options: argparse.Namespace) -> Iterator[Client]:
    """Ask a service, and say what went wrong in a sentence and a code."""
    # Who exports from a lock needs no client, which is slow to load.
    from batchscout.client import DEFAULT_URL, Client  # noqa: PLC0415 - as said

    url = options.server or os.environ.get(SERVER_VARIABLE) or DEFAULT_URL
    if not url.startswith(("http://", "https://")):
        message = f"{SERVER_VARIABLE} is no address: write http://HOST:PORT"
        raise CannotExport(message, Exit.USAGE)
    try:
        with Client(url) as client:
            yield client
    except Refused as error:
        code = ENDED.get(error.problem.code, Exit.USAGE)
        raise CannotExport(f"Refused: {problem_text(error.problem)}", code) from error
    except ServiceUnavailable as error:
        raise CannotExport(f"Try later: {error}", Exit.LATER) from error
    except BatchscoutError as error:
        raise CannotExport(f"Cannot tell: {error}", Exit.UNTOLD) from error


def _write_study(options: argparse.Namespace) -> None:
    """Write a job's runs for Optuna's own tools."""
    from batchscout.commands.export_optuna import export_optuna  # noqa: PLC0415 - needs the client
    from batchscout.optuna_study import OptunaMissing  # noqa: PLC0415 - as above

    if options.job is None or options.lock is not None or options.map:
        message = f"--format {OPTUNA} takes a job, and neither --lock nor --map."
        raise CannotExport(message, Exit.USAGE)
    if options.out is None:
        message = f"--format {OPTUNA} is an SQLite file: name it with --out FILE."
        raise CannotExport(message, Exit.USAGE)
    try:
        with _service(options) as client:
            runs = export_optuna(client, options.job, options.out)
    except OptunaMissing as error:
        raise CannotExport(f"Cannot tell: {error}", Exit.UNTOLD) from error
    except OSError as error:
        message = f"{options.out} cannot be written: {error.strerror or error}"
        raise CannotExport(message, Exit.USAGE) from error
    sys.stderr.write(f"{runs} runs as the study {options.job} in sqlite:///{options.out}\n")


def _write(answer: object, options: argparse.Namespace) -> Written:
    try:
        check_origin()
    except ForeignPackage as error:
        raise CannotExport(str(error), Exit.USAGE) from error
    # Not before its origin is known: `tuner` is a plain name.
    from tuner.exports import registry  # noqa: PLC0415 - as said
    from tuner.exports.format import UnusableKeys  # noqa: PLC0415 - as above
    from tuner.exports.lines import one_line  # noqa: PLC0415 - as above
    from tuner.exports.plan import UnusableAnswer  # noqa: PLC0415 - as above

    if options.format not in registry.FORMATS:
        listed = "\n".join(f"  {one.name:<11} {one.summary}" for one in registry.FORMATS.values())
        listed += f"\n  {OPTUNA:<11} runs of a job as a study of Optuna, in an SQLite file"
        message = f"There is no format {options.format!r}. There are:\n{listed}"
        raise CannotExport(message, Exit.USAGE)
    keys: Mapping[str, Any] = dict(options.map or ())
    try:
        written = registry.export(answer, options.format, keys)
    except UnusableKeys as error:
        raise CannotExport(f"--map: {error}", Exit.USAGE) from error
    except UnusableAnswer as error:
        code = Exit.USAGE if options.lock else Exit.UNTOLD
        raise CannotExport(f"The answer cannot be exported: {error}", code) from error
    for note in written.notes:
        sys.stderr.write(f"{one_line(note)}\n")
    return written


def _put(text: str, out: Path | None) -> None:
    """Write the text as UTF-8 with its own ends of lines, whatever this machine prefers."""
    if out is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(text.encode())
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror or error}"
        raise CannotExport(message, Exit.USAGE) from error
