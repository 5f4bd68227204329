"""What the keeper asks of the operating system: who descends from whom, and who dies with whom.

On Linux all of it holds. Elsewhere a process group is all there is: a process that leaves its
group is then not found, and nothing dies with a keeper that is killed outright.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
"""Numbers of `prctl`, from the kernel's header."""


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process as soon as its parent is gone.

    The kernel means the parent's *thread* that made this process: only a process with one
    lasting thread, such as the keeper, may be that parent.

    Args:
        parent_pid: Of the parent; if it is gone already, this process ends now.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(os.EX_UNAVAILABLE)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, also of daemons."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def write_no_cores() -> None:
    """Leave no core file, for this process and its descendants: it would hold data sets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def descendants(pid: int) -> list[int]:
    """List the living processes that descend from one, whatever their group or session.

    Args:
        pid: The ancestor, which is not listed.

    Returns:
        Their ids, ancestors first; empty where there is no `/proc`.
    """
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name stands in brackets and may hold any character: count from its end.
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = list(children.get(pid, ()))
    for descendant in found:
        found.extend(children.get(descendant, ()))
    return found


def has_opened_card() -> bool:
    """Whether the CUDA driver was initialised here, after which no fork can use a card."""
    with contextlib.suppress(OSError):
        for descriptor in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()).startswith("/dev/nvidia-uvm"):
                    return True
    return False


def signal_group(leader_pid: int, signum: signal.Signals) -> None:
    """Send a signal to a process and its group, if they are still there."""
    for send in (os.killpg, os.kill):  # it may not lead a group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(leader_pid, signum)


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
