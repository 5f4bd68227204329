"""The devices of this machine, found without loading torch."""

from __future__ import annotations

import csv
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuner.machine import total_memory_bytes

QUERY: Final = (
    "nvidia-smi",
    "--query-gpu=index,uuid,name,memory.total",
    "--format=csv,noheader,nounits",
)
"""Asks the driver for its cards; memory comes in MiB."""

QUERY_SECONDS: Final = 20.0
"""How long the driver may take; waking a sleeping card takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDevice:
    """A device of this machine.

    Args:
        id: `cpu`, or `cuda:` and the index that the driver gives the card.
        accelerator: `cpu` or `cuda`.
        kind: Step times are comparable within a kind: `cpu` or `cuda:<name of the card>`.
        name: What people call it.
        memory_bytes: All of its memory.
        visible_devices: Value of `CUDA_VISIBLE_DEVICES` that shows this device alone: the
            UUID of a card, or nothing.
    """

    id: str
    accelerator: str
    kind: str
    name: str
    memory_bytes: int
    visible_devices: str = ""


def discover() -> tuple[LocalDevice, ...]:
    """List the processor and every card that this process may use."""
    return (cpu(), *visible(cards(_ask_driver()), os.environ))


def cpu() -> LocalDevice:
    """Describe the processor with the memory of the machine or of its container."""
    return LocalDevice(
        id="cpu", accelerator="cpu", kind="cpu", name=_cpu_name(), memory_bytes=total_memory_bytes()
    )


def cards(table: str) -> tuple[LocalDevice, ...]:
    """Read the driver's answer to `QUERY`; lines that are something else are left out.

    Args:
        table: Lines of index, UUID, name and MiB. A card that shares the memory of its
            machine has no number there, and gets the machine's.

    Returns:
        One device for each card, in the driver's order.
    """
    rows = csv.reader(table.splitlines(), skipinitialspace=True)
    return tuple(_card(*row) for row in rows if _is_card(row))


def visible(
    found: Iterable[LocalDevice], environment: Mapping[str, str]
) -> tuple[LocalDevice, ...]:
    """Keep the cards that `CUDA_VISIBLE_DEVICES` shows, as the CUDA library reads it.

    Args:
        found: Every card.
        environment: Of this process.

    Returns:
        All of them if it is not set; else the named ones, in its order, up to the first
        name that is none.
    """
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    found = tuple(found)
    if wanted is None:
        return found
    shown: list[LocalDevice] = []
    for name in (part.strip() for part in wanted.split(",")):
        named = [card for card in found if _answers_to(card, name)]
        if len(named) != 1 or named[0] in shown:
            break
        shown += named
    return tuple(shown)


def _ask_driver() -> str:
    if shutil.which(QUERY[0]) is None:
        return ""
    try:
        answer = subprocess.run(  # noqa: S603 - a constant command
            QUERY,
            capture_output=True,
            check=True,
            text=True,
            errors="replace",
            timeout=QUERY_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""  # there is a program but no working driver: no card can be used
    return answer.stdout


def _is_card(row: list[str]) -> bool:
    return len(row) == 4 and row[0].isdigit() and row[1].startswith("GPU-")  # noqa: PLR2004


def _card(index: str, uuid: str, name: str, mebibytes: str) -> LocalDevice:
    memory_bytes = int(mebibytes) * 2**20 if mebibytes.strip().isdigit() else total_memory_bytes()
    return LocalDevice(
        id=f"cuda:{index}",
        accelerator="cuda",
        kind=f"cuda:{name.strip()}",
        name=name.strip(),
        memory_bytes=memory_bytes,
        visible_devices=uuid,
    )


def _answers_to(card: LocalDevice, name: str) -> bool:
    if name.startswith("GPU-"):
        return card.visible_devices.startswith(name)
    return card.id == f"cuda:{name}"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "Hardware"} and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()
