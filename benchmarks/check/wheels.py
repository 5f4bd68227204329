"""What a base install downloads: the wheels of batchscout and of all that it needs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path


def wheel_bytes(root: Path) -> dict[str, int]:
    """Build our wheel, fetch those of the base install beside it, and count their bytes.

    Args:
        root: Of the checkout; it is copied by git, so that nothing is built in it.

    Returns:
        Bytes of each wheel, by distribution.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, wheels = Path(scratch) / "source", Path(scratch) / "wheels"
        subprocess.run(["git", "clone", "--quiet", str(root), str(source)], check=True)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        pip += ["--constraint", str(root / "constraints.txt"), "--wheel-dir", str(wheels)]
        subprocess.run([*pip, str(source)], check=True)
        return {
            wheel.name.partition("-")[0].lower(): wheel.stat().st_size
            for wheel in sorted(wheels.glob("*.whl"))
        }
