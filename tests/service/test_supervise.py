"""Both processes together: started, replaced, taken down."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service import supervise
from service.address import CannotServe, open_listener, url_of
from service.settings import Settings
from service.supervise import Embedded, Supervisor
from tests.service.fake_executor import SPEC

WAITING = {**SPEC, "budget": {"timeout_seconds": 600}}
SERVE = "from service import settings, supervise; supervise.serve(settings.Settings())"


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it never came true")


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def deployed(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose devices are locked in a folder of their own."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return settings


@pytest.fixture
def service(deployed: Settings) -> Iterator[Embedded]:
    """A running service."""
    with Embedded(deployed) as service:
        yield service


def test_a_service_lives_as_long_as_its_block(deployed: Settings) -> None:
    """It is ready inside, its address is published, and afterwards nothing is left."""
    with Embedded(deployed) as service:
        ready = httpx.get(f"{service.url}/readyz").json()
        assert ready["controller"]["state"] == "fresh"
        assert ready["controller"]["pid"] == service.pids["controller"]
        assert (deployed.data_dir / "address").read_text() == service.url + "\n"
        pids = [pid for pid in service.pids.values() if pid]
        resident = Path(f"/proc/{service.pids['api']}/status").read_text()
        kilobytes = int(resident.partition("VmRSS:")[2].split()[0])
        assert kilobytes < 150_000
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)
    assert not (deployed.data_dir / "address").exists()


@pytest.mark.parametrize("name", ["api", "controller"])
def test_a_process_that_is_killed_is_replaced(service: Embedded, name: str) -> None:
    """The service goes on at the same address with another process."""
    before = service.pids[name]
    assert before is not None
    os.kill(before, signal.SIGKILL)
    eventually(lambda: service.pids[name] not in {before, None})
    if name == "controller":
        eventually(lambda: controller_pid(service) == service.pids[name])
    assert httpx.get(f"{service.url}/livez", timeout=60).status_code == 200


def controller_pid(service: Embedded) -> int:
    """Process id of the controller that was seen last."""
    ready = httpx.get(f"{service.url}/readyz", timeout=60).json()
    pid: int = ready["controller"]["pid"]
    return pid


def test_the_processes_can_be_supervised_apart(deployed: Settings) -> None:
    """As in two containers on one volume: either alone, and together a service."""
    api, controller = Supervisor(deployed, only="api"), Supervisor(deployed, only="controller")
    try:
        api.start()
        api.wait_ready()
        assert controller.url is None
        assert httpx.get(f"{api.url}/readyz").json()["controller"]["state"] == "absent"
        controller.start()
        controller.wait_ready()
        assert httpx.get(f"{api.url}/readyz").json()["controller"]["state"] == "fresh"
    finally:
        api.stop()
        controller.stop()


def test_a_data_folder_has_one_controller(
    service: Embedded, deployed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second service on it is refused, and told who is there."""
    monkeypatch.setattr(supervise, "LOCK_SECONDS", 0.1)
    second = Supervisor(deployed)
    with pytest.raises(CannotServe, match=f"process {os.getpid()}"):
        second.start()
    assert second.pids == {}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_supervisor(deployed: Settings, end: signal.Signals) -> None:
    """Whether it is asked to end or killed, both processes end with it."""
    environment = {**os.environ, **deployed.environment()}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert server.stdout is not None
    with server, server.stdout:
        line = server.stdout.readline()
        url = (deployed.data_dir / "address").read_text().strip()
        assert url in line
        children = children_of(server.pid)
        assert len(children) == 2
        server.send_signal(end)
        code = server.wait(timeout=30)
    assert code == (0 if end is not signal.SIGKILL else -signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in children))


def test_whoever_waits_is_answered_when_the_service_stops(deployed: Settings) -> None:
    """A long poll ends with the job as it is, not with a broken connection."""
    with ThreadPoolExecutor(1) as pool:
        with Embedded(deployed) as service:
            job = httpx.post(f"{service.url}/v1/tuning-jobs", json=WAITING).headers["location"]
            poll = pool.submit(httpx.get, f"{service.url}{job}?wait=60", timeout=60)
            time.sleep(1.0)
            assert not poll.done()
        assert poll.result().status_code == 200


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_port_that_is_taken_is_told_at_once(deployed: Settings) -> None:
    """Nothing is started; the message names the port and the way out."""
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        taken = Supervisor(deployed.model_copy(update={"port": port}))
        with pytest.raises(CannotServe, match=f"Port {port} .* --port"):
            taken.start()
        assert taken.pids == {}


def test_a_process_that_cannot_start_is_given_up(deployed: Settings) -> None:
    """Three failures before it was ever ready are enough."""
    hopeless = deployed.model_copy(update={"database_url": "sqlite:////proc/no/such.sqlite3"})
    with pytest.raises(CannotServe, match="does not start"), Embedded(hopeless):
        pytest.fail("it is not ready")
    assert "unable to open database file" in (deployed.data_dir / "service.log").read_text()


def test_the_address_of_every_interface_is_reached_on_this_machine() -> None:
    """A URL is one that a client on this machine can use."""
    with open_listener("0.0.0.0", 0) as listener:  # noqa: S104
        assert url_of(listener).startswith("http://127.0.0.1:")
    with open_listener("localhost", 0) as listener:
        assert url_of(listener).startswith("http://")


def test_an_address_of_another_machine_is_refused() -> None:
    """The message says which one."""
    with pytest.raises(CannotServe, match=r"192\.0\.2\.1"):
        open_listener("192.0.2.1", 0)
