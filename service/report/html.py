"""A report as one HTML file that needs nothing else: no network, no other file.

Every figure stands in it as SVG and as a table. Where Plotly's bundle is installed, it and the
data of the figures are in the file too, and the figures become live ones. A content security
policy lets no script run but those two, by their hashes, and nothing be loaded from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from service.report.as_json import plain
from service.report.document import Report
from service.report.markdown import shown
from service.report.svg import svg_of

FOLDER: Final = Path(__file__).parent / "page"
BUNDLE: Final = Path(__file__).parents[1] / "pages" / "static" / "plotly-cartesian.min.js"


def as_html(report: Report, bundle: Path = BUNDLE) -> str:
    """Write a report as one file.

    Args:
        report: What it says.
        bundle: Plotly's; without it the figures stay as they are drawn here.

    Returns:
        HTML, whose every user-given part is escaped.
    """
    charts = [section.chart for section in report.sections if section.chart is not None]
    scripts: list[Markup] = []
    if charts and bundle.is_file():
        scripts = [_script(bundle.read_text("utf-8")), _script(_read("live.js"))]
    style = Markup(_read("report.css"))  # noqa: S704 - our own file
    written: str = _template().render(
        report=report,
        policy=_policy(style, scripts),
        style=style,
        scripts=scripts,
        figures=_data({chart.name: _drawn(chart) for chart in charts}) if scripts else None,
        svg=lambda chart: Markup(svg_of(chart)),  # noqa: S704 - escapes what it writes
        shown=shown,
    )
    return written


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _script(text: str) -> Markup:
    """Make a script harmless as text of a page: nothing in it ends its element."""
    safe = text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    return Markup(safe)  # noqa: S704 - our own files


def _drawn(chart: Any) -> dict[str, Any]:
    return {"data": plain(list(chart.data)), "layout": plain(dict(chart.layout))}


def _data(values: Any) -> Markup:
    """Write JSON that may stand inside a script element, whatever strings it holds."""
    text = json.dumps(values, ensure_ascii=True, allow_nan=False)
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - has no character that HTML knows


def _policy(style: Markup, scripts: list[Markup]) -> str:
    if not scripts:
        return f"default-src 'none'; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    allowed = " ".join(_hash(script) for script in scripts)
    # Plotly makes style elements of its own; nothing that a style could load may be loaded.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
