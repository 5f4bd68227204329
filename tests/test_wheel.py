"""What others install carries everything that its pages need."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.full
def test_a_wheel_carries_the_page_and_what_draws_its_figures(tmp_path: Path) -> None:
    """Built from what is committed, it holds templates, script, stylesheet, library and licence."""
    archive = tmp_path / "source.tar"
    subprocess.run(["git", "archive", "-o", archive, "HEAD"], cwd=REPOSITORY, check=True)
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", source], check=True)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    folder = REPOSITORY / "service" / "pages"
    templates = {f"service/pages/templates/{one.name}" for one in folder.glob("templates/*.html")}
    static = {"page.css", "page.js", "plotly-cartesian.min.js", "plotly-cartesian.LICENSE.txt"}
    assert templates | {f"service/pages/static/{name}" for name in static} <= held
