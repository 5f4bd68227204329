"""The stages of a job in their order, and what each of them measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from service.store.tables import TERMINAL, JobKind, JobState

MEASURED: Final[Mapping[JobKind, Mapping[str, str]]] = {
    JobKind.TUNING: {
        "inspect": "reads the real data and the model once",
        "memory": "looks for the largest micro-batch that really fits",
        "timing": "times passes and optimizer steps",
        "verify": "checks what a past job found, where there is one",
        "race": "races learning rates at one batch size",
        "plan": "holds the predicted cost against the budget",
        "search": "trains configurations of batch size and learning rate",
        "confirm": "trains the finalists again on seeds not seen before",
        "recommend": "writes the answer",
    },
    JobKind.STUDY: {
        "inspect": "reads the real data and the model once",
        "memory": "makes sure that every batch size fits",
        "timing": "times a step of every batch size",
        "train": "trains every batch size to its minimum, once for each seed",
        "minima": "looks at the sharpness of the minima",
        "gradients": "measures how gradients scatter",
        "line": "walks the line from one minimum to another",
        "landscape": "maps the loss round the minima",
        "findings": "holds the claims against what was measured",
    },
}
"""For each kind of jobs, every stage that it can be in, with what happens in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageShown:
    """One stage as it stands in the list.

    Args:
        name: Of the stage.
        measures: What happens in it.
        when: Whether it is behind the job, is the one it is in, or lies ahead.
        sign: The same as a sign.
    """

    name: str
    measures: str
    when: Literal["done", "now", "ahead"]
    sign: str


_SIGNS: Final = {"done": "✓", "now": "▶", "ahead": "○"}


def stages_of(kind: str, stage: str | None, state: str) -> tuple[StageShown, ...]:
    """List the stages of a job.

    Args:
        kind: Of the job, as stored.
        stage: That it is in, or was in at its end; None before it runs.
        state: Of the job.

    Returns:
        All of them, in order. A job that has succeeded has all of them behind it; one that ended
        otherwise stopped in its stage.
    """
    measured = MEASURED[JobKind(kind)]
    names = list(measured)
    reached = names.index(stage) if stage is not None and stage in measured else -1
    if state == JobState.SUCCEEDED:
        reached = len(names)
    shown = []
    for index, (name, measures) in enumerate(measured.items()):
        when: Literal["done", "now", "ahead"]
        when = "done" if index < reached else "now" if index == reached else "ahead"
        sign = "■" if when == "now" and state in TERMINAL else _SIGNS[when]
        shown.append(StageShown(name=name, measures=measures, when=when, sign=sign))
    return tuple(shown)
