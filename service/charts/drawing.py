"""What every chart shares: axes, texts, numbers as people read them."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

GRID: Final = "rgba(128,128,128,0.25)"
LINE: Final = "rgba(128,128,128,0.6)"
CLEAR: Final = "rgba(0,0,0,0)"
HEIGHT_PIXELS: Final = 380
NOT_MEASURED: Final = "-"

_BYTES: Final = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def label(text: str) -> str:
    """Make a text safe inside of a Plotly figure, which reads some HTML tags.

    Args:
        text: Whatever a user wrote.
    """
    return html.escape(text, quote=True)


def axis(title: str, *, log: bool = False, ticks: Sequence[float] = ()) -> dict[str, Any]:
    """Describe an axis.

    Args:
        title: What it shows, units included.
        log: Whether it is logarithmic.
        ticks: Where to write numbers; Plotly's own choice by default.
    """
    made: dict[str, Any] = {
        "title": {"text": title},
        "gridcolor": GRID,
        "linecolor": LINE,
        "zeroline": False,
        "automargin": True,
    }
    if log:
        made["type"] = "log"
    if ticks:
        made |= {"tickvals": list(ticks), "ticktext": [number(tick) for tick in ticks]}
    return made


def layout(x: Mapping[str, Any], y: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Lay a figure out: transparent, and without a colour of its own for texts.

    Args:
        x: Its horizontal axis.
        y: Its vertical axis.
        more: Further parts of Plotly's layout.
    """
    return {
        "xaxis": dict(x),
        "yaxis": dict(y),
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "height": HEIGHT_PIXELS,
        "margin": {"l": 64, "r": 24, "t": 16, "b": 56},
        "legend": {"orientation": "h", "y": -0.28, "x": 0.0},
        "hovermode": "closest",
        **more,
    }


def horizontal(y: float, text: str, *, log: bool = False) -> dict[str, Any]:
    """A dashed line across the figure with its name at the right end.

    Args:
        y: Where.
        text: What it is.
        log: Whether the vertical axis is logarithmic: annotations are then placed in log10.
    """
    shape = {
        "type": "line",
        "xref": "paper",
        "x0": 0.0,
        "x1": 1.0,
        "y0": y,
        "y1": y,
        "line": {"color": LINE, "width": 2, "dash": "dash"},
    }
    note = {
        "xref": "paper",
        "x": 1.0,
        "xanchor": "right",
        "y": math.log10(y) if log else y,
        "yanchor": "bottom",
        "text": text,
        "showarrow": False,
    }
    return {"shapes": [shape], "annotations": [note]}


def intervals(
    estimates: Sequence[float], lows: Sequence[float | None], highs: Sequence[float | None]
) -> dict[str, Any]:
    """Error bars of Plotly, none where an interval is not known.

    Args:
        estimates: The values.
        lows: Where their intervals begin.
        highs: Where they end.
    """
    above = [_gap(value, high) for value, high in zip(estimates, highs, strict=True)]
    below = [_gap(low, value) for value, low in zip(estimates, lows, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below}


def number(value: float | None, digits: int = 3) -> str:
    """Write a number as people read it.

    Args:
        value: The number; None was not measured.
        digits: That count.
    """
    if value is None or not math.isfinite(value):
        return NOT_MEASURED if value is None else str(value)
    if float(value).is_integer() and abs(value) < 1e6:  # noqa: PLR2004 - as long as it is short
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.{digits}g}"


def seconds(value: float | None) -> str:
    """Write seconds with their unit."""
    return NOT_MEASURED if value is None else f"{number(value)} s"


def size(value: float | None) -> str:
    """Write bytes with a unit that fits."""
    if value is None:
        return NOT_MEASURED
    for unit, factor in _BYTES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write how many there are.

    Args:
        count: How many.
        one: Name of one of them.
        many: Of several, if it is not `one` with an s.
    """
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def finite(value: float | None) -> float | None:
    """Return a number, or None for what is none: JSON and Plotly know no NaN."""
    return value if value is not None and math.isfinite(value) else None


def _gap(low: float | None, high: float | None) -> float:
    return 0.0 if low is None or high is None else high - low
