"""`batchscout tune`: ask a service for the best batch size and learning rate."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TextIO, TypeAlias

from rich.console import Console

from batchscout.client import Client
from batchscout.commands.answer_page import print_answer
from batchscout.commands.problem_text import problem_text
from batchscout.commands.spec_file import UnreadableSpec, read_spec
from batchscout.commands.watching import Watcher, make_watcher
from batchscout.errors import (
    BatchscoutError,
    JobCancelled,
    JobFailed,
    Refused,
    ServiceUnavailable,
)
from batchscout.exits import Exit
from batchscout.jobs import Job

OpenService: TypeAlias = Callable[[argparse.Namespace], AbstractContextManager[str]]
"""Starts a service of our own for one command and gives its address."""


def tune(options: argparse.Namespace, open_service: OpenService) -> Exit:
    """Run one tuning job to its end and print the answer.

    Args:
        options: `spec`, `server` and `json`; the rest is for the service.
        open_service: Starts the service where `server` is None.

    Returns:
        OK with an answer; NEGATIVE for a failed job or a target that no run reached; USAGE
        for a spec that has to change; UNTOLD for a cancelled job; LATER where nobody answers.
    """
    try:
        spec = read_spec(options.spec)
    except UnreadableSpec as error:
        return _say(str(error), Exit.USAGE)
    service = nullcontext(options.server) if options.server else open_service(options)
    try:
        with _termination_interrupts(), service as url, Client(url) as client:
            job = _follow(client, spec, make_watcher(sys.stderr))
            return _tell(job, as_json=options.json)
    except KeyboardInterrupt:
        return _say("Interrupted: there is no answer.", Exit.UNTOLD)
    except Refused as error:
        return _say(f"Refused: {problem_text(error.problem)}", Exit.USAGE)
    except ServiceUnavailable as error:
        return _say(f"Try later: {error}", Exit.LATER)
    except BatchscoutError as error:
        return _say(f"Cannot tell: {error}", Exit.UNTOLD)


def _follow(client: Client, spec: Mapping[str, Any], watcher: Watcher) -> Job:
    """Queue a job and wait for its end; the first interrupt cancels it, the second leaves."""
    with watcher:
        job = client.create(spec)
        watcher(job)
        try:
            return client.wait(job.id, watcher)
        except KeyboardInterrupt:
            watcher.note(f"Cancelling job {job.id}. Press Ctrl-C again to leave at once.")
            client.cancel(job.id)
            return client.wait(job.id, watcher)


def _tell(job: Job, *, as_json: bool) -> Exit:
    if as_json:
        json.dump(job.document, sys.stdout, indent=2)
        sys.stdout.write("\n")
    try:
        answer = job.require_answer()
    except JobFailed as error:
        return _say(f"Job {job.id} failed: {problem_text(error.problem)}", Exit.NEGATIVE)
    except JobCancelled as error:
        return _say(f"Cancelled: {error}.", Exit.UNTOLD)
    if not as_json:
        print_answer(answer, Console(file=sys.stdout, highlight=False))
    return Exit.NEGATIVE if answer.target_reached is False else Exit.OK


def _say(sentence: str, code: Exit, *, stream: TextIO | None = None) -> Exit:
    (stream or sys.stderr).write(sentence + "\n")
    return code


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Have SIGTERM and SIGHUP do what Ctrl-C does, so that what was started is stopped."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
