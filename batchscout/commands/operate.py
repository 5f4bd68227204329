"""`batchscout serve` and `batchscout doctor`: a service on this machine.

This file and `keys.py` are the only ones of this package that import `service` and `workers`,
and only inside functions: the other commands work where neither can be imported.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from batchscout import checkup
from batchscout.checkup import Finding, Level
from batchscout.errors import BatchscoutError
from batchscout.exits import Exit
from batchscout.origin import PACKAGES, ForeignPackage, check_origin, origins

if TYPE_CHECKING:
    from service.settings import Settings

INSTALL: Final = "pip install 'batchscout[server,worker]'"
LOG_TAIL: Final = 4000
STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


class CannotServe(BatchscoutError):
    """This installation or these settings cannot run a service; the message says why."""


def serve(options: argparse.Namespace) -> Exit:
    """Run the service until it is told to stop.

    Args:
        options: What was given on the command line; the environment fills the rest in.

    Returns:
        OK after an orderly stop; NEGATIVE if it cannot start; USAGE for settings that cannot
        be; UNTOLD where something that is needed is not installed.
    """
    try:
        settings = make_settings(given_settings(options))
        with explaining():
            from service import address, supervise
    except CannotServe as error:
        missing = isinstance(error.__cause__, ImportError | ForeignPackage)
        return _say(str(error), Exit.UNTOLD if missing else Exit.USAGE)
    try:
        supervise.serve(settings, only=options.only)
    except address.CannotServe as error:
        return _say(str(error), Exit.NEGATIVE)
    return Exit.OK


@contextmanager
def embedded(options: argparse.Namespace) -> Iterator[str]:
    """Run a service for as long as one command needs it.

    Its data lie in a folder that goes away with it, unless `data_dir` names one: a data
    folder belongs to one controller, which may be running already.

    Args:
        options: What was given on the command line.

    Yields:
        The address of the service.

    Raises:
        CannotServe: Something that is needed is not installed, a setting cannot be, or the
            service does not start; then with the end of its log, which goes away too.
    """
    with ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="batchscout-"))
        # It is for this command alone, whatever the environment says of a service for others.
        own = {"port": 0, "host": "127.0.0.1", "require_keys": False}
        settings = make_settings({"data_dir": Path(temporary)} | given_settings(options) | own)
        log_file = settings.data_dir / "service.log"
        with explaining():
            from service import address, supervise
        try:
            running = stack.enter_context(supervise.Embedded(settings, log_file=log_file))
        except address.CannotServe as error:
            log = log_file.read_text(errors="replace") if log_file.exists() else ""
            raise CannotServe(f"{error}\n{log[-LOG_TAIL:]}".rstrip()) from error
        yield running.url


def make_settings(given: dict[str, Any]) -> Settings:
    """Make settings from what was given and the environment, in our own packages.

    Args:
        given: Fields that win over the environment.

    Returns:
        The settings.

    Raises:
        CannotServe: A package is foreign or missing, or a setting cannot be.
    """
    with explaining():
        check_origin()
        from pydantic import ValidationError

        from service.settings import Settings
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "\n".join(
            f"{'.'.join(map(str, item['loc'])) or 'settings'}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise CannotServe(wrong) from error


@contextmanager
def explaining() -> Iterator[None]:
    """Turn a missing or foreign package into a sentence with the way out."""
    try:
        yield
    except ForeignPackage as error:
        raise CannotServe(str(error)) from error
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in PACKAGES:
            raise
        message = f"A service needs more than is installed here ({error.name}): {INSTALL}"
        raise CannotServe(message) from error


def doctor(options: argparse.Namespace) -> Exit:
    """Report what this machine can do, line by line.

    Args:
        options: `json`, and the host, port and data folder to look at.

    Returns:
        OK, or NEGATIVE if there is a failure.
    """
    findings = _findings(options)
    if options.json:
        json.dump([dataclasses.asdict(finding) for finding in findings], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _print(findings)
    failed = any(finding.level is Level.FAIL for finding in findings)
    return Exit.NEGATIVE if failed else Exit.OK


def _findings(options: argparse.Namespace) -> list[Finding]:
    found = origins()
    findings = [checkup.python(), *checkup.packages(found)]
    path = checkup.search_path(os.environ.get("PYTHONPATH"))
    findings += [path] if path else []
    findings += [
        checkup.installed("server", "run a service here; asking one elsewhere works"),
        checkup.installed("worker", "measure on this machine"),
        checkup.installed("hf", "build architectures of transformers"),
    ]
    if any(origin.fault for origin in found):
        return findings  # what follows would run the foreign package
    from workers.devices import discover

    devices = discover()
    findings += [
        Finding(
            topic=f"device {device.id}",
            level=Level.OK,
            detail=f"{device.name}, {device.memory_bytes / 2**30:.1f} GiB",
        )
        for device in devices
    ]
    findings += [checkup.torch(len(devices) - 1), checkup.memory()]
    return findings + _service_findings(options)


def _service_findings(options: argparse.Namespace) -> list[Finding]:
    try:
        settings = make_settings(given_settings(options))
    except CannotServe as error:
        usable = isinstance(error.__cause__, ImportError | ForeignPackage)
        level = Level.WARN if usable else Level.FAIL
        return [Finding(topic="settings", level=level, detail=str(error))]
    return [
        checkup.data_folder(settings.data_dir),
        checkup.port(settings.host, settings.port),
    ]


def _say(sentence: str, code: Exit) -> Exit:
    sys.stderr.write(sentence + "\n")
    return code


def _print(findings: list[Finding]) -> None:
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for finding in findings:
        line = Text.assemble(
            (f"{finding.level:<5}", STYLES[finding.level]), f"{finding.topic:<13} ", finding.detail
        )
        console.print(line)
        if finding.way_out:
            console.print(Text(f"{'':19}-> {finding.way_out}"))


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Pick the settings that were given on the command line.

    Args:
        options: What was given, whatever the command.

    Returns:
        Fields of the settings; those that were not given are left out.
    """
    names = {
        "host": "host",
        "port": "port",
        "data_dir": "data_dir",
        "file_root": "file_roots",
        "code_root": "code_root",
        "allow_entrypoints": "entrypoint_prefixes",
    }
    values = {setting: getattr(options, name, None) for name, setting in names.items()}
    return {
        setting: tuple(value) if isinstance(value, list) else value
        for setting, value in values.items()
        if value is not None
    }
