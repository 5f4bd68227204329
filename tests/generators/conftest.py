"""The generators, installed once and kept, in their pinned versions."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / ".generators"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of their commands. Where a registry cannot be reached, the test fails."""
    install = [REPOSITORY / "scripts" / "install-generators", sys.executable, KEPT]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        reason = "\n".join(line for line in lines if not line.startswith("WARNING"))
        pytest.fail(f"the generators cannot be installed:\n{reason[-3000:]}", pytrace=False)
    return KEPT / "bin"
