"""The guard of our plain package names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchscout.origin import PACKAGES, check_origin, judge, locate, origins

REPOSITORY = Path(__file__).resolve().parents[2]


def ask(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with extra variables, from the root of the file system."""
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | variables,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_our_own_packages_pass() -> None:
    """Here every package is found beside batchscout, and nothing is wrong."""
    check_origin()
    assert {origin.package: origin.folder for origin in origins()} == {
        name: REPOSITORY / name for name in PACKAGES
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A caller's folder with a package `service` that gives itself away when it is imported."""
    package = tmp_path / "service"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('foreign code ran')\n")
    return tmp_path


@pytest.mark.parametrize("command", [["serve"], ["doctor"]])
def test_a_shadowing_folder_is_named_and_never_run(checkout: Path, command: list[str]) -> None:
    """With PYTHONPATH at a folder `service`, the command names it and does not import it."""
    path = f"{checkout}{os.pathsep}{REPOSITORY}"
    run = ask(["-P", "-m", "batchscout", *command, "--port", "0"], PYTHONPATH=path)
    shown = run.stdout + run.stderr
    assert run.returncode != 0
    assert f"'service' of batchscout is shadowed by {checkout / 'service'}" in shown
    assert "foreign code ran" not in shown


def test_another_distribution_of_the_same_name_is_named(tmp_path: Path) -> None:
    """A package that another distribution overwrote lies in the right place and is foreign."""
    fault = judge("tuner", tmp_path / "tuner", tmp_path, ["batchscout", "tuner"]).fault
    assert fault is not None
    assert "overwritten by another distribution (tuner)" in fault
    assert judge("tuner", tmp_path / "tuner", tmp_path, ["batchscout"]).fault is None


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    """A broken installation says which package to install again."""
    fault = judge("workers", None, tmp_path, []).fault
    assert fault is not None
    assert "'workers' of batchscout is missing" in fault


def test_a_single_file_counts_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module file of our name is found, and is not our folder."""
    (tmp_path / "lonely_module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("lonely_module") == tmp_path / "lonely_module.py"
    assert locate("there_is_no_such_package") is None
