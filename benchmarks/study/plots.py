"""A study as a picture: curves, the line between minimisers, what changes with the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

COLOURS: Final = ("#307bd7", "#10a87e", "#de7a00", "#6b6288", "#a34b23")
"""As the pages have them: apart for the colour-blind, and on white as on black."""

PANELS: Final = (
    ("minimum_validation_loss", "minimum validation loss"),
    ("epochs_to_minimum", "epochs to it"),
    ("seconds_to_minimum", "calibrated seconds to it"),
    ("distance", "distance from the initial weights"),
    ("keskar", "Keskar's measure, per cent"),
    ("hessian_top_eigenvalue", "top eigenvalue of the Hessian"),
)


LOSSES: Final = ("train_loss", "validation_loss")

WIDE: Final = 5.0
"""A range of values by more than this factor is shown on a logarithmic axis."""


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Draw the curves, the line and six quantities against the batch.

    Args:
        document: What `document.py` writes.
        path: An SVG file.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only the bench draws

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "batchscout"
    mpl.rcParams["svg.fonttype"] = "none"
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, axes = plt.subplots(2, 4, figsize=(17.0, 7.6))
    arms = document["findings"]["arms"]
    _curves(axes[0][0], arms)
    _line(axes[1][0], document["findings"]["lines"])
    places = [axes[row][column] for row in (0, 1) for column in (1, 2, 3)]
    for axis, (name, label) in zip(places, PANELS, strict=True):
        _against_batch(axis, arms, name, label)
    axes[0][1].legend(fontsize=7, frameon=False)
    figure.suptitle(f"{document['subject']}: mean of the seeds, interval at 95 %", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    # The writer of SVG ends lines with spaces, which a repository had better not hold.
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def _curves(axis: Any, arms: list[dict[str, Any]]) -> None:
    """Draw validation losses over the epochs of the first seed, one line an arm."""
    for index, arm in enumerate(arms):
        points = [p for p in arm["runs"][0]["points"] if p["validation_loss"] is not None]
        axis.plot(
            [point["epoch"] + 1.0 for point in points],
            [point["validation_loss"] for point in points],
            color=COLOURS[index % len(COLOURS)],
            linestyle=("-", "--")[index // len(COLOURS) % 2],
            linewidth=1.3,
            label=_name(arm),
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("epochs + 1, first seed")
    axis.set_ylabel("validation loss")
    axis.legend(fontsize=6, frameon=False)
    axis.grid(visible=True, alpha=0.25)


def _line(axis: Any, lines: list[dict[str, Any]]) -> None:
    for number, line in enumerate(lines):
        for name, colour in zip(LOSSES, (COLOURS[0], COLOURS[2]), strict=True):
            known = [point for point in line["points"] if point[name] is not None]
            axis.plot(
                [point["alpha"] for point in known],
                [point[name] for point in known],
                color=colour,
                linewidth=1.0,
                label=name.replace("_", " ") if number == 0 else None,
            )
    if lines:
        ends = f"0: batch {lines[0]['small_batch_size']}, 1: batch {lines[0]['large_batch_size']}"
        axis.set_xlabel(f"place on the line ({ends})")
        _scaled(axis, [p[name] for line in lines for p in line["points"] for name in LOSSES])
        axis.legend(fontsize=7, frameon=False)
    axis.set_ylabel("loss")
    axis.grid(visible=True, alpha=0.25)


def _against_batch(axis: Any, arms: list[dict[str, Any]], name: str, label: str) -> None:
    """Draw a quantity against the batch, one line a rate; the full batch by itself."""
    series: dict[str, list[dict[str, Any]]] = {}
    for arm in arms:
        if arm["summary"][name] is not None:
            of = "Rprop" if arm["rule"] == "rprop" else f"rate {arm['learning_rate']:g}"
            series.setdefault(of, []).append(arm)
    for index, (of, members) in enumerate(series.items()):
        reaches = [
            [abs(_end(arm["summary"][name], end) - arm["summary"][name]["mean"]) for arm in members]
            for end in ("low", "high")
        ]
        axis.errorbar(
            [arm["batch_size"] for arm in members],
            [arm["summary"][name]["mean"] for arm in members],
            yerr=reaches,
            color=COLOURS[index % len(COLOURS)],
            marker="osD^v"[index % 5],
            markersize=4,
            capsize=3,
            label=of,
        )
    axis.set_xscale("log", base=2)
    means = [arm["summary"][name]["mean"] for members in series.values() for arm in members]
    _scaled(axis, means)
    axis.set_xlabel("batch size")
    axis.set_ylabel(label)
    axis.grid(visible=True, alpha=0.25)


def _scaled(axis: Any, values: Sequence[float | None]) -> None:
    """Make an axis logarithmic where its values span much."""
    known = [value for value in values if value is not None and value > 0.0]
    if known and max(known) > WIDE * min(known):
        axis.set_yscale("log")


def _end(spread: Mapping[str, Any], end: str) -> float:
    """Return an end of an interval, at a tenth of the mean at least: axes are logarithmic."""
    value = spread[end] if spread[end] is not None else spread["mean"]
    return float(max(value, 0.1 * spread["mean"]))


def _name(arm: Mapping[str, Any]) -> str:
    if arm["rule"] == "rprop":
        return f"{arm['batch_size']} (all), Rprop"
    return f"{arm['batch_size']} at {arm['learning_rate']:g}"
