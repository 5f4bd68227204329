"""Figures as SVG, for who reads without script or on paper: the same data as Plotly draws.

It draws what our charts use and no more: lines, marks, bars, error bars, maps of coloured cells,
straight lines and notes. Texts and axes take the colour of the page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from service.charts import Chart
from service.charts.palette import BLUE, shade
from service.report.svg_axis import Axis, make_axis

WIDTH: Final = 720
HEIGHT: Final = 400
LEFT: Final = 78
RIGHT: Final = 18
TOP: Final = 14
BOTTOM: Final = 56
LEGEND_LINE: Final = 18
MOST_TEXT: Final = 26

_DASHES: Final = {
    "dash": "7 4",
    "dot": "2 3",
    "dashdot": "7 3 2 3",
    "longdash": "12 4",
    "longdashdot": "12 4 2 4",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Both axes and where they lie."""

    x: Axis
    y: Axis

    def point(self, x: Any, y: Any) -> tuple[float, float] | None:
        """Pixels of a point; None if it is nowhere."""
        along, up = self.x.share(x), self.y.share(y)
        if along is None or up is None:
            return None
        return self.across(along), self.down(up)

    def across(self, share: float) -> float:
        """Pixels of a share of the horizontal axis."""
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, share: float) -> float:
        """Pixels of a share of the vertical axis."""
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def svg_of(chart: Chart) -> str:
    """Draw a chart.

    Args:
        chart: What Plotly would draw.

    Returns:
        An SVG element for a page of HTML, without style attributes and references.
    """
    shapes = chart.layout.get("shapes", ())
    frame = Frame(
        x=make_axis(chart.layout["xaxis"], _values(chart.data, shapes, "x")),
        y=make_axis(chart.layout["yaxis"], _values(chart.data, shapes, "y")),
    )
    named = [] if chart.layout.get("showlegend") is False else _named(chart.data)
    height = HEIGHT + LEGEND_LINE * ((len(named) + 1) // 2)
    parts = [
        (
            f'<svg class="figure" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{html.escape(chart.summary)}">'
        ),
        *(part for trace in chart.data if "z" in trace for part in _cells(trace, frame)),
        *_axes(frame),
        *(part for shape in shapes for part in _shape(shape, frame)),
        *(part for trace in chart.data if "z" not in trace for part in _trace(trace, frame)),
        *(part for note in chart.layout.get("annotations", ()) for part in _note(note, frame)),
        *_legend(named),
        "</svg>",
    ]
    return "\n".join(parts)


def _values(data: Sequence[Mapping[str, Any]], shapes: Any, name: str) -> Iterator[Any]:
    for trace in data:
        found = trace.get(name, ())
        yield from found
        bars = trace.get(f"error_{name}")
        if bars:
            for value, more, less in zip(found, bars["array"], bars["arrayminus"], strict=True):
                yield value + more
                yield value - less
        if trace.get("type") == "bar" and name == "x":
            yield 0.0
    for shape in shapes:
        if shape.get(f"{name}ref") != "paper":
            yield from (shape[f"{name}0"], shape[f"{name}1"])


def _axes(frame: Frame) -> Iterator[str]:
    left, bottom = frame.across(0.0), frame.down(0.0)
    right, top = frame.across(1.0), frame.down(1.0)
    grid = 'stroke="currentColor" stroke-opacity="0.15"'
    for share, text in frame.x.ticks():
        at = frame.across(share)
        yield f'<line x1="{at:.1f}" y1="{top:.1f}" x2="{at:.1f}" y2="{bottom:.1f}" {grid}/>'
        yield _text(at, bottom + 17, text, "middle")
    for share, text in frame.y.ticks():
        at = frame.down(share)
        yield f'<line x1="{left:.1f}" y1="{at:.1f}" x2="{right:.1f}" y2="{at:.1f}" {grid}/>'
        yield _text(left - 6, at + 4, text, "end")
    yield _text((left + right) / 2, HEIGHT - 16, frame.x.title, "middle", most=90)
    middle = (top + bottom) / 2
    turned = f' transform="rotate(-90 14 {middle:.1f})"'
    yield _text(14, middle, frame.y.title, "middle", most=60, more=turned)


def _trace(trace: Mapping[str, Any], frame: Frame) -> Iterator[str]:
    if trace.get("type") == "bar":
        yield from _bars(trace, frame)
        return
    points = [frame.point(x, y) for x, y in zip(trace["x"], trace["y"], strict=True)]
    mode = str(trace.get("mode", "lines"))
    if "lines" in mode:
        yield from _lines(points, trace)
    yield from _errors(trace, frame)
    if "markers" in mode:
        yield from _markers(points, trace)
    if "text" in mode:
        for point, text in zip(points, trace["text"], strict=True):
            if point is not None:
                yield _text(point[0], point[1] - 10, str(text), "middle")


def _lines(points: Iterable[tuple[float, float] | None], trace: Mapping[str, Any]) -> Iterator[str]:
    commands, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        commands.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    line = trace.get("line", {})
    dash = _DASHES.get(line.get("dash", ""))
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    yield (
        f'<path d="{"".join(commands)}" fill="none" stroke="{line.get("color", BLUE)}" '
        f'stroke-width="{line.get("width", 2)}" opacity="{trace.get("opacity", 1)}"{dashed}/>'
    )


def _markers(
    points: Sequence[tuple[float, float] | None], trace: Mapping[str, Any]
) -> Iterator[str]:
    marker = trace.get("marker", {})
    for at, point in enumerate(points):
        if point is not None:
            colour, symbol = _nth(marker.get("color", BLUE), at), _nth(marker.get("symbol"), at)
            yield _mark(point, str(symbol), str(colour), float(marker.get("size", 8)), marker)


def _mark(
    point: tuple[float, float], symbol: str, colour: str, size: float, marker: Mapping[str, Any]
) -> str:
    x, y, r = point[0], point[1], size / 2
    if colour.startswith("rgba(0,0,0,0"):
        colour = str(marker.get("line", {}).get("color", BLUE))
    paint = f'fill="{colour}"'
    if symbol.endswith("-open") or symbol in {"x", "cross"}:
        paint = f'fill="none" stroke="{colour}" stroke-width="2"'
    shape = symbol.removesuffix("-open")
    paths = {
        "square": f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        "diamond": f"M{x:.1f} {y - r:.1f}l{r} {r}l{-r} {r}l{-r} {-r}z",
        "triangle-up": f"M{x:.1f} {y - r:.1f}l{r} {2 * r}h{-2 * r}z",
        "x": f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m{-2 * r} 0l{2 * r} {-2 * r}",
        "cross": f"M{x - r:.1f} {y:.1f}h{2 * r}M{x:.1f} {y - r:.1f}v{2 * r}",
        "star": f"M{x:.1f} {y - r:.1f}l{r * 0.6} {2 * r}l{-r * 1.6} {-r * 1.2}h{2 * r}"
        f"l{-r * 1.6} {r * 1.2}z",
        "hexagon": f"M{x - r:.1f} {y:.1f}l{r / 2} {-r}h{r}l{r / 2} {r}l{-r / 2} {r}h{-r}z",
    }
    if shape in paths:
        return f'<path d="{paths[shape]}" {paint}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {paint}/>'


def _errors(trace: Mapping[str, Any], frame: Frame) -> Iterator[str]:
    for name in ("x", "y"):
        bars = trace.get(f"error_{name}")
        if not bars:
            continue
        rows = zip(trace["x"], trace["y"], bars["array"], bars["arrayminus"], strict=True)
        for x, y, more, less in rows:
            if name == "x":
                ends = frame.point(x - less, y), frame.point(x + more, y)
            else:
                ends = frame.point(x, y - less), frame.point(x, y + more)
            if ends[0] is not None and ends[1] is not None:
                yield _line(ends[0], ends[1], 'stroke-width="1.5"')


def _bars(trace: Mapping[str, Any], frame: Frame) -> Iterator[str]:
    """Bars that lie: one for each category of the vertical axis."""
    thick = 0.6 * (HEIGHT - TOP - BOTTOM) / max(1, len(frame.y.categories))
    start = frame.x.share(0.0) or 0.0
    for x, y, text in zip(trace["x"], trace["y"], trace["text"], strict=True):
        end = frame.point(x, y)
        if end is not None:
            left = frame.across(start)
            yield (
                f'<rect x="{left:.1f}" y="{end[1] - thick / 2:.1f}" '
                f'width="{max(1.0, end[0] - left):.1f}" height="{thick:.1f}" fill="{BLUE}"/>'
            )
            fits = end[0] < WIDTH - RIGHT - 60
            yield _text(end[0] + (5 if fits else -5), end[1] + 4, text, "start" if fits else "end")


def _cells(trace: Mapping[str, Any], frame: Frame) -> Iterator[str]:
    """A map of coloured cells, each as wide as half the way to its neighbours."""
    known = [value for row in trace["z"] for value in row if value is not None]
    if not known:
        return
    low, width = min(known), (max(known) - min(known)) or 1.0
    columns = _edges([frame.x.share(value) for value in trace["x"]])
    rows = _edges([frame.y.share(value) for value in trace["y"]])
    for (bottom, top), values in zip(rows, trace["z"], strict=True):
        for (left, right), value in zip(columns, values, strict=True):
            if value is None:
                continue
            part = (value - low) / width
            colour = shade(1.0 - part if trace.get("reversescale") else part)
            x, y = frame.across(left), frame.down(top)
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{frame.across(right) - x + 0.3:.1f}" '
                f'height="{frame.down(bottom) - y + 0.3:.1f}" fill="{colour}"/>'
            )


def _edges(shares: Sequence[float | None]) -> list[tuple[float, float]]:
    known = [share or 0.0 for share in shares]
    middles = [(a + b) / 2 for a, b in pairwise(known)]
    starts, ends = [max(0.0, known[0] - 0.03), *middles], [*middles, min(1.0, known[-1] + 0.03)]
    return list(zip(starts, ends, strict=True))


def _shape(shape: Mapping[str, Any], frame: Frame) -> Iterator[str]:
    ends = []
    for number in "01":
        across = shape[f"x{number}"] if shape.get("xref") == "paper" else None
        up = shape[f"y{number}"] if shape.get("yref") == "paper" else None
        across = frame.x.share(shape[f"x{number}"]) if across is None else across
        up = frame.y.share(shape[f"y{number}"]) if up is None else up
        if across is None or up is None:
            return
        ends.append((frame.across(across), frame.down(up)))
    yield _line(ends[0], ends[1], 'stroke-dasharray="6 4" stroke-opacity="0.7"')


def _note(note: Mapping[str, Any], frame: Frame) -> Iterator[str]:
    up = frame.y.share(10.0 ** note["y"] if frame.y.log else note["y"])
    if up is not None:
        yield _text(frame.across(float(note["x"])) - 4, frame.down(up) - 5, note["text"], "end")


def _named(data: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [trace for trace in data if trace.get("name") and "z" not in trace]


def _legend(named: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    half = (WIDTH - LEFT) / 2
    for at, trace in enumerate(named):
        x, y = LEFT + half * (at % 2), HEIGHT + LEGEND_LINE * (at // 2)
        if "lines" in str(trace.get("mode", "")):
            yield from _lines([(x, y), (x + 22, y)], trace)
        if "markers" in str(trace.get("mode", "")):
            yield from _markers([(x + 11, y)], trace)
        yield _text(x + 28, y + 4, str(trace["name"]), "start", most=46)


def _line(start: tuple[float, float], end: tuple[float, float], more: str) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="currentColor" {more}/>'
    )


def _text(
    x: float, y: float, text: str, anchor: str, *, most: int = MOST_TEXT, more: str = ""
) -> str:
    # Texts of a figure are escaped already, as Plotly needs them.
    plain = html.unescape(str(text))
    shown = plain if len(plain) <= most else plain[: most - 1] + "…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(shown)}</text>'


def _nth(value: Any, at: int) -> Any:
    return value[at] if isinstance(value, list | tuple) else value
