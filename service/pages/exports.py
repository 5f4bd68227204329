"""An answer in forms that can be copied: one function and one line for each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tuner.recommendation import Recommendation

KNOBS: Final = (
    "micro_batch_size",
    "gradient_accumulation_steps",
    "data_parallel_size",
    "global_batch_size",
    "learning_rate",
)
"""What people set in their own training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whence an export is made.

    Args:
        job_id: Of the job.
        spec: What was asked.
        answer: What came out.
    """

    job_id: str
    spec: Mapping[str, Any]
    answer: Recommendation


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportShown:
    """One form of an answer.

    Args:
        name: For ids.
        title: What people call it.
        text: To be copied.
    """

    name: str
    title: str
    text: str


Write: TypeAlias = Callable[[Source], str]


def as_json(source: Source) -> str:
    """Write the knobs as one JSON object."""
    return json.dumps({name: getattr(source.answer, name) for name in KNOBS}, indent=2)


def as_command(source: Source) -> str:
    """Write the command that asks the same again."""
    spec = json.dumps(source.spec, ensure_ascii=False)
    return f"printf '%s' {shlex.quote(spec)} > spec.json\nbatchscout tune spec.json"


EXPORTS: Final[Mapping[str, tuple[str, Write]]] = {
    "json": ("JSON", as_json),
    "command": ("Command line", as_command),
}
"""By name: title and function."""


def exports_of(source: Source) -> tuple[ExportShown, ...]:
    """Write an answer in every form.

    Args:
        source: Whence.
    """
    return tuple(
        ExportShown(name=name, title=title, text=write(source))
        for name, (title, write) in EXPORTS.items()
    )
