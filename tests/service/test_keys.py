"""Keys as they are made."""

from service.keys import digest_of, make_key, shown_part


def test_a_key_is_long_random_and_recognisable() -> None:
    """32 bytes of chance behind a prefix that scanners of source code know."""
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("bs_") and len(key) == 3 + 43 for key in keys)


def test_what_is_kept_does_not_hold_the_key() -> None:
    """The digest is the same each time and fits its column; a list shows the beginning alone."""
    key = make_key()
    assert digest_of(key) == digest_of(key) != digest_of(make_key())
    assert key[3:] not in digest_of(key)
    assert len(digest_of(key)) <= 80
    assert key.startswith(shown_part(key))
    assert len(shown_part(key)) <= 16
