"""The demo leaves nothing behind, however it ends."""

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPT = REPOSITORY / "scripts" / "demo.py"


@pytest.fixture
def demo() -> ModuleType:
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def processes_naming(word: str) -> list[int]:
    """Ids of living processes whose command line or environment holds a word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in told:
            found.append(int(folder.name))
    return found


def test_a_refused_spec_ends_the_demo_and_its_service(tmp_path: Path) -> None:
    """The verdict of the command is the demo's, and the service is gone with its folder."""
    spec = tmp_path / "spec.json"
    spec.write_text("{}")
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(spec)],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Refused" in run.stderr
    assert list(tmp_path.iterdir()) == [spec]
    assert processes_naming(str(tmp_path)) == []


def test_an_interrupted_demo_stops_what_it_started(tmp_path: Path) -> None:
    """SIGINT while the job runs cancels it, stops the service, and removes the folder."""
    spec = REPOSITORY / "examples" / "digits-cnn.json"
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(spec)],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    while "inspect" not in (line := process.stdout.readline()):
        assert line, "it ended before the job ran"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "cancelled" in rest
    assert [path.name for path in tmp_path.glob("batchscout-demo-*")] == []
    deadline = time.monotonic() + 30
    while processes_naming(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_naming(str(tmp_path)) == []


def test_a_service_that_ends_at_once_is_told_with_its_log(demo: ModuleType, tmp_path: Path) -> None:
    """Where the service does not start, the end of its log is the message."""
    log = tmp_path / "serve.log"
    log.write_text("no room on the disk")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(SystemExit, match="no room on the disk"):
        demo.wait_until_ready(process, "http://127.0.0.1:9/readyz", log)


def test_a_service_that_does_not_listen_is_killed(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ignores a polite request is ended by force."""
    monkeypatch.setattr(demo, "STOP_SECONDS", 0.2)
    stubborn = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        demo.stop(process)
    assert process.returncode == -signal.SIGKILL
