"""What is signed, and that a receiver can tell."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from pathlib import Path

import pytest

from batchscout import callbacks
from batchscout.callbacks import InvalidSignature, verify
from service.callback_secret import secret_of
from service.callbacks.signature import sign, signed_headers
from service.settings import Settings

# The worked example of the reference implementations of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - published, see above
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

HEADERS = {
    "Webhook-Id": MESSAGE_ID,
    "Webhook-Timestamp": str(TIMESTAMP),
    "Webhook-Signature": SIGNATURE,
}


def test_the_published_example_is_signed_as_published() -> None:
    """The signature is the one that the reference implementations state."""
    assert sign(SECRET, message_id=MESSAGE_ID, timestamp=TIMESTAMP, body=BODY) == SIGNATURE


def test_the_signature_is_over_id_time_and_body() -> None:
    """Computed here by hand, step by step, it is the same."""
    key = base64.b64decode(SECRET.split("_", 1)[1])
    digest = hmac.digest(key, b"msg_1.17." + b'{"a":1}', hashlib.sha256)
    expected = "v1," + base64.b64encode(digest).decode()
    assert sign(SECRET, message_id="msg_1", timestamp=17, body=b'{"a":1}') == expected


def test_a_receiver_accepts_the_published_example() -> None:
    """Headers count in whatever case, and the message is read."""
    assert verify(HEADERS, BODY, SECRET, now_seconds=TIMESTAMP) == {"test": 2432232314}


def test_what_is_sent_is_accepted_with_the_secret_of_its_owner_alone(settings: Settings) -> None:
    """Secrets as the service derives them fit, and differ from owner to owner."""
    settings.data_dir.mkdir(parents=True)
    mine, other = secret_of(settings, "key_1"), secret_of(settings, "key_2")
    body = json.dumps({"type": "x"}).encode()
    headers = dict(signed_headers(mine, message_id="msg_1", timestamp=50, body=body))
    assert verify(headers, body, mine, now_seconds=60) == {"type": "x"}
    with pytest.raises(InvalidSignature):
        verify(headers, body, other, now_seconds=60)


@pytest.mark.parametrize(
    ("change", "body", "now_seconds"),
    [
        ({}, BODY + b" ", TIMESTAMP),
        ({"Webhook-Id": "msg_other"}, BODY, TIMESTAMP),
        ({"Webhook-Timestamp": str(TIMESTAMP + 1)}, BODY, TIMESTAMP),
        ({"Webhook-Timestamp": "soon"}, BODY, TIMESTAMP),
        ({"Webhook-Signature": ""}, BODY, TIMESTAMP),
        ({"Webhook-Signature": SIGNATURE.replace("v1", "v2")}, BODY, TIMESTAMP),
        ({"Webhook-Signature": "v1,\u00e9"}, BODY, TIMESTAMP),
        ({}, BODY, TIMESTAMP + 301),
        ({}, BODY, TIMESTAMP - 301),
    ],
)
def test_whatever_was_changed_is_refused(
    change: dict[str, str], body: bytes, now_seconds: int
) -> None:
    """Another body, id, time or signature, and a message of another day."""
    with pytest.raises(InvalidSignature):
        verify({**HEADERS, **change}, body, SECRET, now_seconds=now_seconds)


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_a_missing_header_is_refused(missing: str) -> None:
    """Every one of the three is needed."""
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    with pytest.raises(InvalidSignature):
        verify(headers, BODY, SECRET, now_seconds=TIMESTAMP)


def test_one_of_several_signatures_is_enough() -> None:
    """While a secret is replaced there are two."""
    headers = {**HEADERS, "Webhook-Signature": f"v1,AAAA {SIGNATURE}"}
    assert verify(headers, BODY, SECRET, now_seconds=TIMESTAMP)


def test_a_refusal_does_not_tell_the_secret() -> None:
    """Neither the secret nor the right signature is in the error."""
    with pytest.raises(InvalidSignature) as caught:
        verify(HEADERS, b"{}", SECRET, now_seconds=TIMESTAMP)
    assert "whsec" not in str(caught.value)
    assert "v1," not in str(caught.value)


def test_a_receiver_needs_the_standard_library_alone(tmp_path: Path) -> None:
    """The file works by itself, without batchscout and whatever that is installed with."""
    source = Path(callbacks.__file__)
    (tmp_path / "callbacks.py").write_bytes(source.read_bytes())
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from callbacks import verify; "
        f"print(verify({HEADERS!r}, {BODY!r}, {SECRET!r}, now_seconds={TIMESTAMP}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'test': 2432232314}"
