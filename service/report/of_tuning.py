"""What a report of a tuning job says."""

from __future__ import annotations

from service.charts import ChartTable, charts_of
from service.charts.drawing import number, seconds, size
from service.charts.of_tuning.finalists import finalists_of
from service.evidence import TuningEvidence
from service.report import shared
from service.report.document import Report, Section
from tuner.recommendation import Interval, Recommendation


def tuning_report(evidence: TuningEvidence) -> Report:
    """Put into words and tables all that is stored of a tuning job.

    Args:
        evidence: Of the job, at whatever point it is.
    """
    answer = evidence.answer
    return Report(
        title=f"Tuning job {evidence.job_id}",
        lead=_lead(evidence),
        sections=(
            Section(name="answer", title="The answer", facts=_facts(evidence)),
            shared.warnings(answer.warnings if answer else ()),
            *_candidates(answer),
            *shared.figures(charts_of(evidence)),
            _runs(evidence),
            _timings(evidence),
            *_noise(evidence),
            shared.lost(evidence.lost),
            shared.versions(evidence, _device(evidence)),
            shared.request(evidence, "tune request.json --force"),
            shared.events(evidence),
        ),
    )


def _lead(evidence: TuningEvidence) -> str:
    answer = evidence.answer
    if answer is None:
        why = evidence.problem.detail if evidence.problem else "There is no answer."
        return f"The job is {evidence.state}. {why}"
    rate = (
        "no learning rate was tuned"
        if answer.learning_rate is None
        else f"a learning rate of {number(answer.learning_rate, 4)}"
    )
    passes = answer.gradient_accumulation_steps
    how = "in one pass" if passes == 1 else f"{answer.micro_batch_size} in each of {passes} passes"
    said = f"Recommended are {answer.global_batch_size} samples a step ({how}) and {rate}"
    time = answer.time_to_target_seconds
    if time is not None:
        said += f": {_interval(time)} seconds to the target of {number(answer.target, 4)}"
    elif answer.metric_at_budget is not None:
        said += f": {_interval(answer.metric_at_budget)} {answer.metric.replace('_', ' ')}"
    return said + "."


def _facts(evidence: TuningEvidence) -> dict[str, str]:
    facts = shared.state_facts(evidence)
    answer = evidence.answer
    if answer is None:
        return facts
    return (
        facts
        | {
            "global batch size": str(answer.global_batch_size),
            "micro-batch size": str(answer.micro_batch_size),
            "gradient accumulation steps": str(answer.gradient_accumulation_steps),
            "learning rate": number(answer.learning_rate, 6),
            "target": f"{number(answer.target, 6)} ({answer.target_origin})",
            "time to the target": f"{_interval(answer.time_to_target_seconds)} s",
            "metric at the end": _interval(answer.metric_at_budget),
            "runs that reached it": f"{answer.runs_reached} of {answer.runs}",
            "evidence": answer.evidence.replace("_", " "),
            "limited by": answer.limited_by.replace("_", " "),
            "steps to the target": number(answer.steps_to_target, 4),
            "seconds of a step": number(answer.step_time_seconds),
            "samples per second": number(answer.samples_per_second),
            "largest micro-batch that fits": str(answer.max_micro_batch_size),
            "peak memory": f"{size(answer.peak_memory_bytes)} of {size(answer.memory_limit_bytes)}",
            "critical batch size": _interval(answer.critical_batch_size),
            "device seconds": seconds(answer.spending.device_seconds),
        }
        | _answered_from(answer)
    )


def _answered_from(answer: Recommendation) -> dict[str, str]:
    if answer.answered_from is None:
        return {}
    source = answer.answered_from
    return {"measured by": f"{source.job_id}, which ended {source.measured_at}"}


def _interval(found: Interval | None) -> str:
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return number(found.estimate)
    return f"{number(found.estimate)} ({number(found.low)} to {number(found.high)})"


def _candidates(answer: Recommendation | None) -> tuple[Section, ...]:
    if answer is None or answer.learning_rate is None:
        return ()
    rows = tuple(
        (one.batch, one.rate, one.role, f"{one.reached} of {one.runs}", _interval(one.worth))
        for one in finalists_of(answer)
    )
    return (
        Section(
            name="candidates",
            title="The recommended configuration and those that lost",
            paragraphs=(
                "An inseparable one could not be told from the recommended one by its runs.",
            ),
            table=ChartTable(
                headers=(
                    "global batch size",
                    "learning rate",
                    "role",
                    "runs that reached it",
                    "seconds to the target"
                    if answer.objective == "time_to_target"
                    else answer.metric.replace("_", " "),
                ),
                rows=rows,
            ),
        ),
    )


def _runs(evidence: TuningEvidence) -> Section:
    return Section(
        name="runs",
        title="Every run",
        paragraphs=(
            "A censored run was stopped before the target: it takes longer than its seconds say.",
        ),
        table=ChartTable(
            headers=(
                "run",
                "request",
                "stage",
                "state",
                "global batch size",
                "micro-batch size",
                "passes",
                "learning rate",
                "seed",
                "steps",
                "calibrated seconds",
                "metric",
                "ASAM",
                "Keskar's phi (%)",
                "top eigenvalue",
                "device seconds",
                "stacked in",
            ),
            rows=tuple(
                (
                    run.number,
                    run.request_id,
                    run.stage,
                    run.state,
                    run.global_batch_size,
                    run.micro_batch_size,
                    run.gradient_accumulation_steps,
                    run.learning_rate,
                    run.seed,
                    run.steps,
                    run.calibrated_seconds,
                    run.metric,
                    run.asam,
                    run.keskar,
                    run.hessian_top_eigenvalue,
                    run.device_seconds,
                    run.stacked_in,
                )
                for run in evidence.runs
            ),
        ),
    )


def _timings(evidence: TuningEvidence) -> Section:
    return Section(
        name="timings",
        title="Step times",
        facts={"seconds of one evaluation": number(evidence.evaluation_seconds)},
        table=ChartTable(
            headers=(
                "micro-batch size",
                "seconds of a pass",
                "seconds of the optimizer",
                "seconds of the input",
                "spread of the windows",
            ),
            rows=tuple(
                (
                    one.micro_batch_size,
                    one.pass_seconds,
                    one.optimizer_seconds,
                    one.input_seconds,
                    one.spread,
                )
                for one in evidence.timings
            ),
        ),
    )


def _noise(evidence: TuningEvidence) -> tuple[Section, ...]:
    rows = tuple(
        (run.number, one.step, one.small_batch_size, one.splits, one.small, one.big)
        for run in evidence.runs
        for one in run.noise
    )
    if not rows:
        return ()
    return (
        Section(
            name="noise-windows",
            title="Steps that were split for the gradient noise scale",
            table=ChartTable(
                headers=(
                    "run",
                    "step",
                    "samples per split",
                    "splits",
                    "mean squared norm of a split",
                    "squared norm of the mean",
                ),
                rows=rows,
            ),
        ),
    )


def _device(evidence: TuningEvidence) -> dict[str, str]:
    if evidence.inspection is not None:
        device = evidence.inspection.device
        return {"device": f"{device.name} ({device.kind}), {size(device.memory_bytes)}"}
    if evidence.answer is not None:
        known = evidence.answer.device
        return {"device": f"{known.name} ({known.kind}), {size(known.memory_bytes)}"}
    return {}
