"""Bodies that two readers could understand differently are refused."""

import pytest

from service.problems import ProblemError
from service.strict_json import parse


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Expecting value"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1} x', "Extra data"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' occurs twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "too large"),
        (b"[" + b"9" * 5000 + b"]", "too long"),
        (b"\xff\xfe", "UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'["a\\u0000b"]', "NUL"),
        (b"[" * 33 + b"]" * 33, "nests more than 32"),
        (b"[" * 200_000, "nests more than 32"),
    ],
)
def test_what_is_no_plain_json_is_refused(body: bytes, says: str) -> None:
    """Each refusal says what is wrong with the body."""
    with pytest.raises(ProblemError, match=says) as caught:
        parse(body, max_depth=32)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', {"a": [1, 2.5, None, True, "é"]}),
        (b"[" * 32 + b"]" * 32, None),
        (b"-9223372036854775808", -(2**63)),
        (b'"\\ud83d\\ude00"', "😀"),
    ],
)
def test_plain_json_is_read(body: bytes, value: object) -> None:
    """Every JSON value within the limits is read as it is."""
    found = parse(body, max_depth=32)
    assert value is None or found == value
