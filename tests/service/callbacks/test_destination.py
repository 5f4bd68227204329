"""URLs of callbacks: read strictly, once."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.callbacks.address import Refused
from service.callbacks.destination import read_destination, shown_url

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.com", ("https", "example.com", 443, "/", "example.com")),
        ("http://example.com", ("http", "example.com", 80, "/", "example.com")),
        ("HTTPS://Example.COM/A?b=c", ("https", "example.com", 443, "/A?b=c", "example.com")),
        ("https://a-b.example.:8443/x", ("https", "a-b.example.", 8443, "/x", "a-b.example.:8443")),
        ("http://x.example:443/", ("http", "x.example", 443, "/", "x.example:443")),
        (
            "https://[2606:4700:4700::1111]:9000/",
            ("https", "2606:4700:4700::1111", 9000, "/", "[2606:4700:4700::1111]:9000"),
        ),
        ("https://8.8.8.8/?token=1", ("https", "8.8.8.8", 443, "/?token=1", "8.8.8.8")),
    ],
)
def test_a_url_is_taken_apart(url: str, parts: tuple[str, str, int, str, str]) -> None:
    """Scheme, host, port, target, and what the header `Host` says."""
    found = read_destination(url)
    assert (found.scheme, found.host, found.port, found.target, found.authority) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com:8000/_x",
        "https://",
        "https:///path",
        "https://user@example.com",
        "https://user:secret@example.com",
        "https://@example.com",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com",
        "https://example.com/\n",
        "https://example.com/\u00e9",
        "https://b\u00fccher.example",
        "https://example.com/#part",
        "https://example.com:0",
        "https://example.com:22",
        "https://example.com:6379",
        "https://example.com:7999",
        "https://example.com:65536",
        "https://example.com:port",
        "https://-example.com",
        "https://exa%6dple.com",
        "https://example..com",
        "https://[::1",
        "https://[v1.x]/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    """Other schemes, users, ports of mail and databases, and what two readers read differently."""
    with pytest.raises(Refused):
        read_destination(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "any.localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[fe80::1%25eth0]",
        "999.1",
        "1.2.3.256",
    ],
)
def test_a_literal_address_that_is_not_public_is_refused(host: str) -> None:
    """However it is written, and without asking anybody."""
    with pytest.raises(Refused):
        read_destination(f"http://{host}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost", "[::1]"])
def test_an_allowed_network_may_be_written_down(host: str) -> None:
    """What the operator allows is accepted in every way of writing it."""
    assert read_destination(f"http://{host}:8000/", allowed=LOOPBACK).port == 8000


def test_the_query_is_not_shown() -> None:
    """It often holds a token of the receiver; neither URL nor representation show it."""
    assert shown_url("https://example.com/a?token=1") == "https://example.com/a"
    assert "token" not in repr(read_destination("https://example.com/a?token=1"))


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "https://[", "http://1"]))
def test_no_text_breaks_the_reader(rest: str, start: str) -> None:
    """Whatever comes, it is read or refused."""
    try:
        found = read_destination(start + rest)
    except Refused:
        return
    assert found.scheme in {"http", "https"}
    assert found.port in {80, 443} or found.port >= 8000
