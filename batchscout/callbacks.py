"""For whoever receives callbacks: tell whether a message really comes from your service.

It needs the standard library alone, so that the file may be copied into a receiver that has
no batchscout:

    message = verify(request.headers, request.body, secret="whsec_...")
    message["data"]["id"]

Any library for Standard Webhooks does the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, Final

TOLERANCE_SECONDS: Final = 300.0
"""How far the sender's clock and the receiver's may be apart. It bounds replays."""


class InvalidSignature(Exception):
    """The message is not one of your service, or not one of today: throw it away."""


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now_seconds: float | None = None,
) -> dict[str, Any]:
    """Verify a message and read it.

    A message may come twice: its `webhook-id` is the same then.

    Args:
        headers: Of the request, in whatever case.
        body: Of the request, byte for byte as it came.
        secret: `whsec_...`, as `batchscout keys secret` prints it.
        tolerance_seconds: How old or how far ahead a message may be.
        now_seconds: Seconds since 1970; None asks the clock.

    Returns:
        The message: `type`, `timestamp`, and `data` with `id` and `state` of the job.

    Raises:
        InvalidSignature: A header is missing, the signature is wrong, or the time is.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp = found["webhook-id"], found["webhook-timestamp"]
        signatures = found["webhook-signature"].split()
        seconds = int(timestamp)
    except (KeyError, ValueError) as error:
        raise InvalidSignature("a header of the signature is missing, or cannot be read") from error
    expected = _signature(secret, f"{message_id}.{timestamp}.".encode() + body)
    # Several are sent while a secret is being replaced. Compared in constant time, and as
    # bytes: the comparison of strings refuses what is not ASCII.
    if not any(hmac.compare_digest(one.encode(), expected) for one in signatures):
        raise InvalidSignature("the signature does not fit the message and the secret")
    now = time.time() if now_seconds is None else now_seconds
    if not abs(now - seconds) <= tolerance_seconds:
        raise InvalidSignature("the message is too old, or from the future")
    message: dict[str, Any] = json.loads(body)
    return message


def _signature(secret: str, signed: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise InvalidSignature("the secret is not `whsec_` and base64") from error
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
