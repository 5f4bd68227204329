"""A receiver, and a sender that may reach it."""

import ipaddress
from collections.abc import Iterator

import pytest

from service.callbacks.sender import Sender
from tests.service.callbacks.receiver import Receiver, receiver

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def received() -> Iterator[Receiver]:
    """A receiver that answers 204."""
    with receiver() as found:
        yield found


@pytest.fixture
def sender() -> Sender:
    """A sender whose operator allows the loopback network."""
    return Sender(allowed=LOOPBACK)
