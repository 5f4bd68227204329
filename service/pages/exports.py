"""An answer in forms that can be copied: in the words of every framework, and as a command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tuner.exports.registry import FORMATS, export
from tuner.recommendation import Recommendation

WHOLE: Final = "json"
"""The format that is the answer itself: too long to be copied from a page."""


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


def exports_of(source: Source) -> tuple[ExportShown, ...]:
    """Write an answer in every form.

    Args:
        source: Whence.
    """
    answer = source.answer.model_dump(mode="json")
    written = [
        ExportShown(
            name=one.name,
            title=f"{one.name}: {one.summary}",
            text=export(answer, one.name).text,
        )
        for one in FORMATS.values()
        if one.name != WHOLE
    ]
    command = ExportShown(name="command", title="the command that asks it", text=_command(source))
    return (*written, command)


def _command(source: Source) -> str:
    """Write the command that asks the same again."""
    spec = json.dumps(source.spec, ensure_ascii=False)
    return f"printf '%s' {shlex.quote(spec)} > spec.json\nbatchscout tune spec.json"
