"""What a study found as a page: a table by batch size, then the claims with their verdicts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batchscout.commands.quantities import number, seconds
from batchscout.study import Claim, Spread, StudyArm, StudySummary

VERDICTS: Final = {
    "holds": ("holds", "green"),
    "does_not_hold": ("does not hold", "red"),
    "cannot_be_told": ("cannot be told", "yellow"),
}

COUNTED: Final = {"holds": "hold", "does_not_hold": "do not", "cannot_be_told": "cannot be told"}
"""How so many verdicts are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity of the table.

    Args:
        title: As people call it.
        name: Its field in the summary of an arm.
        write: Writes a value of it.
    """

    title: str
    name: str
    write: Callable[[float | None], str] = number


ROWS: Final = (
    Row(title="minimum validation loss", name="minimum_validation_loss"),
    Row(title="epochs to it", name="epochs_to_minimum"),
    Row(title="time to it, calibrated", name="seconds_to_minimum", write=seconds),
    Row(title="generalisation gap", name="generalisation_gap"),
    Row(title="distance from the start", name="distance"),
    Row(title="distance per epoch", name="distance_per_epoch"),
    Row(title="norm of one update", name="update_norm"),
    Row(title="norm of one gradient", name="gradient_norm"),
    Row(title="Keskar sharpness, %", name="keskar"),
    Row(title="the same, random manifold", name="keskar_manifold"),
    Row(title="ASAM sharpness", name="asam"),
    Row(title="top Hessian eigenvalue", name="hessian_top_eigenvalue"),
    Row(title="trace of the Hessian", name="hessian_trace"),
)

MOST_ARMS_BESIDE: Final = 4
"""Arms that are shown side by side; more of them follow in another table below."""


def print_study(summary: StudySummary, console: Console) -> None:
    """Print what a study found.

    Args:
        summary: What it found, without curves.
        console: Where to print it.
    """
    console.print(Text("By batch size: mean over the seeds, and its interval", style="bold"))
    for first in range(0, len(summary.arms), MOST_ARMS_BESIDE):
        console.print(_table(summary.arms[first : first + MOST_ARMS_BESIDE]))
        console.print()
    console.print(Text("Claims of the literature, held against this workload", style="bold"))
    verdicts = Counter(claim.verdict for claim in summary.claims)
    counts = ", ".join(f"{verdicts[name]} {word}" for name, word in COUNTED.items())
    console.print(Padding(Text(counts), (0, 0, 0, 2)))
    for why, claims in itertools.groupby(summary.claims, _without_effect):
        for claim in claims:
            console.print(Padding(_claim(claim), (0, 0, 0, 2)))
        if why is not None:
            console.print(Padding(Text(why, style="dim"), (0, 0, 0, 4)))
    console.print(Text("\nWhat it rests on", style="bold"))
    for line in _grounds(summary):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    if summary.warnings:
        console.print(Text("\nWarnings", style="bold"))
        for warning in summary.warnings:
            said = Text.assemble((f"{warning.code}: ", "yellow"), warning.detail)
            console.print(Padding(said, (0, 0, 0, 2)))


def _table(arms: Sequence[StudyArm]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("  ", no_wrap=True)
    for arm in arms:
        table.add_column(_heading(arm), justify="right")
    table.add_row("  runs that converged", *(f"{arm.runs_converged} of {arm.runs}" for arm in arms))
    table.add_row("  time of one epoch", *(seconds(arm.seconds_per_epoch) for arm in arms))
    for row in ROWS:
        spreads = [getattr(arm.summary, row.name) for arm in arms]
        if any(spread is not None for spread in spreads):
            table.add_row(f"  {row.title}", *(_spread(spread, row.write) for spread in spreads))
    return table


def _heading(arm: StudyArm) -> str:
    batch = "full batch" if arm.rule == "rprop" else "batch"
    rule = "Rprop from" if arm.rule == "rprop" else "rate"
    return f"{batch} {number(arm.batch_size)}\n{rule} {number(arm.learning_rate)}"


def _spread(spread: Spread | None, write: Callable[[float | None], str]) -> str:
    if spread is None:
        return "-"
    if spread.low is None or spread.high is None:
        return write(spread.mean)
    return f"{write(spread.mean)}\n{write(spread.low)} to {write(spread.high)}"


def _without_effect(claim: Claim) -> str | None:
    """Why nothing was measured of a claim: said once for those that share it."""
    return claim.why if claim.effect is None else None


def _claim(claim: Claim) -> Text:
    words, style = VERDICTS.get(claim.verdict, (claim.verdict, ""))
    evidence = "" if claim.effect is None else f"\n  {_evidence(claim)}"
    return Text.assemble((f"{words}: ", style), claim.statement, (evidence, "dim"))


def _evidence(claim: Claim) -> str:
    told = f"{claim.measure}: {number(claim.effect)}"
    if claim.low is not None and claim.high is not None:
        share = f"{claim.confidence:.1%}".replace("%", " %")
        told += f" ({share} interval {number(claim.low)} to {number(claim.high)})"
    return (
        f"{told}, {claim.seeds} seeds; matters beyond {number(claim.smallest_effect)}. {claim.why}"
    )


def _grounds(summary: StudySummary) -> Iterator[str]:
    yield (
        f"{number(summary.num_train)} training and {number(summary.num_validation)} validation "
        f"samples, {number(summary.parameter_count)} parameters, on {summary.device.name}"
    )
    stages = ", ".join(
        f"{stage} {seconds(spent)}"
        for stage, spent in summary.device_seconds_by_stage.items()
        if spent > 0
    )
    yield f"{seconds(summary.device_seconds)} of device time ({stages})"
