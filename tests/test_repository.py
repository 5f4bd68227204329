"""What lies round the code: containers, the way in, and what the documents promise."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchscout.__main__ import make_parser
from batchscout.connection import KEY_VARIABLE
from service.api.examples import DIGITS
from service.settings import PREFIX, Settings
from tuner.spec import StudySpec, TuningSpec

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text()
EXAMPLES = (REPOSITORY / "examples" / "README.md").read_text()
OPERATING = (REPOSITORY / "docs" / "operating.md").read_text()


@pytest.fixture(scope="module")
def compose() -> Any:
    """The compose file, read."""
    return yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())


def test_compose_starts_api_and_controller_by_default(compose: Any) -> None:
    """Without a profile there are the two, on one volume, and no card is asked for."""
    default = {name: each for name, each in compose["services"].items() if "profiles" not in each}
    assert set(default) == {"api", "controller"}
    assert {tuple(each["volumes"]) for each in default.values()} == {("data:/data",)}
    assert all("deploy" not in each for each in default.values())


def test_the_gpu_profile_reserves_one_card(compose: Any) -> None:
    """The card has a volume of its own, since a data folder belongs to one controller."""
    gpu = compose["services"]["gpu"]
    assert gpu["profiles"] == ["gpu"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    ]
    assert gpu["volumes"] == ["gpu-data:/data"]


def test_containers_are_published_on_loopback_and_run_our_commands(compose: Any) -> None:
    """No port is open to others, every command is one of ours, every variable is a setting."""
    for each in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in each.get("ports", []))
        make_parser().parse_args(each["command"])
        for name in each["environment"]:
            assert name.removeprefix(PREFIX).lower() in Settings.model_fields
        assert set(each.get("volumes", [])) <= {f"{name}:/data" for name in compose["volumes"]}


def test_the_image_gets_what_it_copies_and_is_not_root() -> None:
    """Each copied path exists and is not ignored, and the last user is not root."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    kept = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert copied
    for name in copied:
        assert (REPOSITORY / name).exists()
        assert f"!{name}" in kept
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["batchscout"]


def json_blocks(text: str) -> list[str]:
    """JSON objects of a Markdown file that are specs: fenced, or indented."""
    fenced = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    indented = re.findall(r"(?m)^    (\{\"model\".*?\}\})$", text, re.DOTALL)
    return fenced + indented


def test_the_specs_of_the_readme_are_valid() -> None:
    """Whoever copies a request from the README gets no refusal of its form."""
    blocks = json_blocks(README)
    assert len(blocks) == 2
    for block in blocks:
        TuningSpec.model_validate_json(block)


def test_one_example_is_shown_everywhere() -> None:
    """The README and the interactive documentation show the request that the demo runs."""
    file = json.loads((REPOSITORY / "examples" / "digits-cnn.json").read_text())
    assert json.loads(json_blocks(README)[0]) == file
    assert file == DIGITS


def command_lines(text: str) -> list[str]:
    """The lines of a Markdown file that call batchscout: indented, or in a table."""
    indented = re.findall(r"(?m)^    batchscout ((?:serve|tune|estimate|doctor)[^#\n]*)", text)
    return indented + re.findall(r"`batchscout (tune [^`\n]*)`", text)


@pytest.mark.parametrize("line", command_lines(README + OPERATING + EXAMPLES))
def test_the_commands_of_the_documents_can_be_typed(line: str) -> None:
    """Each command line of the documents is one that the parser reads."""
    make_parser().parse_args(shlex.split(line))


def test_the_variables_of_the_operating_guide_are_settings() -> None:
    """No variable is documented that neither the service nor the client reads."""
    named = set(re.findall(rf"`({PREFIX}[A-Z_]+)", OPERATING))
    assert named
    read = {PREFIX + name.upper() for name in Settings.model_fields}
    assert named <= read | {KEY_VARIABLE}


def test_the_documents_link_to_what_exists() -> None:
    """No relative link of a document leads nowhere."""
    for file in [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        *REPOSITORY.glob("examples/**/*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_the_files_to_read_first_exist() -> None:
    """Every source file that the README names is there."""
    named = re.findall(r"`((?:tuner|workers|service|batchscout|tests|examples)/[\w/.-]+)`", README)
    assert len(named) >= 5
    assert all((REPOSITORY / name).exists() for name in named)


@pytest.mark.parametrize("file", sorted(REPOSITORY.glob("examples/*.json")), ids=lambda f: f.name)
def test_every_example_is_a_valid_request(file: Path) -> None:
    """The examples that people copy fit the schema."""
    request = json.loads(file.read_text())
    model = StudySpec if file.stem.endswith("-study") else TuningSpec
    assert model.model_validate(request, strict=True).model.kind


def make_venv(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run `scripts/make-venv` with a program in place of Python."""
    python = tmp_path / "python-for-test"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return subprocess.run(
        [str(REPOSITORY / "scripts" / "make-venv"), str(python), str(tmp_path / "venv")],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )


TOO_OLD = 'case "$*" in *version_info*) exit 1 ;; --version) echo Python 3.9.2 ;; esac'
WITHOUT_VENV = 'case "$*" in *ensurepip*) exit 1 ;; esac'
WORKS = 'case "$*" in "-m venv"*) mkdir -p "$4/bin" && touch "$4/made" ;; esac'


@pytest.mark.parametrize(
    ("script", "words"),
    [(TOO_OLD, "Python 3.9.2 is too old"), (WITHOUT_VENV, "apt-get install python3-venv")],
)
def test_a_python_that_cannot_is_told_with_the_way_out(
    tmp_path: Path, script: str, words: str
) -> None:
    """An old Python and a missing python3-venv end the installation with what to do."""
    run = make_venv(tmp_path, script)
    assert run.returncode != 0
    assert words in run.stderr


def test_half_an_environment_is_made_anew(tmp_path: Path) -> None:
    """What an interrupted attempt left without pip is not taken for an environment."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    assert make_venv(tmp_path, WORKS).returncode == 0
    assert (tmp_path / "venv" / "made").exists()


def test_a_missing_python_is_told() -> None:
    """Without any Python the line that installs one is shown."""
    run = subprocess.run(
        [str(REPOSITORY / "scripts" / "make-venv"), "no-such-python", "/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "apt-get install python3" in run.stderr
