"""A wheel carries what draws the figures of its pages; the rest is in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
WANTED = os.environ.get("BATCHSCOUT_FIGURES", "where reachable")
"""`required` refuses to build a wheel without them, `none` does not try."""


class BuildWithFigures(build_py):
    """Fetches the library before the files of a wheel are collected.

    Who installs the client alone never draws anything, so an unreachable registry is no reason to
    fail; a wheel for others is built with `BATCHSCOUT_FIGURES=required`.
    """

    def run(self) -> None:
        """Build."""
        if WANTED != "none" and not self.editable_mode:
            fetch = [sys.executable, str(HERE / "scripts" / "fetch-plotly")]
            missing = subprocess.run(fetch, check=False).returncode != 0
            if missing and WANTED == "required":
                raise SystemExit("scripts/fetch-plotly failed: the wheel would have no figures")
        super().run()


setup(cmdclass={"build_py": BuildWithFigures})
