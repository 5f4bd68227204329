"""The cost-regret curve as a picture: one column for each kind of workload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.search.methods import BY_NAME

KINDS: Final = {"dev": "workloads to develop on", "reported": "only reported", "all": "all"}

LIMIT: Final = "3x"
"""Which definition of the grid is drawn; the other one is in the report."""

LEAST_REGRET: Final = 0.003
"""Regrets at or below this are drawn here: the axis is logarithmic."""


def plot(report: Mapping[str, Any], path: Path) -> None:
    """Draw regret and share within 5 % over the budget.

    Args:
        report: What `bench.py` writes.
        path: An SVG file.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only the bench draws

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "batchscout"
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    kinds = [kind for kind in KINDS if kind in report["kinds"]]
    figure, axes = plt.subplots(
        2, len(kinds), figsize=(4.6 * len(kinds), 7.4), sharex=True, sharey="row", squeeze=False
    )
    for column, kind in enumerate(kinds):
        _regret(axes[0][column], report["kinds"][kind])
        _share(axes[1][column], report["kinds"][kind])
        axes[0][column].set_title(KINDS[kind], fontsize=10)
    axes[0][0].set_ylabel("mean regret against the oracle")
    axes[1][0].set_ylabel("share of searches within 5 %")
    axes[0][0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _regret(axis: Any, kind: Mapping[str, Any]) -> None:
    for name, curve in kind["limits"][LIMIT]["methods"].items():
        budgets = [int(budget) for budget in curve]
        points = [curve[budget]["mean_regret"] for budget in curve]
        mean, low, high = (
            [max(LEAST_REGRET, point[part]) for point in points] for part in range(3)
        )
        axis.plot(budgets, mean, label=BY_NAME[name].label, **_style(name))
        if BY_NAME[name].is_ours:
            axis.fill_between(budgets, low, high, alpha=0.15, linewidth=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.grid(visible=True, alpha=0.25, which="both")


def _share(axis: Any, kind: Mapping[str, Any]) -> None:
    for name, curve in kind["limits"][LIMIT]["methods"].items():
        budgets = [int(budget) for budget in curve]
        axis.plot(budgets, [curve[budget]["share_close"][0] for budget in curve], **_style(name))
        axis.set_xticks(budgets, [str(budget) for budget in budgets])
    axis.axhline(
        kind["perfect_pickers"]["truth"]["share_close"], color="black", linestyle=":", linewidth=1
    )
    axis.set_xlabel("budget in oracle-runs")
    axis.set_ylim(0.0, 1.02)
    axis.minorticks_off()
    axis.grid(visible=True, alpha=0.25)


def _style(name: str) -> dict[str, Any]:
    if BY_NAME[name].is_ours:
        return {"linewidth": 2.4, "marker": "o", "markersize": 4}
    return {"linewidth": 1.1, "marker": ".", "markersize": 4, "alpha": 0.85}
