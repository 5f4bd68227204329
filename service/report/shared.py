"""Sections that reports of every kind have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from service.charts import Chart, ChartTable
from service.charts.drawing import NOT_MEASURED
from service.evidence import AttemptEvidence, StudyEvidence, TuningEvidence
from service.report.document import Section
from tuner.recommendation import Caution


def warnings(found: Sequence[Caution]) -> Section:
    """Say what a reader should know.

    Args:
        found: Warnings of an answer.
    """
    rows = tuple((one.code, one.detail) for one in found)
    return Section(
        name="warnings",
        title="Warnings",
        paragraphs=() if rows else ("There are none.",),
        table=ChartTable(headers=("code", "what it means"), rows=rows) if rows else None,
    )


def figures(charts: Sequence[Chart]) -> list[Section]:
    """Show every chart.

    Args:
        charts: As drawn.
    """
    return [Section(name=chart.name, title=chart.title, chart=chart) for chart in charts]


def lost(attempts: Sequence[AttemptEvidence]) -> Section:
    """List what ended without a result.

    Args:
        attempts: The lost ones.
    """
    return Section(
        name="lost-attempts",
        title="Attempts that were lost",
        paragraphs=() if attempts else ("None was lost.",),
        table=ChartTable(
            headers=("request", "attempt", "cause", "from", "to"),
            rows=tuple(
                (one.request_id, one.number, one.cause, str(one.started_at), _moment(one))
                for one in attempts
            ),
        )
        if attempts
        else None,
    )


def events(evidence: TuningEvidence | StudyEvidence) -> Section:
    """List everything that happened, with its time.

    Args:
        evidence: Of a job.
    """
    return Section(
        name="events",
        title="What happened when",
        table=ChartTable(
            headers=("number", "time", "what", "request", "detail"),
            rows=tuple(
                (one.sequence, one.at.isoformat(), one.kind, one.request_id, one.detail)
                for one in evidence.events
            ),
        ),
    )


def versions(evidence: TuningEvidence | StudyEvidence, device: Mapping[str, str]) -> Section:
    """Say what measured.

    Args:
        evidence: Of a job.
        device: What it was measured on.
    """
    return Section(
        name="versions",
        title="Device and versions",
        facts={**device, **evidence.versions},
    )


def request(evidence: TuningEvidence | StudyEvidence, command: str) -> Section:
    """Repeat the request word for word, in commands that ask it again.

    Args:
        evidence: Of a job.
        command: What is said to `batchscout` where the request is in `request.json`.
    """
    # A line of JSON never is EOF alone, so that nothing a user wrote can end the text early.
    written = json.dumps(evidence.spec, indent=2, ensure_ascii=True)
    version = evidence.versions.get("batchscout")
    install = f"pip install 'batchscout[server,worker]=={version}'\n" if version else ""
    return Section(
        name="reproduce",
        title="The request, and how to ask it again",
        paragraphs=(
            (
                "These commands measure it anew. The seed is part of the request: runs of the same "
                "seed begin at the same weights and see the same data order."
            ),
        ),
        facts={"digest of the request": evidence.spec_digest}
        | ({"fingerprint": evidence.fingerprint} if evidence.fingerprint else {}),
        code=f"{install}cat > request.json <<'EOF'\n{written}\nEOF\nbatchscout {command}",
    )


def state_facts(evidence: TuningEvidence | StudyEvidence) -> dict[str, str]:
    """Say which job this is, and when it ran.

    Args:
        evidence: Of a job.
    """
    moments: Mapping[str, Any] = {
        "asked for": evidence.created_at,
        "began": evidence.started_at,
        "ended": evidence.finished_at,
    }
    told = {name: f"{at:%Y-%m-%d %H:%M:%S} UTC" for name, at in moments.items() if at is not None}
    return {"job": evidence.job_id, "state": evidence.state, **told}


def _moment(one: AttemptEvidence) -> str:
    return NOT_MEASURED if one.ended_at is None else str(one.ended_at)
