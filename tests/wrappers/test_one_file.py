"""The check as one file: it needs Python alone, and the same sources give the same bytes."""

import json
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.wrappers.project import GUESSED, REPOSITORY, make_project

BUILD = REPOSITORY / "scripts" / "build-check"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, built."""
    out = tmp_path_factory.mktemp("dist") / "batchscout-check.pyz"
    subprocess.run([sys.executable, str(BUILD), str(out)], check=True, capture_output=True)
    return out


@pytest.fixture
def project(tmp_path: Path, built: Path) -> Path:
    """A folder with the example and the file, as a team would commit it."""
    make_project(tmp_path)
    (tmp_path / built.name).write_bytes(built.read_bytes())
    return tmp_path


def check(
    project: Path, *arguments: str, server: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the file without installed packages, user folders and variables."""
    environment = {"PATH": "/usr/bin:/bin"} | ({"BATCHSCOUT_SERVER": server} if server else {})
    return subprocess.run(
        [sys.executable, "-I", "-S", "batchscout-check.pyz", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_refuses_mends_and_accepts(project: Path) -> None:
    """The one file gives the verdicts of the command, reads YAML and patches it."""
    refused = check(project, "--offline", "train.yaml")
    assert refused.returncode == 1, refused.stderr
    assert (project / "train.yaml").read_text() == GUESSED
    assert check(project, "--offline", "--fix", "train.yaml").returncode == 0
    assert (project / "train.yaml").read_text() != GUESSED
    accepted = check(project, "--offline", "--json", "train.yaml")
    assert accepted.returncode == 0
    assert json.loads(accepted.stdout)


def test_it_says_that_it_cannot_ask(project: Path) -> None:
    """Asking a service needs the installed batchscout, and the file says so."""
    (project / "spec.json").write_text('{"seed": 1}')
    asked = check(project, "--on-unavailable", "fail", "train.yaml", server="http://127.0.0.1:9")
    assert asked.returncode in {3, 75}
    assert "pip install batchscout" in asked.stdout + asked.stderr
    assert "Traceback" not in asked.stderr


def test_it_knows_its_version(project: Path) -> None:
    """Whoever finds the file in a repository can ask what it is."""
    shown = check(project, "--version")
    assert (shown.returncode, shown.stdout) == (0, f"batchscout-check {version('batchscout')}\n")


def test_the_same_sources_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """Whoever commits the file can build it again and compare."""
    again = tmp_path / "again.pyz"
    subprocess.run([sys.executable, str(BUILD), str(again)], check=True, capture_output=True)
    assert again.read_bytes() == built.read_bytes()


def test_it_holds_the_check_and_nothing_of_the_service(built: Path) -> None:
    """Every source of the check is inside, with both licences and without compiled code."""
    names = set(zipfile.ZipFile(built).namelist())
    sources = {
        file.relative_to(REPOSITORY).as_posix()
        for file in (REPOSITORY / "batchscout" / "check").rglob("*.py")
    }
    assert sources <= names
    assert {"LICENSE", "yaml/LICENSE", "yaml/loader.py", "batchscout/exits.py"} <= names
    assert {name.partition("/")[0] for name in names if name.endswith(".py")} == {
        "__main__.py",
        "batchscout",
        "yaml",
    }
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    assert "batchscout/client.py" not in names
