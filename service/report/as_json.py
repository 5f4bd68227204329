"""A report for programs: the evidence itself, and the charts."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from service.charts import charts_of
from service.evidence import StudyEvidence, TuningEvidence


def as_json(evidence: TuningEvidence | StudyEvidence) -> str:
    """Write the whole evidence, every point of every curve included, and the charts.

    Args:
        evidence: Of a job.

    Returns:
        JSON; a number that is none is null.
    """
    kind = "tuning" if isinstance(evidence, TuningEvidence) else "study"
    whole = {"kind": kind, **plain(evidence)}
    whole["charts"] = [plain(chart.plain()) for chart in charts_of(evidence)]
    return json.dumps(whole, ensure_ascii=True, allow_nan=False)


def plain(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """Turn records, moments and numbers into what JSON holds.

    Args:
        value: Of whatever evidence is made of.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
