"""Templates: everything that is put into them is escaped."""

from __future__ import annotations

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from service.charts.drawing import number, size
from service.pages.static import PLOTLY, address_of
from service.pages.wording import STATES, VERDICTS, ago, best_of, data_of, duration, model_of, share
from service.store.database import now

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("service.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    number=number,
    size=size,
    duration=duration,
    share=share,
    model=model_of,
    data=data_of,
    best=best_of,
)
_ENVIRONMENT.globals.update(STATES=STATES, VERDICTS=VERDICTS)


def render(template: str, **values: Any) -> str:
    """Fill a template in.

    Args:
        template: Its file name.
        values: What it is given.

    Returns:
        HTML.
    """
    moment = now()
    return _ENVIRONMENT.get_template(template).render(
        **values,
        now=moment,
        ago=lambda when: ago(when, moment),
        style_address=address_of("page.css"),
        script_address=address_of("page.js"),
        plotly_address=address_of(PLOTLY),
    )
