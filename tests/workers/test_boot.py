"""A child imports our packages, whatever lies around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tuner
import workers
from workers import boot

from .conftest import Bench

HOSTILE = "raise SystemExit('the caller\\'s own package was imported')"
PACKAGES = {package.__name__: str(Path(package.__file__).parent) for package in (tuner, workers)}


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    """A checkout with folders that are named like our packages and like the library's."""
    for name in ("tuner", "workers", "json", "torch"):
        (tmp_path / "theirs" / name).mkdir(parents=True)
        (tmp_path / "theirs" / name / "__init__.py").write_text(HOSTILE)
    return tmp_path / "theirs"


def test_folders_of_the_caller_are_not_imported(
    bench: Bench, hostile_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the working folder nor `PYTHONPATH` decides what a child imports."""
    monkeypatch.chdir(hostile_folder)
    monkeypatch.setenv("PYTHONPATH", f".{os.pathsep}{hostile_folder}")
    facts = bench.facts(bench.inspect())
    for name, folder in PACKAGES.items():
        assert Path(facts[name]).parent == Path(folder)
    assert str(hostile_folder) not in facts["path"]
    assert Path(facts["cwd"]) != hostile_folder


PINNING = """
import json, sys
from pathlib import Path
packages, boot, theirs = json.loads(sys.argv[1])
sys.path.append(boot)
from boot import pin
for name, folder in packages.items():
    pin(name, Path(folder))
sys.path.insert(0, theirs)
import tuner.curve, workers.messages
print(json.dumps([tuner.curve.__file__, workers.messages.__file__]))
"""


def test_a_package_of_the_same_name_changes_nothing(hostile_folder: Path) -> None:
    """User code may hold a `tuner` of its own, even first on the path: the name means ours."""
    argument = json.dumps([PACKAGES, str(Path(boot.__file__).parent), str(hostile_folder)])
    command = [sys.executable, "-P", "-c", PINNING, argument]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [str(Path(file).parent) for file in json.loads(run.stdout)]
    assert found == [PACKAGES["tuner"], PACKAGES["workers"]]


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    """Pinning fails at once, not at the first use."""
    with pytest.raises(FileNotFoundError):
        boot.pin("no_such_package", tmp_path / "nothing")


def test_secrets_do_not_reach_the_child(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """User code sees no key of the service, and no card that is not its own."""
    monkeypatch.setenv("MY_API_KEY", "open sesame")
    monkeypatch.setenv("BATCHSCOUT_DATA_DIR", "/data")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    environment = bench.facts(bench.inspect())["environment"]
    assert "open sesame" not in environment
    assert "BATCHSCOUT" not in environment
    assert "'CUDA_VISIBLE_DEVICES': ''" in environment


def test_the_private_folder_of_a_keeper_goes_with_it(bench: Bench) -> None:
    """What user code writes beside itself is gone with the session."""
    folder = Path(bench.facts(bench.inspect())["cwd"])
    assert folder.is_dir()
    bench.session.close()
    assert not folder.exists()
