"""What an exchange with the service is made of: calls, rests, and what comes back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

REPLY_SECONDS: Final = 30.0
"""How long a reply may take beyond what was asked to be waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to make.

    Args:
        method: HTTP method.
        path: Below the address of the service.
        query: Query parameters.
        headers: Extra headers.
        body: JSON body, if any.
        timeout_seconds: How long the reply may take.
    """

    method: str
    path: str
    query: Mapping[str, str | int | float]
    headers: Mapping[str, str]
    body: Any = None
    timeout_seconds: float = REPLY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """Nothing came back.

    Args:
        reason: Why.
        sent: Whether the request may have arrived all the same.
    """

    reason: str
    sent: bool = False


T = TypeVar("T")
Step: TypeAlias = Call | Rest
Outcome: TypeAlias = Reply | Unreachable | None
Exchange: TypeAlias = Generator[Step, Outcome, T]
