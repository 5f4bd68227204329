"""Who descends from whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from workers.processes import descendants, signal_group

from .conftest import eventually, is_alive

NESTED = (
    "import subprocess, sys;"
    "subprocess.run([sys.executable, '-c', 'input()'], start_new_session=True)"
)


def test_descendants_are_found_across_sessions_and_the_dead_are_not() -> None:
    """A grandchild in a session of its own is listed after its parent; a zombie is not."""
    with subprocess.Popen([sys.executable, "-c", NESTED], stdin=subprocess.PIPE) as child:
        found = eventually(lambda: (f := descendants(child.pid)) and f)
        assert len(found) == 1
        mine = descendants(os.getpid())
        assert mine.index(child.pid) < mine.index(found[0])
        os.kill(child.pid, signal.SIGKILL)
        eventually(lambda: not is_alive(child.pid))
        assert child.pid not in descendants(os.getpid())
        os.kill(found[0], signal.SIGKILL)


def test_a_signal_reaches_a_process_that_leads_no_group() -> None:
    """It is sent to the process too, and one that is gone is no error."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        signal_group(child.pid, signal.SIGTERM)
        assert child.wait() == -signal.SIGTERM
    signal_group(child.pid, signal.SIGTERM)
