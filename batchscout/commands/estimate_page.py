"""A memory estimate as a page: a row a card, then what the memory is made of."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchscout.commands.quantities import number, size
from batchscout.estimate import CardEstimate, Estimate

VERDICTS: Final = {
    "fits": ("fits", "green"),
    "unsure": ("unsure", "yellow"),
    "does_not_fit": ("does not fit", "bold red"),
}
LIMITS: Final = {"memory": "", "dataset": "all samples", "bound": "no limit found"}
HEADINGS: Final = ("usable", "largest", "", "a sample", "size", "takes", "verdict")


def print_estimate(estimate: Estimate, console: Console) -> None:
    """Print an estimate.

    Args:
        estimate: What was predicted.
        console: Where to print it.
    """
    asked = estimate.micro_batch_size
    about = "one sample" if asked is None else f"micro-batches of {number(asked)}"
    console.print(Text(f"Predicted memory; the verdicts are about {about}", style="bold"))
    console.print(_cards(estimate))
    console.print(Text("\nWhat it is made of", style="bold"))
    console.print(_split(estimate.estimates[0]))
    bands = estimate.bands
    calibrated = "" if bands.calibrated else " These shares are not yet calibrated on a card."
    console.print(
        f"\nfits: all included takes at most {bands.fits_share:.0%} of the card; does not fit: "
        f"live tensors alone take more than {bands.does_not_fit_share:.0%}.{calibrated} "
        "Nothing was measured on these cards."
    )


def _cards(estimate: Estimate) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("  card", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in estimate.estimates:
        words, style = VERDICTS.get(one.verdict, (one.verdict, ""))
        table.add_row(
            f"  {one.name}",
            size(one.usable_bytes),
            number(one.max_micro_batch_size),
            LIMITS.get(one.limited_by, one.limited_by),
            size(one.bytes_per_sample),
            number(one.micro_batch_size),
            size(one.total_bytes),
            Text(words, style=style),
        )
    return table


def _split(one: CardEstimate) -> Table:
    split = one.split
    rows = (
        ("parameters", split.parameter_bytes),
        ("gradients", split.gradient_bytes),
        ("optimizer state", split.optimizer_state_bytes),
        ("buffers", split.buffer_bytes),
        ("data on the card", split.data_bytes),
        ("activations a sample", split.activation_bytes_per_sample),
        ("workspaces and context", split.workspace_and_context_bytes),
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True, style="bold")
    for label, value in rows:
        grid.add_row(f"  {label}", size(value))
    return grid
