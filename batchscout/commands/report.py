"""`batchscout report`: one file with all that a job has shown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from batchscout.client import DEFAULT_URL, Client
from batchscout.commands.problem_text import problem_text
from batchscout.errors import BatchscoutError, Refused, ServiceUnavailable
from batchscout.exits import Exit

STANDARD_OUTPUT = "-"


def report(options: argparse.Namespace) -> Exit:
    """Fetch the report of a tuning job or a study and write it to a file.

    Args:
        options: `job`, `out` (`-` for standard output), `format` and `server`.

    Returns:
        OK; USAGE where there is no such job or the file cannot be written; LATER where nobody
        answers.
    """
    try:
        with Client(options.server or DEFAULT_URL) as client:
            content = client.report(options.job, form_of(options))
    except Refused as error:
        return _say(problem_text(error.problem), Exit.USAGE)
    except ServiceUnavailable as error:
        return _say(str(error), Exit.LATER)
    except BatchscoutError as error:
        return _say(str(error), Exit.NEGATIVE)
    if options.out == STANDARD_OUTPUT:
        sys.stdout.write(content)
        return Exit.OK
    try:
        Path(options.out).write_text(content, encoding="utf-8")
    except OSError as error:
        return _say(f"{options.out} cannot be written: {error.strerror}", Exit.USAGE)
    return _say(f"Written to {options.out}.", Exit.OK)


def form_of(options: argparse.Namespace) -> str:
    """Say which format is wanted: as asked, or as the name of the file says, or HTML.

    Args:
        options: `format` and `out`.
    """
    if options.format:
        return str(options.format)
    ending = Path(options.out).suffix.removeprefix(".")
    return ending if ending in {"md", "json"} else "html"


def _say(text: str, code: Exit) -> Exit:
    sys.stderr.write(f"{text}\n")
    return code
