"""Requests that a job can be started from; people change them before they send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.api.examples import DIGITS, STUDY
from service.store.tables import JobKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleShown:
    """One request to start from.

    Args:
        name: For ids and forms.
        kind: Of the job.
        title: What people call it.
        text: The request, as JSON.
    """

    name: str
    kind: JobKind
    title: str
    text: str


def _example(name: str, kind: JobKind, title: str, spec: Mapping[str, Any]) -> ExampleShown:
    return ExampleShown(name=name, kind=kind, title=title, text=json.dumps(spec, indent=2))


EXAMPLES: Final = (
    _example("digits", JobKind.TUNING, "Tune a small convolutional network on digits", DIGITS),
    _example("study", JobKind.STUDY, "Study what the batch size changes on digits", STUDY),
)
"""In the order in which they are offered."""
