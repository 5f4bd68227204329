"""The answer as a page: every number with its unit, its interval and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batchscout.answer import (
    Answer,
    AnsweredFrom,
    Candidate,
    HeldFixed,
    Interval,
    Reused,
    Sharpness,
    TimeInterval,
)
from batchscout.commands.quantities import number, seconds, size

EVIDENCE: Final = {
    "full": "full: no comparison was shortened",
    "proxy": "proxy: compared on a shortened training, see the warnings",
    "throughput_only": "throughput only: nothing was learned about learning",
}
LIMITED_BY: Final = {
    "none": "nothing: a larger or smaller batch is slower",
    "memory": "memory: the next larger batch does not fit as one pass",
    "dataset": "the size of the data set",
    "search_space": "the range that was asked for",
    "budget": "the budget: more search could find better",
}
SHARPNESS: Final = (
    ("asam", "ASAM"),
    ("keskar", "Keskar"),
    ("hessian_top_eigenvalue", "Hessian"),
)
TARGET_ORIGIN: Final = {"user": "yours", "automatic": "set automatically", "none": "none"}


def print_answer(answer: Answer, console: Console) -> None:
    """Print an answer.

    Args:
        answer: What was recommended.
        console: Where to print it.
    """
    console.print(Text("Recommendation", style="bold"))
    console.print(_grid(_recommended(answer)))
    console.print(Text("\nWhat it rests on", style="bold"))
    console.print(_grid(_evidence(answer)))
    for title, candidates in (
        ("Rivals that could not be told apart", answer.rivals),
        ("Pareto set of time and sharpness", answer.pareto),
    ):
        if candidates:
            console.print(Text(f"\n{title}", style="bold"))
            console.print(_candidates(candidates))
    if answer.warnings:
        console.print(Text("\nWarnings", style="bold"))
        for warning in answer.warnings:
            line = Text.assemble((f"{warning.code}: ", "yellow"), warning.detail)
            console.print(Padding(line, (0, 0, 0, 2)))


Row = tuple[str, str, str]


def _recommended(answer: Answer) -> Iterator[Row]:
    rates = answer.learning_rate_range
    yield "micro_batch_size", number(answer.micro_batch_size), "samples per pass"
    yield (
        "gradient_accumulation_steps",
        number(answer.gradient_accumulation_steps),
        "passes per optimizer step",
    )
    yield (
        "global_batch_size",
        number(answer.global_batch_size),
        f"samples per optimizer step, on {answer.data_parallel_size} device"
        + ("s" if answer.data_parallel_size > 1 else ""),
    )
    yield (
        "learning_rate",
        number(answer.learning_rate),
        f"within 10 % of the best time from {number(rates.low)} to {number(rates.high)}"
        if rates
        else "its range was not measured",
    )


def _evidence(answer: Answer) -> Iterator[Row]:
    yield "evidence", "", EVIDENCE.get(answer.evidence, answer.evidence)
    yield from _objective(answer)
    yield "step time", seconds(answer.step_time_seconds), _calibration(answer)
    yield "throughput", f"{number(answer.samples_per_second)}/s", "samples"
    yield "one evaluation", seconds(answer.evaluation_seconds), "not part of the times above"
    yield (
        "critical batch size",
        number(answer.critical_batch_size.estimate if answer.critical_batch_size else None),
        _interval(answer.critical_batch_size) or "not resolved",
    )
    yield (
        "peak memory",
        size(answer.peak_memory_bytes),
        (
            f"of {size(answer.memory_limit_bytes)}; the largest micro-batch that was run is "
            f"{number(answer.max_micro_batch_size)}"
        ),
    )
    if answer.sharpness:
        yield "sharpness", "", _sharpness(answer.sharpness)
    yield "limited by", "", LIMITED_BY.get(answer.limited_by, answer.limited_by)
    yield "device", answer.device.kind, f"{answer.device.name}, {size(answer.device.memory_bytes)}"
    if answer.answered_from:
        yield "answered before", "", _answered(answer.answered_from)
    if answer.reused:
        yield "reused", "", _reused(answer.reused)
    yield "held fixed", "", _held_fixed(answer.held_fixed)
    yield "it cost", seconds(answer.spending.device_seconds), _spending(answer)


def _calibration(answer: Answer) -> str:
    said = "calibrated, input included"
    if answer.wall_to_calibrated is None:
        return said
    return f"{said}; the confirming runs took {answer.wall_to_calibrated:.2f} times theirs"


def _objective(answer: Answer) -> Iterator[Row]:
    metric = answer.metric.replace("_", " ")
    reached = f"reached in {answer.runs_reached} of {answer.runs} runs"
    if answer.target is not None:
        origin = TARGET_ORIGIN.get(answer.target_origin, answer.target_origin)
        yield "target", number(answer.target), f"{metric}, {origin}; {reached}"
    if answer.target_reached is False:
        yield "closest", number(answer.closest_metric), "the target was not reached"
    if answer.time_to_target_seconds is not None:
        taken = answer.time_to_target_seconds
        yield "time to target", seconds(taken.estimate), _duration(taken)
        yield "steps to target", number(answer.steps_to_target), "optimizer steps"
    if answer.metric_at_budget is not None:
        yield (
            f"{metric} at budget",
            number(answer.metric_at_budget.estimate),
            _interval(answer.metric_at_budget) or f"{answer.runs} runs, no interval",
        )


def _interval(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return ""
    share = f"{interval.confidence:.0%}".replace("%", " %")
    return f"{share} interval {number(interval.low)} to {number(interval.high)}"


def _duration(interval: TimeInterval) -> str:
    runs = f"{interval.runs} run" + ("s" if interval.runs != 1 else "")
    if interval.low is None or interval.high is None:
        return f"{runs}, no interval; steps times calibrated step time"
    share = f"{interval.confidence:.0%}".replace("%", " %")
    return (
        f"{share} interval {seconds(interval.low)} to {seconds(interval.high)}, {runs}; "
        f"steps times calibrated step time"
    )


def _sharpness(sharpness: Sharpness) -> str:
    return ", ".join(f"{label} {number(getattr(sharpness, name))}" for name, label in SHARPNESS)


def _held_fixed(held: HeldFixed) -> str:
    options = [
        f"{name} {_plain(value)}" for name, value in held.optimizer.items() if name != "kind"
    ]
    parts = [" ".join([str(held.optimizer.get("kind", "")), ", ".join(options)]).strip()]
    parts.append(f"schedule {held.schedule}")
    if held.gradient_clip_norm is not None:
        parts.append(f"gradients clipped at {number(held.gradient_clip_norm)}")
    if held.warmup_samples:
        parts.append(f"warm-up {held.warmup_samples:,} samples = {number(held.warmup_steps)} steps")
    if held.horizon_samples:
        parts.append(
            f"horizon {held.horizon_samples:,} samples = {number(held.horizon_steps)} steps"
        )
    return "; ".join(part for part in parts if part)


def _answered(source: AnsweredFrom) -> str:
    moment = source.measured_at[:16].replace("T", " ")
    return f"by {source.job_id}, measured until {moment}; --force measures it anew"


def _reused(reused: Reused) -> str:
    return (
        f"what {reused.job_id} found on {reused.device_name} on {reused.answered_at[:10]}; the "
        f"verifying runs came to {reused.measured_to_expected:.2f} times what it let expect"
    )


def _plain(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return number(value)


def _spending(answer: Answer) -> str:
    spent = answer.spending
    stages = ", ".join(
        f"{stage} {seconds(value)}"
        for stage, value in spent.device_seconds_by_stage.items()
        if value > 0
    )
    stacked = spent.stacking.runs if spent.stacking else 0
    together = f", {stacked} of them side by side" if stacked else ""
    return (
        f"of device time ({stages}); {spent.search_trials} search trials, "
        f"{spent.training_runs} training runs in all{together}"
    )


def _grid(rows: Iterator[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True, style="bold")
    grid.add_column()
    for label, value, remark in rows:
        grid.add_row(f"  {label}", value, Text(remark))
    return grid


def _candidates(candidates: Sequence[Candidate]) -> Table:
    timed = any(one.time_to_target_seconds is not None for one in candidates)
    worth = ("time", "interval") if timed else ("metric",)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    labels = (label for _, label in SHARPNESS)
    for heading in ("  batch", "micro x acc.", "rate", *worth, "reached", *labels):
        table.add_column(heading, justify="right")
    for one in candidates:
        table.add_row(
            f"  {one.global_batch_size}",
            f"{one.micro_batch_size} x {one.gradient_accumulation_steps}",
            number(one.learning_rate),
            *(_time(one.time_to_target_seconds) if timed else (number(one.final_metric),)),
            f"{one.runs_reached} of {one.runs}",
            *(number(getattr(one.sharpness, name, None)) for name, _ in SHARPNESS),
        )
    return table


def _time(taken: TimeInterval | None) -> tuple[str, str]:
    """Write a time and its interval, the unit once where both ends have the same."""
    if taken is None or taken.low is None or taken.high is None:
        return seconds(taken.estimate if taken else None), "-"
    low, high = seconds(taken.low), seconds(taken.high)
    value, _, unit = low.rpartition(" ")
    return seconds(taken.estimate), f"{value if high.endswith(f' {unit}') else low} - {high}"
