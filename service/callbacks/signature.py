"""How a message is signed, so that its receiver knows who sent it (Standard Webhooks 1.0).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from service.callback_secret import PREFIX


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a message.

    Args:
        secret: `whsec_` and the key in base64.
        message_id: The same on every try.
        timestamp: Of this try, in seconds since 1970.
        body: What is sent.

    Returns:
        Value of the header `webhook-signature`: `v1,` and the signature in base64.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(
    secret: str, *, message_id: str, timestamp: int, body: bytes
) -> tuple[tuple[str, str], ...]:
    """Make the three headers that every message carries."""
    signature = sign(secret, message_id=message_id, timestamp=timestamp, body=body)
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", signature),
    )
