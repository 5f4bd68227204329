"""`batchscout tune` and `batchscout estimate`: what is asked of a service."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TextIO, TypeAlias

from rich.console import Console

from batchscout.client import Client
from batchscout.commands.answer_page import print_answer
from batchscout.commands.estimate_page import print_estimate
from batchscout.commands.interrupts import termination_interrupts
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
from batchscout.estimate import Estimate
from batchscout.exits import Exit
from batchscout.jobs import Job

OpenService: TypeAlias = Callable[[argparse.Namespace], AbstractContextManager[str]]
"""Starts a service of our own for one command and gives its address."""


VERDICT_EXITS: Final = {"fits": Exit.OK, "does_not_fit": Exit.NEGATIVE, "unsure": Exit.UNTOLD}
"""What a verdict says to scripts."""

NOT_TRACEABLE: Final = "model_not_traceable"
"""Code of a refusal that is no mistake: nothing can be told without measuring."""


def tune(options: argparse.Namespace, open_service: OpenService) -> Exit:
    """Run one tuning job to its end and print the answer.

    Args:
        options: `spec`, `server`, `force` and `json`; the rest is for the service.
        open_service: Starts the service where `server` is None.

    Returns:
        OK with an answer; NEGATIVE for a failed job or a target that no run reached; USAGE
        for a spec that has to change; UNTOLD for a cancelled job; LATER where nobody answers.
    """
    return asking(
        options,
        open_service,
        lambda client, spec: _tell(
            follow(
                client, lambda: client.create(spec, force=options.force), make_watcher(sys.stderr)
            ),
            as_json=options.json,
        ),
    )


def estimate(options: argparse.Namespace, open_service: OpenService) -> Exit:
    """Predict what fits some cards and print it.

    Args:
        options: `spec`, `gpu`, `micro_batch_size`, `server` and `json`; the rest is for the
            service.
        open_service: Starts the service where `server` is None.

    Returns:
        The worst verdict of all cards: OK where it fits, NEGATIVE where it does not, UNTOLD
        where that is unsure or cannot be predicted; USAGE for a spec or a card that has to
        change; LATER where nobody answers.
    """
    return asking(
        options,
        open_service,
        lambda client, spec: _tell_estimate(
            client.estimate(spec, options.gpu, options.micro_batch_size), as_json=options.json
        ),
    )


def asking(
    options: argparse.Namespace,
    open_service: OpenService,
    ask: Callable[[Client, Mapping[str, Any]], Exit],
) -> Exit:
    """Read the spec, ask a service, and turn whatever goes wrong into a sentence and a code.

    Args:
        options: `spec` and `server`; the rest is for the service.
        open_service: Starts the service where `server` is None.
        ask: Given a client and the spec, says how it went.

    Returns:
        The exit code.
    """
    try:
        spec = read_spec(options.spec)
    except UnreadableSpec as error:
        return say(str(error), Exit.USAGE)
    service = nullcontext(options.server) if options.server else open_service(options)
    try:
        with termination_interrupts(), service as url, Client(url) as client:
            return ask(client, spec)
    except KeyboardInterrupt:
        return say("Interrupted: there is no answer.", Exit.UNTOLD)
    except BatchscoutError as error:
        return _explain(error)


def _explain(error: BatchscoutError) -> Exit:
    if isinstance(error, ServiceUnavailable):
        return say(f"Try later: {error}", Exit.LATER)
    if not isinstance(error, Refused):
        return say(f"Cannot tell: {error}", Exit.UNTOLD)
    if error.problem.code == NOT_TRACEABLE:
        return say(f"Cannot tell: {problem_text(error.problem)}", Exit.UNTOLD)
    return say(f"Refused: {problem_text(error.problem)}", Exit.USAGE)


def follow(client: Client, create: Callable[[], Job], watcher: Watcher) -> Job:
    """Queue a job and wait for its end; the first interrupt cancels it, the second leaves.

    Args:
        client: Of the service.
        create: Queues it.
        watcher: Shows how it goes.

    Returns:
        The job in its last state.
    """
    with watcher:
        job = create()
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
    except (JobFailed, JobCancelled) as error:
        return say_end(job, error)
    if not as_json:
        print_answer(answer, Console(file=sys.stdout, highlight=False))
    return Exit.NEGATIVE if answer.target_reached is False else Exit.OK


def say_end(job: Job, error: JobFailed | JobCancelled) -> Exit:
    """Say why a job has ended without an answer."""
    if isinstance(error, JobFailed):
        return say(f"Job {job.id} failed: {problem_text(error.problem)}", Exit.NEGATIVE)
    return say(f"Cancelled: {error}.", Exit.UNTOLD)


def _tell_estimate(found: Estimate, *, as_json: bool) -> Exit:
    if as_json:
        json.dump(dataclasses.asdict(found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print_estimate(found, Console(file=sys.stdout, highlight=False))
    return VERDICT_EXITS.get(found.verdict, Exit.UNTOLD)


def say(sentence: str, code: Exit, *, stream: TextIO | None = None) -> Exit:
    """Write one sentence to standard error, or elsewhere, and hand the exit code on."""
    (stream or sys.stderr).write(sentence + "\n")
    return code
