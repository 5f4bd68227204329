"""Memory of this machine, as much of it as this process may use."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MEMINFO: Final = Path("/proc/meminfo")
CGROUP: Final = Path("/sys/fs/cgroup")


def total_memory_bytes() -> int:
    """Say how much memory the machine, or the container round this process, has."""
    return min([_machine("MemTotal"), *_container_limit()])


def available_memory_bytes() -> int:
    """Say how much memory can be taken without swapping, in a container also below its limit."""
    left = [max(0, limit - _read_integer("memory.current")) for limit in _container_limit()]
    return min([_machine("MemAvailable"), *left])


def _machine(key: str) -> int:
    """Read `/proc/meminfo`, or ask psutil where there is none."""
    if MEMINFO.exists():
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return int(value.split()[0]) * 1024
    import psutil  # noqa: PLC0415 - not needed on Linux, where a bare image may lack it

    memory = psutil.virtual_memory()
    return int(memory.total if key == "MemTotal" else memory.available)


def _container_limit() -> list[int]:
    text = _read("memory.max")
    return [int(text)] if text.isdigit() else []


def _read_integer(name: str) -> int:
    text = _read(name)
    return int(text) if text.isdigit() else 0


def _read(name: str) -> str:
    try:
        return (CGROUP / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
