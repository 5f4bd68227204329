"""The action: its shape is what GitHub accepts, and its steps do what its inputs say."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.batchscout.documents import job as job_document
from tests.batchscout.fake_service import FakeService, serving
from tests.wrappers.composite import ACTION, FROM_FORK, REPOSITORY, Job, evaluated
from tests.wrappers.project import GUESSED, copy_distribution, make_project

KEY = "bsk_never_to_be_seen_0123456789"
TEXT = {"type": "string", "minLength": 1}
STEP = {
    "type": "object",
    "required": ["run", "shell"],
    "additionalProperties": False,
    "properties": {
        "name": TEXT,
        "id": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
        "if": TEXT,
        "run": TEXT,
        "shell": TEXT,
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "working-directory": TEXT,
        "continue-on-error": {"type": "boolean"},
    },
}
SHAPE = {
    "type": "object",
    "required": ["name", "description", "runs"],
    "additionalProperties": False,
    "properties": {
        "name": TEXT,
        "description": {"type": "string", "maxLength": 125},
        "author": TEXT,
        "branding": {
            "type": "object",
            "required": ["icon", "color"],
            "properties": {
                "icon": TEXT,
                "color": {"enum": ["white", "black", "yellow", "blue", "green", "orange", "red"]},
            },
        },
        "inputs": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z][a-z-]*$"},
            "additionalProperties": {
                "type": "object",
                "required": ["description"],
                "additionalProperties": False,
                "properties": {
                    "description": TEXT,
                    "required": {"type": "boolean"},
                    "default": {"type": "string"},
                    "deprecationMessage": TEXT,
                },
            },
        },
        "outputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["description", "value"],
                "additionalProperties": False,
                "properties": {"description": TEXT, "value": TEXT},
            },
        },
        "runs": {
            "type": "object",
            "required": ["using", "steps"],
            "additionalProperties": False,
            "properties": {
                "using": {"const": "composite"},
                "steps": {"type": "array", "minItems": 1, "items": STEP},
            },
        },
    },
}
"""What the runner accepts of a composite action, with `run` steps alone."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose workspace holds the example and whose runner has the action installed."""
    made = Job(root=tmp_path)
    make_project(made.workspace)
    provide(made)
    return made


def provide(job: Job) -> None:
    """Put this environment's batchscout where the action would install it."""
    number = _cksum(f"{REPOSITORY}\n{sys.executable}\n".encode())
    program = job.temporary / f"batchscout-{number}" / "bin" / "batchscout"
    program.parent.mkdir(parents=True)
    program.symlink_to(Path(sys.executable).parent / "batchscout")
    (program.parent.parent / "installed").touch()


def _cksum(data: bytes) -> str:
    ended = subprocess.run(["cksum"], input=data, capture_output=True, check=True)
    return ended.stdout.decode().split()[0]


def use(job: Job, **given: str) -> int:
    """Run the action with this Python."""
    return job.use(REPOSITORY, python=sys.executable, **given)


def config(job: Job) -> Any:
    """What the training config of a job holds now."""
    return yaml.safe_load((job.workspace / "train.yaml").read_text(encoding="utf-8"))


def lock(job: Job) -> Any:
    """The answer in the lock of a job."""
    return json.loads((job.workspace / "batchscout.lock.json").read_text())["answer"]


def test_the_shape_is_what_the_runner_accepts() -> None:
    """The file has the keys of a composite action, no others, and every step names its shell."""
    jsonschema.validate(ACTION, SHAPE)


def test_no_script_has_an_expression_in_it() -> None:
    """What a caller passes in reaches the scripts as variables, where it cannot become code."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_every_input_is_used_and_every_output_is_set() -> None:
    """No input of the file is idle, and none is used that the file does not have."""
    steps = ACTION["runs"]["steps"]
    used = {name for step in steps for name in re.findall(r"inputs\.([a-z-]+)", json.dumps(step))}
    assert used == set(ACTION["inputs"])
    ids = {step["id"] for step in steps}
    for one in ACTION["outputs"].values():
        assert re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.[a-z-]+ \}\}", one["value"])[1] in ids


def test_the_key_is_seen_by_the_step_that_needs_it_alone() -> None:
    """What builds and installs packages runs without the key."""
    with_key = [s["id"] for s in ACTION["runs"]["steps"] if "api-key" in json.dumps(s)]
    assert with_key == ["check"]


def test_an_unknown_expression_is_an_error_here() -> None:
    """The runner of these tests does not pass over what it does not know."""
    with pytest.raises(AssertionError, match=r"secrets\.KEY"):
        evaluated("${{ secrets.KEY }}", {}, {}, from_fork=False)
    assert evaluated(f"${{{{ {FROM_FORK} }}}}", {}, {}, from_fork=True) == "true"


def test_a_bad_config_fails_the_job(job: Job) -> None:
    """The refused config ends the step with 1, an annotation, a summary, and the answer."""
    assert use(job, config="train.yaml") == 1
    assert re.search(r"(?m)^::error .*file=train\.yaml", job.log)
    assert "slow" in job.summary
    result = job.result()
    assert (result["matched"], result["exit-code"]) == ("false", "1")
    assert int(result["global-batch-size"]) == lock(job)["global_batch_size"]
    assert float(result["learning-rate"]) == lock(job)["learning_rate"]
    assert (job.workspace / "train.yaml").read_text() == GUESSED


def test_fix_writes_the_config_and_the_next_check_passes(job: Job) -> None:
    """In mode `fix` the measured values are written and nothing else of the file changes."""
    assert use(job, config="train.yaml", mode="fix") == 0, job.log
    assert config(job)["train"]["learning_rate"] == lock(job)["learning_rate"]
    assert config(job)["until"] == yaml.safe_load(GUESSED)["until"]
    assert use(job, config="train.yaml") == 0
    assert job.result()["matched"] == "true"


def test_several_configs_one_a_line(job: Job) -> None:
    """Blank lines and blanks round a name do not count; one bad config fails them all."""
    use(job, config="train.yaml", mode="fix")
    (job.workspace / "other one.yaml").write_text(GUESSED)
    assert use(job, config="\n  train.yaml \r\n\n other one.yaml\n") == 1
    assert "other one.yaml" in job.log


def test_keys_of_ones_own(job: Job) -> None:
    """`map` names keys that the check does not know, one a line."""
    own = GUESSED.replace("micro_batch_size:", "mb:").replace("learning_rate:", "step_width:")
    (job.workspace / "train.yaml").write_text(own)
    mapping = "micro_batch_size=train.mb\nlearning_rate=train.step_width"
    assert use(job, config="train.yaml", map=mapping, mode="fix") == 0, job.log
    assert config(job)["train"]["mb"] == lock(job)["micro_batch_size"]


def test_a_folder_to_work_in(job: Job) -> None:
    """Paths count from `working-directory`."""
    inner = job.workspace / "a folder"
    inner.mkdir()
    make_project(inner)
    (job.workspace / "batchscout.lock.json").unlink()
    assert use(job, config="train.yaml", working_directory="a folder") == 1
    assert use(job, config="train.yaml") == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "The input config is missing"),
        ({"config": " \n"}, "The input config is missing"),
        ({"config": "train.yaml", "mode": "repair"}, "The input mode has to be"),
        ({"config": "train.yaml", "allow_untold": "yes"}, "The input allow-untold has to be"),
    ],
)
def test_a_missing_or_wrong_input_is_named(job: Job, given: dict[str, str], words: str) -> None:
    """GitHub does not hold callers to `required: true`; the script does, before it installs."""
    assert use(job, **given) == 2
    assert f"::error title=batchscout::{words}" in job.log
    assert "check" not in job.outputs


def test_a_python_that_is_not_there_is_named(job: Job) -> None:
    """A program that is missing is told with the way out, also one that begins with a dash."""
    for name in ("python-of-nowhere", "-c"):
        assert job.use(REPOSITORY, config="train.yaml", python=name) == 2
        assert "actions/setup-python" in job.log


HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    '"; touch pwned; "',
    "'; touch pwned; '",
    "x && touch pwned",
    "--help",
    "--json",
    "a\n::error title=forged::forged",
    "a\nmatched=true",
    "${IFS}",
    "*",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["config", "lock", "map"])
def test_hostile_inputs_are_data(job: Job, name: str, value: str) -> None:
    """Nothing in an input is run, taken for an option, or printed as a command of the runner."""
    given = {"config": "train.yaml", "service_url": "http://127.0.0.1:9", name: value}
    assert use(job, **given) != 0
    assert not list(job.root.rglob("pwned"))
    assert not re.search(r"(?m)^::error title=forged", job.log)
    assert "usage: batchscout [-h]" not in job.log
    assert job.result()["matched"] != "true"


def test_a_fork_without_a_key_is_checked_by_the_lock_alone(job: Job) -> None:
    """No secret reaches a pull request of a fork: the service is not asked and the lock decides."""
    job.from_fork = True
    use(job, config="train.yaml", mode="fix")
    with serving(FakeService([job_document("succeeded")])) as url:
        (job.workspace / "spec.json").write_text('{"seed": 1}')
        assert use(job, config="train.yaml", service_url=url) == 1
        make_project(job.root / "workspace")
        assert use(job, config="train.yaml", service_url=url, mode="fix") == 0
    assert "::notice title=batchscout::A pull request of a fork has no key" in job.log


def test_the_key_is_never_printed(job: Job) -> None:
    """Whatever happens, log, summary and outputs are without the key."""
    (job.workspace / "spec.json").write_text('{"seed": 1}')
    given = {"config": "train.yaml", "api_key": KEY, "wait": "1s"}
    for url in ("http://127.0.0.1:9", "nonsense"):
        for choice in ("fail", "warn", "cache"):
            use(job, service_url=url, on_unavailable=choice, **given)
    told = job.log + job.summary + json.dumps(job.outputs)
    assert KEY not in told
    assert job.log


def test_nobody_answers(job: Job) -> None:
    """Where the lock is stale and its service is down, `fail` ends with 75: try later."""
    (job.workspace / "spec.json").write_text('{"seed": 1}')
    given = {"config": "train.yaml", "service_url": "http://127.0.0.1:9", "wait": "1s"}
    assert use(job, on_unavailable="fail", **given) == 75
    assert job.result()["exit-code"] == "75"


def test_a_workspace_cannot_shadow_the_program(job: Job) -> None:
    """Packages of the caller with our names, and a PYTHONPATH to them, are not imported."""
    for name in ("batchscout", "yaml", "json"):
        (job.workspace / f"{name}.py").write_text("raise SystemExit(0)\n")
    job.environment = {"PYTHONPATH": "."}
    assert use(job, config="train.yaml") == 1


@pytest.mark.full
def test_it_installs_itself_and_nothing_heavy(tmp_path: Path) -> None:
    """The base install of the action's own checkout goes into a folder of the runner, once."""
    job = Job(root=tmp_path)
    make_project(job.workspace)
    source = copy_distribution(tmp_path / "action")
    assert job.use(source, config="train.yaml", python=sys.executable) == 1, job.log
    (folder,) = job.temporary.iterdir()
    packages = {path.name for path in folder.glob("lib/*/site-packages/*")}
    assert {"httpx", "rich", "yaml", "batchscout"} <= packages
    assert not packages & {"torch", "fastapi", "pydantic", "numpy"}
    made = (folder / "installed").stat().st_mtime_ns
    assert job.use(source, config="train.yaml", python=sys.executable, mode="fix") == 0, job.log
    assert (folder / "installed").stat().st_mtime_ns == made
