"""The command `batchscout check`: options in, text and an exit code out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from batchscout.check.arguments import address
from batchscout.check.fresh import SERVER_VARIABLE, Asking
from batchscout.check.holding import Wanted
from batchscout.check.judging.tolerances import BadTolerances, tolerances_of
from batchscout.check.plain import plain
from batchscout.check.run import Outcome, Task, check
from batchscout.check.telling import github
from batchscout.check.telling.as_json import write_json
from batchscout.check.telling.text import write_text
from batchscout.exits import Exit


class BadOptions(Exception):
    """What was given cannot go together; the message says what to change."""


def run_check(options: argparse.Namespace) -> Exit:
    """Check configs against a lock.

    Args:
        options: As `arguments.add_arguments` describes them.

    Returns:
        The worst of all verdicts.
    """
    try:
        outcome = check(make_task(options))
        _tell(outcome, options)
    except (BadOptions, BadTolerances) as error:
        return _say(str(error), Exit.USAGE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"Cannot be written: {where}{error.strerror or error}", Exit.USAGE)
    return outcome.exit_code


def make_task(options: argparse.Namespace) -> Task:
    """Make a task of what was given on the command line and in the environment.

    Args:
        options: As `arguments.add_arguments` describes them.

    Returns:
        The task.

    Raises:
        BadOptions: A role is mapped twice, or the address of the service is none.
        BadTolerances: A tolerance cannot be.
    """
    mapping = dict(options.map)
    if len(mapping) < len(options.map):
        raise BadOptions("--map names a role twice: it can have one key only")
    server = None if options.offline else server_of(options)
    wait = 0.0 if options.no_wait else options.wait
    wanted = Wanted(
        lock_file=options.lock,
        spec_file=options.spec,
        card=options.card,
        asking=Asking(server=server, wait_seconds=wait) if server else None,
        on_unavailable=options.on_unavailable,
    )
    tolerances = tolerances_of(
        options.lock.parent,
        learning_rate=options.learning_rate_tolerance,
        slow_down=options.slow_down_tolerance,
    )
    return Task(
        configs=tuple(options.configs),
        wanted=wanted,
        tolerances=tolerances,
        mapping=mapping,
        data_parallel_size=options.data_parallel_size,
        fixes=options.fix,
        allows_untold=options.allow_untold,
    )


def server_of(options: argparse.Namespace) -> str | None:
    """Find the address of the service: as given, else that of the environment.

    Args:
        options: With `server`.

    Returns:
        The address, or None.

    Raises:
        BadOptions: The environment names none that can be.
    """
    given: str | None = options.server
    found = given or os.environ.get(SERVER_VARIABLE, "").strip()
    if not found:
        return None
    try:
        return address(found)
    except argparse.ArgumentTypeError as error:
        raise BadOptions(f"{SERVER_VARIABLE}: {error}") from error


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    (write_json if options.json else write_text)(outcome, sys.stdout)
    if not github.is_runner(os.environ):
        return
    github.write_annotations(outcome, sys.stderr if options.json else sys.stdout)
    summary, outputs = os.environ.get("GITHUB_STEP_SUMMARY"), os.environ.get("GITHUB_OUTPUT")
    if summary:
        github.write_summary(outcome, Path(summary))
    if outputs:
        asking = outcome.task.wanted.asking
        github.write_outputs(outcome, Path(outputs), asking.server if asking else None)


def _say(sentence: str, code: Exit) -> Exit:
    sys.stderr.write(f"batchscout check: {plain(sentence)}\n")
    return code
