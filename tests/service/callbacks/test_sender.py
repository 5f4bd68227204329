"""One try: what goes over the wire, and whereto it never goes."""

import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
import trustme

from batchscout.callbacks import verify
from service.callbacks.address import Address
from service.callbacks.sender import MAX_ANSWER_BYTES, Sender, Tried
from tests.service.callbacks.conftest import LOOPBACK
from tests.service.callbacks.receiver import Receiver, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the published example
BODY = b'{"type":"tuning_job.succeeded"}'


def send(sender: Sender, url: str) -> Tried:
    """Try to send one message."""
    return sender.send(url=url, message_id="msg_1", body=BODY, secret=SECRET)


def resolver(*answers: Sequence[str]) -> tuple[list[str], Sender]:
    """A sender whose resolver gives one answer after the other, and what it was asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ipaddress.ip_address(one) for one in answers[len(asked) - 1]]

    return asked, Sender(allowed=LOOPBACK, resolve=resolve, limit_seconds=5)


def test_a_message_arrives_signed(received: Receiver, sender: Sender) -> None:
    """The receiver can verify it with the secret, and gets the query that it asked for."""
    tried = send(sender, received.url("/hook?token=abc"))
    assert tried == Tried(status=204, error=None)
    assert tried.delivered
    (request,) = received.requests
    assert request.path == "/hook?token=abc"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{received.port}"
    assert request.headers["webhook-id"] == "msg_1"
    assert verify(request.headers, request.body, SECRET) == {"type": "tuning_job.succeeded"}


def test_the_checked_address_is_connected_to_under_the_name(received: Receiver) -> None:
    """The name is looked up once; `Host` still says it."""
    asked, sender = resolver(["127.0.0.1"])
    assert send(sender, f"http://hook.example:{received.port}/").delivered
    assert asked == ["hook.example"]
    assert received.requests[0].headers["host"] == f"hook.example:{received.port}"


def test_a_name_that_changes_its_mind_finds_nobody(received: Receiver) -> None:
    """Rebinding: what was checked is what is connected to; the second answer is never asked for."""
    asked, sender = resolver(["127.0.0.2"], ["127.0.0.1"])
    tried = send(sender, f"http://rebind.example:{received.port}/")
    assert not tried.delivered
    assert asked == ["rebind.example"]
    assert received.requests == []


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_inside_is_refused_and_the_address_is_kept(address: str) -> None:
    """The sentence says why without telling what the name leads to."""
    _, sender = resolver([address])
    tried = send(sender, "http://inside.example:8000/")
    assert tried.status is None
    assert tried.error == "The address is not a public one."


def test_without_permission_nothing_goes_to_this_machine(received: Receiver) -> None:
    """Neither by number nor by a name that leads there."""
    assert not send(Sender(), received.url()).delivered
    assert not send(Sender(), received.url(host="localhost")).delivered
    assert received.requests == []


def test_redirects_are_not_followed(received: Receiver, sender: Sender) -> None:
    """Wherever they lead, they are a failure: one request is all there is."""
    received.answer = status(302, {"Location": received.url("/inside")})
    tried = send(sender, received.url())
    assert tried.status == 302
    assert "redirects are not followed" in str(tried.error)
    assert [request.path for request in received.requests] == ["/hook"]


def test_no_proxy_of_the_environment_stands_between(
    received: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would look the name up again, and connect to what it finds."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(sender, received.url()).delivered


@pytest.mark.parametrize(
    ("code", "delivered", "unwanted"),
    [(200, True, False), (299, True, False), (410, False, True), (429, False, False)],
)
def test_the_status_decides(
    received: Receiver,
    sender: Sender,
    code: int,
    delivered: bool,  # noqa: FBT001  (a parameter of the test)
    unwanted: bool,  # noqa: FBT001  (a parameter of the test)
) -> None:
    """Every 2xx is an arrival, 410 ends it, anything else is a failure."""
    received.answer = status(code)
    tried = send(sender, received.url())
    assert (tried.status, tried.delivered, tried.unwanted) == (code, delivered, unwanted)


def test_a_slow_receiver_is_left_in_time(received: Receiver) -> None:
    """One that sends a byte now and then, each within any limit of a single read, is left too."""
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not over.wait(0.02):
            try:
                handler.wfile.write(b"a")
            except OSError:
                return

    received.answer = drip
    try:
        tried = send(Sender(allowed=LOOPBACK, limit_seconds=0.3), received.url())
    finally:
        over.set()
    assert tried == Tried(status=None, error="There was no answer within 0.3 s.")


def test_a_body_without_end_is_not_read(received: Receiver, sender: Sender) -> None:
    """The status counts; of the body a little is read."""
    sent: list[int] = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        block = b"x" * 65536
        try:
            while sum(sent) < 1 << 30:
                sent.append(handler.wfile.write(block))
        except OSError:
            return

    received.answer = flood
    assert send(sender, received.url()).delivered
    assert sum(sent) < 1 << 26
    assert MAX_ANSWER_BYTES == 1024


@pytest.mark.parametrize("noise", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n"])
def test_what_is_no_http_is_a_failure(received: Receiver, sender: Sender, noise: bytes) -> None:
    """A receiver may be anything; its bytes are not shown."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(noise)
        handler.close_connection = True

    received.answer = answer
    tried = send(sender, received.url())
    assert tried.status is None
    assert tried.error == "The connection broke, or what came was no HTTP."


def test_nobody_there_is_a_failure(sender: Sender) -> None:
    """No traceback, a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert send(sender, f"http://127.0.0.1:{port}/").error == "No connection could be made."


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_an_unknown_name_is_a_failure(error: Exception) -> None:
    """Also one that the resolver cannot even write down."""

    def resolve(host: str, port: int) -> list[Address]:
        raise error

    tried = send(Sender(resolve=resolve), "https://unknown.example/")
    assert tried.error == "The name of the host is not known."


def test_a_second_address_is_tried(received: Receiver) -> None:
    """A host that has an address out of order is still found."""
    _, sender = resolver(["127.0.0.9", "127.0.0.1"])
    assert send(sender, f"http://two.example:{received.port}/").delivered


def test_no_secret_and_no_query_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    """Not even where something fails that nobody has thought of."""

    def resolve(host: str, port: int) -> list[Address]:
        raise RuntimeError("https://unknown.example/?token=hidden")

    with caplog.at_level(logging.INFO):
        tried = send(Sender(resolve=resolve), "https://unknown.example/?token=hidden")
    assert tried.error == "The callback could not be sent."
    shown = caplog.text + repr(tried)
    assert "RuntimeError" in shown
    assert "hidden" not in shown
    assert SECRET not in shown


@contextmanager
def tls_server(authority: trustme.CA, *names: str) -> Iterator[tuple[int, list[str | None]]]:
    """A TLS server with a certificate for some names; its port, and the names it was asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)

    def serve() -> None:
        with listener.accept()[0] as plain:
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    # All of it: closed with bytes unread, a connection breaks for the other side.
                    request = b""
                    while not request.endswith(BODY):
                        block = connection.recv(65536)
                        if not block:
                            return
                        request += block
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join()


@pytest.mark.parametrize(("name", "delivered"), [("hook.example", True), ("b.example", False)])
def test_the_certificate_has_to_be_that_of_the_name(
    name: str,
    delivered: bool,  # noqa: FBT001  (a parameter of the test)
) -> None:
    """Although an address is connected to, TLS asks for the name and checks it."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    sender = Sender(
        allowed=LOOPBACK, tls=trusting, resolve=lambda *_: [ipaddress.ip_address("127.0.0.1")]
    )
    with tls_server(authority, "hook.example") as (port, asked):
        tried = send(sender, f"https://{name}:{port}/")
    assert asked == [name]
    assert tried.delivered == delivered
    if not delivered:
        assert "certificate" in str(tried.error)


def test_the_time_of_the_signature_is_that_of_the_try(received: Receiver) -> None:
    """A receiver that throws old messages away gets a fresh one each time."""
    before = int(time.time())
    sender = Sender(allowed=LOOPBACK, clock=lambda: before + 1000.9)
    send(sender, received.url())
    assert received.requests[0].headers["webhook-timestamp"] == str(before + 1000)
