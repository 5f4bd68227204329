"""What nobody sends by mistake: each is refused in a few words, and the service lives on.

All of it goes to one API process, whose memory and log are looked at afterwards.
"""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from service.api.cursors import write_cursor
from service.api.examples import DIGITS
from service.settings import Settings
from service.supervise import Supervisor

JOBS = "/v1/tuning-jobs"
ESTIMATES = "/v1/memory-estimates"
MEGA = 10**6
MIB = 1024 * 1024

PATIENCE_SECONDS = 60.0
"""A refusal that is not there by then has cost the service too much."""

LONGEST_REFUSAL_BYTES = 20_000
MOST_GROWTH_BYTES = 160 * MIB
"""What the process may hold at once for one body of a mebibyte."""

MOST_KEPT_BYTES = 24 * MIB
"""By what the process may grow when everything hostile comes a second and a third time."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """An API process of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    settings = Settings(data_dir=folder, port=0, max_body_seconds=0.5)
    supervisor = Supervisor(settings, only="api", log_file=folder / "log")
    supervisor.start()
    try:
        supervisor.wait_ready()
        yield supervisor
    finally:
        supervisor.stop()
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture(scope="module")
def client(api: Supervisor) -> Iterator[httpx.Client]:
    """A client of that process."""
    assert api.url is not None
    with httpx.Client(base_url=api.url, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture(autouse=True)
def _alive_afterwards(client: httpx.Client) -> Iterator[None]:
    """After every test the service still takes a job."""
    yield
    assert client.get("/livez").json() == {"state": "alive"}
    address = client.post(JOBS, json=DIGITS).raise_for_status().headers["Location"]
    assert client.post(f"{address}/cancel").json()["state"] == "cancelled"


def assert_refused(response: httpx.Response, status: int, code: str) -> None:
    """A refusal is a short problem with that code."""
    assert (response.status_code, response.json()["code"]) == (status, code), response.text[:500]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(response.content) < LONGEST_REFUSAL_BYTES
    assert "Traceback" not in response.text


def digits_with(**parts: Any) -> bytes:
    """The valid request with something else in it."""
    return json.dumps({**DIGITS, **parts}).encode()


def many(count: int, item: str) -> str:
    """Items of a list or members of an object, one after the other."""
    return ",".join(item.replace("#", str(index)) for index in range(count))


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "invalid_json"),
    "deep lists": (b"[" * 500_000, 400, "invalid_json"),
    "deep and closed": (b"[" * 90_000 + b"]" * 90_000, 400, "invalid_json"),
    "deep objects": (b'{"a":' * 150_000 + b"0" + b"}" * 150_000, 400, "invalid_json"),
    "just too deep": (digits_with(seed=json.loads("[" * 40 + "]" * 40)), 400, "invalid_json"),
    "a long string": (b'"' + b"x" * MEGA + b'"', 422, "invalid_spec"),
    "a long name": (b'{"' + b"x" * MEGA + b'": 0}', 422, "invalid_spec"),
    "a long kind": (digits_with(model={"kind": "x" * MEGA}), 422, "invalid_spec"),
    "a long escape": (rb'{"a": "' + rb"\u00e9" * 170_000 + b'"}', 422, "invalid_spec"),
    "a long path": (
        digits_with(dataset={"kind": "files", "format": "npz", "path": "a/" * 400_000}),
        422,
        "invalid_spec",
    ),
    "a way out of the root": (
        digits_with(dataset={"kind": "files", "format": "npz", "path": "../../etc/passwd"}),
        422,
        "path_outside_root",
    ),
    "a long architecture": (
        digits_with(model={"kind": "hf_config", "model_type": "x" * MEGA, "config": {}}),
        422,
        "invalid_spec",
    ),
    "a long key of a configuration": (
        digits_with(
            model={"kind": "hf_config", "model_type": "gpt2", "config": {"_" + "x" * 900_000: 1}}
        ),
        422,
        "config_key_refused",
    ),
    "NaN": (b'{"seed": NaN}', 400, "invalid_json"),
    "infinity": (b'{"seed": Infinity}', 400, "invalid_json"),
    "minus infinity": (b'{"seed": -Infinity}', 400, "invalid_json"),
    "a float that overflows": (b'{"seed": 1e999}', 400, "invalid_json"),
    "an endless integer": (b'{"seed": ' + b"9" * MEGA + b"}", 400, "invalid_json"),
    "an endless fraction": (b'{"seed": 0.' + b"3" * MEGA + b"}", 422, "invalid_spec"),
    "a key twice": (b'{"seed": 0, "seed": 1}', 400, "invalid_json"),
    "a key twice among many": (
        ("{" + many(90_000, '"#":0') + ',"z":0,"z":1}').encode(),
        400,
        "invalid_json",
    ),
    "many unknown keys": (("{" + many(90_000, '"k#":0') + "}").encode(), 422, "invalid_spec"),
    "many wrong items": (
        digits_with(gpus=["x"] * 200_000, seed={str(index): 0 for index in range(9)}),
        422,
        "invalid_spec",
    ),
    "many empty lists": (("[" + many(340_000, "[]") + "]").encode(), 422, "invalid_spec"),
    "half a surrogate pair": (rb'{"a": "\ud800"}', 400, "invalid_json"),
    "half a pair as a key": (rb'{"\udfff": 0}', 400, "invalid_json"),
    "a NUL": (rb'{"a": "\u0000"}', 400, "invalid_json"),
    "a NUL in the raw": (b'{"a": "\0"}', 400, "invalid_json"),
    "NULs alone": (b"\0" * MEGA, 400, "invalid_json"),
    "no UTF-8": (b'{"a": "\xff\xfe"}', 400, "invalid_json"),
    "UTF-16": ('{"a": 0}'.encode("utf-16"), 400, "invalid_json"),
    "a mark before": (b"\xef\xbb\xbf{}", 400, "invalid_json"),
    "two values": (b"{} {}", 400, "invalid_json"),
    "a broken end": (b'{"model": {"kind": "built', 400, "invalid_json"),
    "a list": (b"[]", 422, "invalid_spec"),
    "null": (b"null", 422, "invalid_spec"),
    "too much": (b" " * (MIB + 1), 413, "body_too_large"),
}
"""A name, the body, and how it is refused."""


@pytest.mark.parametrize("address", [JOBS, ESTIMATES])
@pytest.mark.parametrize("name", BODIES)
def test_hostile_bodies_are_refused(client: httpx.Client, name: str, address: str) -> None:
    """Whatever the body does, the answer is one short problem."""
    body, status, code = BODIES[name]
    if address == ESTIMATES and status == 422:
        code = "invalid_spec"  # a tuning job's members are unknown there
    response = client.post(address, content=body, headers={"Content-Type": "application/json"})
    assert_refused(response, status, code)


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/" + "x" * 5000,
    ],
)
def test_only_json_is_read(client: httpx.Client, kind: str | None) -> None:
    """What is declared as something else, or as nothing, is not looked into."""
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post(JOBS, content=digits_with(), headers=headers)
    assert_refused(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip", "x"])
def test_packed_bodies_are_not_unpacked(api: Supervisor, client: httpx.Client, coding: str) -> None:
    """A bomb of 200 MiB costs what its packed form does."""
    bomb = gzip.compress(b" " * (200 * MIB), compresslevel=1)
    assert len(bomb) < MIB
    before = memory_of(api, "VmRSS")
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = client.post(JOBS, content=bomb, headers=headers)
    assert_refused(response, 415, "unsupported_media_type")
    assert memory_of(api, "VmRSS") - before < 20 * MIB


@pytest.mark.parametrize(
    "name",
    [
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2f%2e%2e%2fetc",
        "..%5C..%5Cwindows",
        "%00",
        "tj_%00",
        "%FF%FE",
        "tj_' OR 1=1 --",
        "x" * 41,
        "x" * 20_000,
        "%E2%80%AE",
        "tj_%0d%0aSet-Cookie:%20a=b",
    ],
)
@pytest.mark.parametrize("rest", ["", "/trials", "/recommendation"])
def test_ids_lead_nowhere_else(client: httpx.Client, name: str, rest: str) -> None:
    """An id is looked up and nothing else: no path, no SQL, no header comes of it."""
    response = client.get(f"{JOBS}/{name}{rest}")
    assert response.status_code in {404, 422}
    assert_refused(response, response.status_code, response.json()["code"])
    assert "root:" not in response.text
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=1.5",
        "limit=1e3",
        "limit=NaN",
        "limit=Infinity",
        "limit=",
        "limit=%00",
        "limit=" + "9" * 5000,
        "limit=-" + "9" * 5000,
        "state=hopeful",
        "state=%00",
        "cursor=%00",
        "cursor=%FF",
        "cursor=djE6LTE",
        "cursor=djE6MQ==",
        "cursor=" + "A" * 60_000,
        "cursor=" + write_cursor("jobs", 10**30),
        "cursor=" + write_cursor("jobs", -1),
        "cursor=" + write_cursor("trials/1", 1),
    ],
)
def test_parameters_of_lists_are_held_to_their_range(client: httpx.Client, query: str) -> None:
    """Sizes, states and cursors that make no sense are named as what is to blame."""
    response = client.get(f"{JOBS}?{query}")
    assert_refused(response, 422, "invalid_parameter")
    (found,) = response.json()["errors"]
    assert found["parameter"] == query.partition("=")[0]


def test_a_cursor_belongs_to_one_list(client: httpx.Client) -> None:
    """That of jobs opens no trials, and that of one job's trials not those of another."""
    first, second = (client.post(JOBS, json=DIGITS).headers["Location"] for _ in range(2))
    page = client.get(JOBS, params={"limit": 1}).json()
    foreign = [page["next_cursor"], write_cursor("trials/0", 0)]
    for address in (first, second):
        for cursor in foreign:
            response = client.get(f"{address}/trials", params={"cursor": cursor})
            assert_refused(response, 422, "invalid_parameter")
        client.post(f"{address}/cancel")


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "1e400", "86401", "", "x", "%00"])
def test_a_wait_is_a_finite_time(client: httpx.Client, wait: str) -> None:
    """No poll is opened for a time that never ends or is none."""
    response = client.get(f"{JOBS}/tj_0?wait={wait}")
    assert_refused(response, 422, "invalid_parameter")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "BREW", "DELETE"])
def test_methods_that_are_not_there_are_refused(client: httpx.Client, method: str) -> None:
    """Known and unknown ones alike."""
    assert_refused(client.request(method, JOBS), 405, "method_not_allowed")


def exchange(api: Supervisor, *parts: bytes) -> bytes:
    """Send bytes as they are, and read until the service ends the connection."""
    assert api.url is not None
    address = urlsplit(api.url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS) as to:
        answer = b""
        try:
            for part in parts:
                to.sendall(part)
        except OSError:
            pass  # it has answered and closed already
        try:
            while received := to.recv(65536):
                answer += received
        except ConnectionResetError:
            pass
        return answer


def head(*lines: str) -> bytes:
    """The beginning of a request for a job."""
    fixed = (f"POST {JOBS} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json")
    return "\r\n".join((*fixed, *lines, "", "")).encode("latin-1")


def test_a_body_without_end_is_cut_off_by_its_size(api: Supervisor) -> None:
    """Chunk follows chunk: the limit ends it, and the connection."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = exchange(api, head("Transfer-Encoding: chunked"), *[chunk] * 400)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer


@pytest.mark.parametrize(
    "parts",
    [
        (head("Transfer-Encoding: chunked"), b"2\r\n{ \r\n"),
        (head("Content-Length: 1000"), b"{"),
        (head("Content-Length: 1000"),),
    ],
)
def test_a_body_that_stops_arriving_is_cut_off_by_its_time(
    api: Supervisor, parts: tuple[bytes, ...]
) -> None:
    """Nobody holds a connection open by sending nothing."""
    answer = exchange(api, *parts)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_too_slow"' in answer


@pytest.mark.parametrize("length", ["1048577", "9" * 17, "9" * 19])
def test_a_body_that_is_declared_too_large_is_not_read(api: Supervisor, length: str) -> None:
    """It is refused before its first byte."""
    answer = exchange(api, head(f"Content-Length: {length}"))
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("X-Large: " + "x" * 300_000, "Content-Length: 2") + b"{}",
        head(*(f"X-{index}: {'x' * 100}" for index in range(5000)), "Content-Length: 2") + b"{}",
        f"GET /{'x' * 300_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(),
        head("X-Nul: a\0b", "Content-Length: 2") + b"{}",
        head("Content-Length: 2", "Content-Length: 3") + b"{}",
        head("Content-Length: -1"),
        head("Content-Length: " + "9" * 5000),
        head("Transfer-Encoding: chunked") + b"FFFFFFFFFFFFFFFFFFFFFFFFF\r\n",
        head("Transfer-Encoding: gzip") + b"{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused_below_the_application(
    api: Supervisor, request_bytes: bytes
) -> None:
    """Huge heads, wrong lengths and other protocols get a 4xx or 501, and a closed connection."""
    answer = exchange(api, request_bytes)
    assert re.match(rb"HTTP/1\.1 (4\d\d|501) ", answer), answer[:200]
    assert b"Traceback" not in answer
    assert len(answer) < LONGEST_REFUSAL_BYTES


def test_a_connection_that_breaks_off_is_no_failure_of_the_service(api: Supervisor) -> None:
    """Half a body and then nothing: no error is logged, as the end of the module shows."""
    assert api.url is not None
    address = urlsplit(api.url)
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head("Content-Length: 1000") + b"{")


@pytest.mark.parametrize(
    "value", ['"' * 30_000, '"1"' * 10_000, "W/" * 15_000, "*" * 30_000, '"\\', "é".encode()]
)
def test_entity_tags_are_only_compared(client: httpx.Client, value: str | bytes) -> None:
    """A tag that is none names no revision."""
    address = client.post(JOBS, json=DIGITS).headers["Location"]
    client.post(f"{address}/cancel")
    response = client.get(address, headers={"If-None-Match": value})
    assert response.status_code == 200


def test_memory_comes_back(api: Supervisor, client: httpx.Client) -> None:
    """No hostile body takes much at once, and none leaves anything when it comes again."""
    headers = {"Content-Type": "application/json"}

    def send_everything() -> None:
        for body, _, _ in BODIES.values():
            client.post(JOBS, content=body, headers=headers)

    send_everything()
    before = memory_of(api, "VmRSS")
    Path(f"/proc/{pid_of(api)}/clear_refs").write_text("5")  # the peak is counted from here
    send_everything()
    send_everything()
    assert memory_of(api, "VmHWM") - before < MOST_GROWTH_BYTES
    assert memory_of(api, "VmRSS") - before < MOST_KEPT_BYTES


def pid_of(api: Supervisor) -> int:
    """The API's process."""
    pid = api.pids["api"]
    assert pid is not None
    return pid


def memory_of(api: Supervisor, field: str) -> int:
    """Read bytes off the process's status."""
    status = Path(f"/proc/{pid_of(api)}/status").read_text()
    (kilobytes,) = re.findall(rf"{field}:\s+(\d+) kB", status)
    return int(kilobytes) * 1024
