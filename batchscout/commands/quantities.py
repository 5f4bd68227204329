"""Numbers as people read them: few digits, and always their unit."""

from __future__ import annotations

from typing import Final

MINUTE_SECONDS: Final = 60.0
HOUR_SECONDS: Final = 3600.0
KIBI: Final = 1024.0


def number(value: float | None) -> str:
    """Write a number with three significant digits, thousands separated; `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:  # noqa: PLR2004 - three digits are there
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    """Write a duration in the unit that suits it; `-` for none."""
    if value is None:
        return "-"
    if value >= HOUR_SECONDS:
        return f"{value / HOUR_SECONDS:.3g} h"
    if value >= 2 * MINUTE_SECONDS:
        return f"{value / MINUTE_SECONDS:.3g} min"
    if value >= 1.0:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms"


def size(value: float) -> str:
    """Write bytes in the binary unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < KIBI:
            return f"{value:.4g} {unit}"
        value /= KIBI
    return f"{value:.4g} TiB"


def clock(value: float) -> str:
    """Write elapsed seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
