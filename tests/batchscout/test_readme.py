"""The three lines of the README: they are three, they work as they stand, and they are typed."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import batchscout
from batchscout.answer import Answer
from tests.batchscout.documents import RECOMMENDATION, job
from tests.batchscout.fake_service import FakeService, serving

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT = '"http://127.0.0.1:8321"'

TYPED = """
from typing import Any, assert_type
import batchscout

async def both(spec: dict[str, Any]) -> None:
    async with batchscout.AsyncClient() as service:
        assert_type(await service.tune(spec), batchscout.Answer)
    with batchscout.Client() as now:
        answer = now.tune(spec, on_progress=lambda job: print(job.state, job.progress))
        assert_type(answer, batchscout.Answer)
        assert_type(answer.global_batch_size, int)
        assert_type(answer.learning_rate, float | None)
        assert_type(now.wait("tj_1"), batchscout.Job)
"""


@pytest.fixture(scope="module")
def lines() -> str:
    """What the README shows."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```python\n(import batchscout\n.*?)```", readme, re.DOTALL)
    return str(found)


def test_there_are_three(lines: str) -> None:
    """Import, connect, ask."""
    assert len([line for line in lines.splitlines() if line.strip()]) == 3


def test_they_work_as_they_stand(lines: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Pasted with a spec, against a service elsewhere, they follow the job and have its answer."""
    service = FakeService([job("queued"), job("running"), job("succeeded")])
    with serving(service) as url:
        names: dict[str, Any] = {"spec": {"seed": 3}}
        assert DEFAULT in lines
        exec(lines.replace(DEFAULT, repr(url)), names)  # noqa: S102 - the README's own code
    assert isinstance(names["answer"], Answer)
    assert names["answer"].global_batch_size == RECOMMENDATION["global_batch_size"]
    assert service.specs == [{"seed": 3}]
    assert "running" in capsys.readouterr().out


def test_the_async_twin_does_the_same() -> None:
    """One answer, whichever of the two asks."""

    async def ask(url: str) -> batchscout.Answer:
        async with batchscout.AsyncClient(url) as service:
            return await service.tune({})

    with serving(FakeService([job("queued"), job("succeeded")])) as url:
        assert asyncio.run(ask(url)).global_batch_size == RECOMMENDATION["global_batch_size"]


def typed(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check a program's types as strictly as our own."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "program.py"]
    cache = ["--cache-dir", str(folder / "cache"), "--follow-imports", "silent"]
    environment = {"MYPYPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [*command, *cache], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_they_are_typed(tmp_path: Path) -> None:
    """A type checker knows the answer and its fields, and would notice another type."""
    right = typed(TYPED, tmp_path)
    assert right.returncode == 0, right.stdout
    wrong = typed(TYPED.replace("global_batch_size, int", "global_batch_size, str"), tmp_path)
    assert wrong.returncode == 1
    assert "assert-type" in wrong.stdout


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """`import batchscout` alone costs no httpx; a name that is not there is an AttributeError."""
    program = (
        "import sys, batchscout; assert 'httpx' not in sys.modules; "
        "batchscout.Client; assert 'httpx' in sys.modules; "
        "assert not hasattr(batchscout, 'Nothing')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
