"""What the allocator of a device was asked for in one memory trial, kept in a file."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase

FORMAT: Final = 1
"""Raised whenever a file could no longer be read by the code before it."""

NAME: Final = re.compile(r"[0-9a-f]{64}\.events")
"""What a recording may be called: never a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The births and deaths of blocks in one trial, as its device saw them.

    Args:
        micro_batch_size: Samples per pass.
        reserved_bytes: The most that the allocator held.
        events: What the allocator was asked for, workspaces of libraries included.
    """

    micro_batch_size: int
    reserved_bytes: int
    events: AllocationEvents


def numbered(events: AllocationEvents) -> AllocationEvents:
    """Number blocks in the order of their births, which is all that a device tells of them."""
    numbers: dict[int, int] = {}
    for block in events.order:
        numbers.setdefault(block, len(numbers))
    return replace(
        events,
        order=tuple(numbers[block] for block in events.order),
        sizes_bytes=tuple(events.sizes_bytes[block] for block in numbers),
    )


def save(folder: Path, recording: Recording) -> str:
    """Write a recording: all of it or nothing.

    Args:
        folder: Where to; made on demand.
        recording: Of one trial.

    Returns:
        The file's name, made of the digest of its content.
    """
    events = recording.events
    content = {
        "format": FORMAT,
        "micro_batch_size": recording.micro_batch_size,
        "reserved_bytes": recording.reserved_bytes,
        "order": events.order,
        "sizes_bytes": events.sizes_bytes,
        "marks": [(mark.position, mark.phase.value, mark.step) for mark in events.marks],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    name = hashlib.sha256(text).hexdigest() + ".events"
    folder.mkdir(parents=True, exist_ok=True)
    handle, written = tempfile.mkstemp(dir=folder, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(gzip.compress(text, mtime=0))
        Path(written).replace(folder / name)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
    return name


def load(folder: Path, name: str) -> Recording | None:
    """Read a recording back.

    Args:
        folder: Where it may lie.
        name: As `save` gave it.

    Returns:
        The recording; None if there is none of that name, or it is damaged.
    """
    if not NAME.fullmatch(name):
        return None
    try:
        text = gzip.decompress((folder / name).read_bytes())
        if hashlib.sha256(text).hexdigest() != name.partition(".")[0]:
            return None
        content = json.loads(text)
        if content["format"] != FORMAT:
            return None
        marks = tuple(
            Mark(position=position, phase=Phase(phase), step=step)
            for position, phase, step in content["marks"]
        )
        events = AllocationEvents(
            order=tuple(content["order"]), sizes_bytes=tuple(content["sizes_bytes"]), marks=marks
        )
        return Recording(
            micro_batch_size=content["micro_batch_size"],
            reserved_bytes=content["reserved_bytes"],
            events=events,
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
