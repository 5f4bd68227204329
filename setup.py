"""A wheel carries what draws the figures of its pages; the rest is in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class BuildWithFigures(build_py):
    """Fetches the library before the files of a wheel are collected.

    A wheel, which others install, is not built without it. An installation for development is,
    since `make install` fetches it too and says so where it cannot.
    """

    def run(self) -> None:
        """Build."""
        if not self.editable_mode:
            fetch = [str(HERE / "scripts" / "fetch-plotly"), sys.executable]
            if subprocess.run(fetch, check=False).returncode != 0:
                raise SystemExit("scripts/fetch-plotly failed: without it the wheel has no figures")
        super().run()


setup(cmdclass={"build_py": BuildWithFigures})
