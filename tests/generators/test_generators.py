"""Generated clients: no generator has anything to say against the document, and they work."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.store.database import Database
from service.store.keys import Keys
from service.store.migrate import migrate
from service.supervise import Embedded
from tests.integration.jobs import SPEC

HERE = Path(__file__).resolve().parent
COMMITTED = HERE.parents[1] / "openapi.json"

pytestmark = [pytest.mark.full, pytest.mark.timeout(560)]


def run(tools: Path, *command: str | Path, cwd: Path, stdin: str = "") -> str:
    """Run one of the tools, and return all that it said."""
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": "", "NO_COLOR": "1"}
    done = subprocess.run(
        [tools / command[0], *command[1:]],
        cwd=cwd,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    return said


@pytest.fixture
def python_client(tools: Path, tmp_path: Path) -> Path:
    """The folder that holds a freshly generated client."""
    said = run(
        tools,
        *("openapi-python-client", "generate", "--path", COMMITTED, "--fail-on-warning"),
        *("--meta", "none", "--output-path", tmp_path / "generated" / "batchscout_api"),
        cwd=tmp_path,
    )
    assert "arning" not in said
    return tmp_path / "generated"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Embedded]:
    """A real service that demands keys; one of them lies in the file `key`."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    settings = Settings(data_dir=tmp_path / "data", port=0, require_keys=True)
    settings.data_dir.mkdir()
    database = Database(settings.resolved_database_url)
    migrate(database, lock_file=settings.data_dir / "migrate.lock")
    _, key = Keys(database).create("a generated client")
    database.close()
    (tmp_path / "key").write_text(key)
    with Embedded(settings) as service:
        yield service


def test_the_generated_python_client_drives_a_whole_job(
    tools: Path, python_client: Path, service: Embedded, tmp_path: Path
) -> None:
    """With a key and an idempotency key: create, wait, read, cancel, delete; problems are typed."""
    said = run(
        tools,
        *("python", HERE / "whole_job.py", python_client, service.url, tmp_path / "key"),
        cwd=tmp_path,
        stdin=json.dumps(SPEC),
    )
    seen = json.loads(said)
    assert seen["same"]
    assert seen["refused"] == "idempotency_key_reused"
    assert seen["cancelled"] in {"cancelling", "cancelled"}
    assert seen["state"] == "succeeded"
    assert {"race", "confirm"} <= set(seen["stages"])
    assert seen["batch"] == seen["product"]
    assert seen["rate"] > 0
    assert (seen["listed"], seen["deleted"], seen["gone"]) == (2, 204, "tuning_job_not_found")


@pytest.fixture
def typed_program(tools: Path, tmp_path: Path) -> Path:
    """A folder with a program beside freshly generated types."""
    for name in ("program.ts", "tsconfig.json"):
        (tmp_path / name).write_text((HERE / name).read_text())
    # Without the flag every field that has a default is demanded of requests, too.
    said = run(
        tools,
        *("node", tools / "openapi-typescript", COMMITTED, "--default-non-nullable=false"),
        *("-o", tmp_path / "schema.d.ts"),
        cwd=tmp_path,
    )
    assert "⚠" not in said
    assert "arning" not in said
    return tmp_path


def test_the_generated_types_are_accepted_by_the_compiler(tools: Path, typed_program: Path) -> None:
    """TypeScript in its strict mode takes the types and a program that uses them."""
    run(tools, "node", tools / "tsc", "--project", typed_program, cwd=typed_program)


def test_the_generated_types_tell_right_from_wrong(tools: Path, typed_program: Path) -> None:
    """A field that is not there, of a value that may be null, is refused twice."""
    program = (typed_program / "program.ts").read_text()
    right = "job.recommendation?.learning_rate"
    assert right in program
    (typed_program / "program.ts").write_text(program.replace(right, "job.recommendation.rate"))
    with pytest.raises(AssertionError, match=r"(?s)program.ts.*(possibly 'null'|does not exist)"):
        run(tools, "node", tools / "tsc", "--project", typed_program, cwd=typed_program)
