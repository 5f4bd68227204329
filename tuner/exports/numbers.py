"""Numbers as text that every reader turns into the same number again."""

from __future__ import annotations


def number(value: float) -> str:
    """Write a finite number.

    A float has a point and, where it has an exponent, a sign in it: YAML 1.1 (PyYAML) takes
    `1e-05` for a text.

    Args:
        value: A whole number or a float.

    Returns:
        The shortest text that reads back as the same value, of the same kind.
    """
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    return f"{mantissa}.0e{exponent}" if mark and "." not in mantissa else text
