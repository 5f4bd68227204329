"""The pre-commit hook: which files it looks at, and what pre-commit makes of its verdicts."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from batchscout.__main__ import make_parser
from tests.wrappers.project import GUESSED, REPOSITORY, copy_distribution, make_project

(HOOK,) = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))

LOOKED_AT = [
    "train.yaml",
    "conf/training.yml",
    "train-large.yaml",
    "train_7b.toml",
    "trainer.yaml",
    "train_config.json",
    "training-args.json",
    "training_arguments.json",
    "ds_config.json",
    "ds.json",
    "configs/deepspeed_zero3.json",
]

LEFT_ALONE = [
    "train.py",
    "train.json",
    "data/train.jsonl",
    "trainer_state.json",
    "constraint.yaml",
    "strain.yaml",
    "trained.yaml",
    "train/data.yaml",
    "ds.py",
    "feeds.json",
    "batchscout.lock.json",
]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_names_of_training_configs_are_looked_at(name: str) -> None:
    """The pattern takes what people call their training configs."""
    assert re.search(HOOK["files"], name)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_other_names_are_left_alone(name: str) -> None:
    """Data, state, code and the lock itself are no configs."""
    assert not re.search(HOOK["files"], name)


def test_the_hook_calls_a_command_of_ours_and_asks_nobody() -> None:
    """A commit must not wait for a service."""
    program, *arguments = HOOK["entry"].split()
    assert program == "batchscout"
    options = make_parser().parse_args([*arguments, "train.yaml", "ds_config.json"])
    assert options.command == "check"
    assert options.offline


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """This checkout as a repository of hooks, with its one commit."""
    folder = copy_distribution(tmp_path_factory.mktemp("hooks") / "batchscout")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    return folder, git(folder, "rev-parse", "HEAD").stdout.strip()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit keeps its environments, once for all tests here."""
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture
def project(tmp_path: Path, hooks: tuple[Path, str], home: Path) -> Path:
    """A repository with the example and the hook installed in it."""
    source, revision = hooks
    make_project(tmp_path)
    (tmp_path / "train.yaml").unlink()
    repository = {"repo": str(source), "rev": revision, "hooks": [{"id": "batchscout-check"}]}
    (tmp_path / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [repository]}))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "before")
    program = [sys.executable, "-m", "pre_commit", "install"]
    run(program, tmp_path, {"PRE_COMMIT_HOME": str(home)}).check_returncode()
    return tmp_path


def git(
    folder: Path, *arguments: str, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git as somebody, without the settings of this machine."""
    who = (
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "protocol.file.allow=always",
    )
    added = {} if home is None else {"PRE_COMMIT_HOME": str(home)}
    ended = run(["git", *who, *arguments], folder, added)
    if home is None:
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def run(
    command: list[str], folder: Path, added: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program without what git and GitHub leave in the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT")}
    environment = kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | added
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def commit(project: Path, home: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    """Commit one file."""
    (project / name).write_text(text)
    git(project, "add", name)
    return git(project, "commit", "-m", name, home=home)


@pytest.mark.full
def test_the_hook_guards_commits(project: Path, home: Path) -> None:
    """A bad config blocks its commit with the reason, and the mended one passes."""
    refused = commit(project, home, "train.yaml", GUESSED)
    assert refused.returncode == 1
    assert "train.yaml" in refused.stderr
    assert "exit code: 1" in refused.stderr
    fix = [sys.executable, "-m", "batchscout", "check", "--offline", "--fix", "train.yaml"]
    run(fix, project, {"PYTHONPATH": str(REPOSITORY)}).check_returncode()
    mended = (project / "train.yaml").read_text()
    assert mended != GUESSED
    assert commit(project, home, "train.yaml", mended).returncode == 0
    assert commit(project, home, "notes.md", "anything").returncode == 0


@pytest.mark.full
def test_a_matching_file_that_is_no_config_is_told(project: Path, home: Path) -> None:
    """It blocks the commit and says how to name its keys, since silence would look like a check."""
    refused = commit(project, home, "train.toml", "[fruit]\napples = 3\n")
    assert refused.returncode == 1
    assert "exit code: 2" in refused.stderr
    assert "--map" in refused.stderr
    excluded = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())
    excluded["repos"][0]["hooks"][0]["exclude"] = "^train.toml$"
    changed = yaml.safe_dump(excluded)
    assert commit(project, home, ".pre-commit-config.yaml", changed).returncode == 0
