"""What this machine can do, one finding for each question. Standard library alone.

Nothing here loads torch: a child process does, so that a broken installation of it is a
finding and not the end of the report.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

from batchscout.origin import DISTRIBUTION, Origin

MIN_PYTHON: Final = (3, 11)
FREE_DISK_BYTES: Final = 2 * 2**30
"""A job keeps a checkpoint for each surviving run of its race."""
FREE_MEMORY_BYTES: Final = 2**30
CHILD_SECONDS: Final = 120.0


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Args:
        topic: What was asked.
        level: `fail` means that batchscout cannot do its work here.
        detail: What was found.
        way_out: What to do about it; empty where there is nothing to do.
    """

    topic: str
    level: Level
    detail: str
    way_out: str = ""


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Ask whether this Python is new enough."""
    found = ".".join(map(str, version))
    if version[:2] < MIN_PYTHON:
        way_out = "install Python 3.11 or newer and make the virtual environment with it"
        return Finding(topic="python", level=Level.FAIL, detail=found, way_out=way_out)
    return Finding(topic="python", level=Level.OK, detail=f"{found} at {sys.executable}")


def packages(found: Iterable[Origin]) -> list[Finding]:
    """Ask whether our packages are imported from our distribution."""
    return [
        Finding(topic=origin.package, level=Level.FAIL, detail=origin.fault)
        if origin.fault
        else Finding(topic=origin.package, level=Level.OK, detail=f"from {origin.folder}")
        for origin in found
    ]


def installed(extra: str, use: str, requirements: Sequence[str] | None = None) -> Finding:
    """Ask whether everything that an extra needs is installed.

    Args:
        extra: Name of the extra.
        use: What it is good for.
        requirements: Requirement lines; those of this distribution by default.

    Returns:
        The versions found, or a warning with the line that installs what is missing.
    """
    lines = _requirements() if requirements is None else requirements
    wanted = [
        re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        for line in lines
        if re.search(rf"extra == ['\"]{extra}['\"]", line)
    ]
    versions = {each: _version(each) for each in wanted}
    missing = sorted(each for each, version in versions.items() if version is None)
    if missing:
        return Finding(
            topic=f"extra {extra}",
            level=Level.WARN,
            detail=f"missing {', '.join(missing)}: cannot {use}",
            way_out=f"pip install 'batchscout[{extra}]'",
        )
    detail = ", ".join(f"{each} {version}" for each, version in versions.items())
    return Finding(topic=f"extra {extra}", level=Level.OK, detail=detail)


def torch(num_cards: int, interpreter: str = sys.executable) -> Finding:
    """Ask a child process whether torch loads, and whether it can use the cards.

    Args:
        num_cards: Cards that the driver lists.
        interpreter: The Python that runs the child.

    Returns:
        Its version and what it can use.
    """
    question = (
        "import json, torch; print(json.dumps([torch.__version__, torch.cuda.device_count(), "
        "torch.get_num_threads()]))"
    )
    try:
        child = subprocess.run(  # noqa: S603 - our own interpreter and a constant question
            [interpreter, "-P", "-c", question],
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=True,
        )
        version, usable, threads = json.loads(child.stdout.strip().splitlines()[-1])
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no message").splitlines()[-1]
        detail, way_out = f"does not load: {last}", "pip install 'batchscout[worker]'"
        return Finding(topic="torch", level=Level.WARN, detail=detail, way_out=way_out)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        detail = f"its child process did not answer: {error}"
        return Finding(topic="torch", level=Level.FAIL, detail=detail)
    if num_cards > usable:
        return Finding(
            topic="torch",
            level=Level.WARN,
            detail=f"{version} can use {usable} of {num_cards} cards",
            way_out="install a torch built for CUDA, see the line in the README",
        )
    detail = f"{version}, {usable} cards, {threads} threads"
    return Finding(topic="torch", level=Level.OK, detail=detail)


def memory(meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Ask how much memory is free."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        return Finding(topic="memory", level=Level.WARN, detail="this system does not tell")
    free_bytes = int(found.group(1)) * 1024
    detail = f"{free_bytes / 2**30:.1f} GiB available"
    if free_bytes < FREE_MEMORY_BYTES:
        way_out = "end other programs, or set hardware.memory_limit_bytes in the spec"
        return Finding(topic="memory", level=Level.WARN, detail=detail, way_out=way_out)
    return Finding(topic="memory", level=Level.OK, detail=detail)


def data_folder(folder: Path) -> Finding:
    """Ask whether the data folder can be written and has room.

    Args:
        folder: It need not exist yet; nothing is left behind.

    Returns:
        A failure where it cannot be written, a warning where there is little room.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(
            topic="data folder",
            level=Level.FAIL,
            detail=f"{folder} cannot be written: {error.strerror}",
            way_out="name another one with --data-dir or BATCHSCOUT_DATA_DIR",
        )
    detail = f"{folder}, {free_bytes / 2**30:.1f} GiB free"
    if free_bytes < FREE_DISK_BYTES:
        way_out = "free some space: checkpoints of large models need gigabytes"
        return Finding(topic="data folder", level=Level.WARN, detail=detail, way_out=way_out)
    return Finding(topic="data folder", level=Level.OK, detail=detail)


def port(host: str, number: int) -> Finding:
    """Ask whether the service's port is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return Finding(
                topic="port",
                level=Level.WARN,
                detail=f"{host}:{number} is taken" if taken else f"{host}:{number}: {error}",
                way_out="a service may run there already; else choose another with --port",
            )
    return Finding(topic="port", level=Level.OK, detail=f"{host}:{number} is free")


def search_path(value: str | None = os.environ.get("PYTHONPATH")) -> Finding | None:
    """Ask whether PYTHONPATH lets a caller's folder decide which packages are imported."""
    if not value:
        return None
    return Finding(
        topic="PYTHONPATH",
        level=Level.WARN,
        detail=f"is set to {value}: a folder service, workers or tuner in it hides ours",
        way_out="unset it for batchscout; your own model code goes to --code-root",
    )


def _requirements() -> Sequence[str]:
    try:
        return metadata.requires(DISTRIBUTION) or ()
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return ()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
