"""Numbers as people read them: few digits, and always their unit."""

from __future__ import annotations

from typing import Final

KIBI: Final = 1024.0
WHOLE: Final = 100.0
"""From here on per cent are written without decimals."""


def size(value: float) -> str:
    """Write bytes in the binary unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < KIBI:
            return f"{value:.4g} {unit}"
        value /= KIBI
    return f"{value:.4g} TiB"


def per_cent(value: float) -> str:
    """Write per cent with one decimal, none where that is noise."""
    return f"{value:,.0f} %" if abs(value) >= WHOLE else f"{value:.1f} %"


def rate(value: float) -> str:
    """Write a learning rate with four significant digits."""
    return f"{value:.4g}"


def factor(value: float) -> str:
    """Write a factor with three significant digits, thousands as words of a number."""
    return f"{value:,.0f}" if value >= WHOLE else f"{value:.3g}"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
