"""`batchscout study`: batch sizes side by side, and what is known about them put to the test."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from batchscout.client import Client
from batchscout.commands.ask import OpenService, asking, follow, say_end
from batchscout.commands.study_page import print_study
from batchscout.commands.watching import make_watcher
from batchscout.errors import JobCancelled, JobFailed
from batchscout.exits import Exit
from batchscout.jobs import Job


def study(options: argparse.Namespace, open_service: OpenService) -> Exit:
    """Run one study to its end and print what it found.

    Args:
        options: `spec`, `server` and `json`; the rest is for the service.
        open_service: Starts the service where `server` is None.

    Returns:
        OK with findings, whatever they say; NEGATIVE for a failed study; USAGE for a spec that
        has to change; UNTOLD for a cancelled study; LATER where nobody answers.
    """
    return asking(
        options,
        open_service,
        lambda client, spec: _tell(client, _followed(client, spec), as_json=options.json),
    )


def _followed(client: Client, spec: Mapping[str, Any]) -> Job:
    return follow(client, lambda: client.create_study(spec), make_watcher(sys.stderr))


def _tell(client: Client, job: Job, *, as_json: bool) -> Exit:
    if as_json:
        _dump(client, job)
    try:
        summary = job.require_summary()
    except (JobFailed, JobCancelled) as error:
        return say_end(job, error)
    if not as_json:
        print_study(summary, Console(file=sys.stdout, highlight=False))
    return Exit.OK


def _dump(client: Client, job: Job) -> None:
    """Print the study as the service shows it, with its findings where it has any."""
    document = dict(job.document)
    if job.state == "succeeded":
        document["findings"] = client.findings(job.id)
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
