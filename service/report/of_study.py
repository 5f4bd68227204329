"""What a report of a batch-size study says."""

from __future__ import annotations

from service.charts import ChartTable, charts_of
from service.charts.drawing import counted, number, size
from service.charts.of_study.claims import VERDICTS
from service.evidence import StudyEvidence
from service.report import shared
from service.report.document import Report, Section
from tuner.study_findings import Arm, Spread, StudyFindings


def study_report(evidence: StudyEvidence) -> Report:
    """Put into words and tables all that is stored of a study.

    Args:
        evidence: Of the study, at whatever point it is.
    """
    found = evidence.findings
    return Report(
        title=f"Batch-size study {evidence.job_id}",
        lead=_lead(evidence),
        sections=(
            Section(name="summary", title="The study", facts=_facts(evidence)),
            *([] if found is None else [_claims(found), _arms(found)]),
            shared.warnings(found.warnings if found else ()),
            *shared.figures(charts_of(evidence)),
            *([] if found is None else [_runs(found)]),
            shared.lost(evidence.lost),
            shared.versions(evidence, _device(found)),
            shared.request(evidence, "study request.json"),
            shared.events(evidence),
        ),
    )


def _lead(evidence: StudyEvidence) -> str:
    found = evidence.findings
    if found is None:
        why = evidence.problem.detail if evidence.problem else "It has found nothing yet."
        return f"The study is {evidence.state}. {why}"
    told = [
        f"{sum(one.verdict == verdict for one in found.claims)} {VERDICTS[verdict][0]}"
        for verdict in VERDICTS
    ]
    return f"Of {counted(len(found.claims), 'claim')} about batch size, {', '.join(told)} here."


def _facts(evidence: StudyEvidence) -> dict[str, str]:
    facts = shared.state_facts(evidence)
    found = evidence.findings
    if found is None:
        return facts
    return facts | {
        "training samples": str(found.num_train),
        "validation samples": str(found.num_validation),
        "parameters": str(found.parameter_count),
        "device seconds": number(found.device_seconds),
        **{
            f"device seconds, {stage}": number(each)
            for stage, each in found.device_seconds_by_stage.items()
        },
    }


def _claims(found: StudyFindings) -> Section:
    return Section(
        name="verdicts",
        title="Claims with verdicts",
        table=ChartTable(
            headers=("statement", "verdict", "measure", "effect", "interval", "seeds", "why"),
            rows=tuple(
                (
                    one.statement,
                    VERDICTS[one.verdict][0],
                    one.measure,
                    number(one.effect),
                    f"{number(one.low)} to {number(one.high)} ({one.confidence:.2%})",
                    one.seeds,
                    one.why,
                )
                for one in found.claims
            ),
        ),
    )


def _arms(found: StudyFindings) -> Section:
    return Section(
        name="arms",
        title="Every batch size and rate",
        table=ChartTable(
            headers=(
                "batch size",
                "learning rate",
                "rule",
                "minimum validation loss",
                "epochs to it",
                "calibrated seconds to it",
                "seconds per epoch",
                "generalisation gap",
                "distance",
                "Keskar's phi (%)",
                "top eigenvalue",
                "runs that converged",
            ),
            rows=tuple(_arm(arm) for arm in found.arms),
        ),
    )


def _arm(arm: Arm) -> tuple[str | int | float | None, ...]:
    told = arm.summary
    return (
        arm.batch_size,
        arm.learning_rate,
        arm.rule,
        _spread(told.minimum_validation_loss),
        _spread(told.epochs_to_minimum),
        _spread(told.seconds_to_minimum),
        number(arm.seconds_per_epoch),
        _spread(told.generalisation_gap),
        _spread(told.distance),
        _spread(told.keskar),
        _spread(told.hessian_top_eigenvalue),
        f"{arm.runs_converged} of {len(arm.runs)}",
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return number(None)
    if spread.low is None or spread.high is None:
        return number(spread.mean)
    return f"{number(spread.mean)} ({number(spread.low)} to {number(spread.high)})"


def _runs(found: StudyFindings) -> Section:
    rows = []
    for arm in found.arms:
        for run in arm.runs:
            low = run.minimum
            rows.append(
                (
                    run.request_id,
                    arm.batch_size,
                    arm.learning_rate,
                    run.seed,
                    run.state,
                    None if low is None else low.validation_loss,
                    None if low is None else low.epoch,
                    None if low is None else low.calibrated_seconds,
                    None if low is None else low.distance,
                    None if low is None else low.keskar,
                )
            )
    return Section(
        name="runs",
        title="Every run",
        table=ChartTable(
            headers=(
                "request",
                "batch size",
                "learning rate",
                "seed",
                "state",
                "minimum validation loss",
                "epochs to it",
                "calibrated seconds to it",
                "distance",
                "Keskar's phi (%)",
            ),
            rows=tuple(rows),
        ),
    )


def _device(found: StudyFindings | None) -> dict[str, str]:
    if found is None:
        return {}
    device = found.device
    return {"device": f"{device.name} ({device.kind}), {size(device.memory_bytes)}"}
