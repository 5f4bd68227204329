"""Whereto a callback may connect: public addresses, and networks that the operator allows.

Whoever may start a job may name a URL, and this service would knock there from inside of its
own network. So addresses that are not public are refused, also those that carry another
address inside of them.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

Resolve = Callable[[str, int], Sequence[Address]]
"""Looks a name up; raises OSError where it is unknown."""

_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, loopback, and IPv4 inside of IPv6
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 of one network
        "100::/64",  # discarded
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # private
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)


class Refused(Exception):
    """A callback must not go there; the message says why, and names no address of ours."""


def check(address: Address, allowed: Sequence[Network]) -> None:
    """Let an address pass, or not.

    Args:
        address: Whereto a connection is about to be made.
        allowed: Networks that the operator allows in addition.

    Raises:
        Refused: It is not public, and not allowed.
    """
    if any(address in network for network in allowed):
        return
    special = any(address in network for network in _NOT_PUBLIC)
    # The list above is what we know of today; the standard library may come to know more.
    if special or not address.is_global or address.is_multicast or address.is_reserved:
        raise Refused("The address is not a public one.")


def look_up(host: str, port: int) -> Sequence[Address]:
    """Ask the resolver of this machine for the addresses of a name, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(_address_of(entry[4]) for entry in found))


def _address_of(sockaddr: tuple[Any, ...]) -> Address:
    return ipaddress.ip_address(str(sockaddr[0]))


def checked_addresses(
    host: str, port: int, *, allowed: Sequence[Network], resolve: Resolve = look_up
) -> Sequence[Address]:
    """Look a name up once, and check everything that comes back.

    One address that is not public refuses the name, whatever else it leads to: nobody needs
    such a name but those who try whether a check can be passed and then missed.

    Args:
        host: Name or literal address.
        port: The resolver wants to know it.
        allowed: Networks that the operator allows in addition.
        resolve: Looks names up.

    Returns:
        At least one address. Connect to these, and do not look the name up again.

    Raises:
        Refused: One of them is not public, and not allowed.
        OSError: The name is unknown.
    """
    found = resolve(host, port)
    if not found:
        raise OSError("the name has no address")
    for address in found:
        check(address, allowed)
    return found
