"""Which addresses a callback may connect to."""

import ipaddress
import socket

import pytest

from service.callbacks.address import Refused, check, checked_addresses, look_up

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001:800::200e"]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    """What anybody can reach may be told."""
    check(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_refused_without_being_named(address: str) -> None:
    """Nobody learns from a refusal what a name leads to inside of our network."""
    with pytest.raises(Refused) as caught:
        check(ipaddress.ip_address(address), ())
    assert address not in str(caught.value)


def test_what_the_operator_allows_passes_and_nothing_beside_it() -> None:
    """A network that is named opens itself alone."""
    allowed = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    check(ipaddress.ip_address("10.1.2.3"), allowed)
    check(ipaddress.ip_address("fd00::1"), allowed)
    for other in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3"):
        with pytest.raises(Refused):
            check(ipaddress.ip_address(other), allowed)


def test_one_bad_address_refuses_a_name() -> None:
    """A name that leads to a public address and to ours is a trick."""
    both = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    with pytest.raises(Refused):
        checked_addresses("trick.example", 443, allowed=(), resolve=lambda host, port: both)


def test_a_name_without_an_address_is_no_way_out() -> None:
    """An empty answer of the resolver is an error, not a pass."""
    with pytest.raises(OSError, match="no address"):
        checked_addresses("empty.example", 443, allowed=(), resolve=lambda host, port: [])


def test_the_resolver_of_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address that it states comes back, once each."""

    def answer(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("some.example", 443)
        stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "")
        return [
            (*six, ("fe80::1%2", 443, 0, 2)),
            (*stream, ("8.8.8.8", 443)),
            (*stream, ("8.8.8.8", 443)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert [str(one) for one in look_up("some.example", 443)] == ["fe80::1%2", "8.8.8.8"]
