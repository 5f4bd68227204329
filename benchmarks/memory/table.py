"""The results of the memory bench, to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any


def print_table(rows: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Print one line a case for the probe, then one line a method.

    Args:
        rows: Cases with their runs.
        summary: Counts by method.
    """
    print(f"{'case':<36}{'maximum':>9}{'answer':>8}{'of max':>8}{'trials':>8}{'OOM':>5}")
    for row in rows:
        pairs = [(run["methods"]["probe"], run["maximum"]) for run in row["runs"]]
        maximum = int(median(maximum for _, maximum in pairs))
        answer = int(median(one["answer"] for one, _ in pairs))
        share = median(one["answer"] / maximum for one, maximum in pairs)
        trials = fmean(one["trials"] for one, _ in pairs)
        failures = sum(one["out_of_memory"] for one, _ in pairs)
        print(f"{row['case']:<36}{maximum:>9}{answer:>8}{share:>8.3f}{trials:>8.1f}{failures:>5}")
    print()
    heads = ("method", "runs", "trials", "OOM/run", "no OOM", "good", "median", "least", "was run")
    print(f"{heads[0]:<22}" + "".join(f"{head:>9}" for head in heads[1:]))
    for name, counts in summary.items():
        if not isinstance(counts, Mapping):
            continue
        cells = (
            f"{counts['runs']:>9}",
            f"{counts['trials_mean']:>9.2f}",
            f"{counts['out_of_memory_mean']:>9.2f}",
            f"{counts['share_without_out_of_memory']:>9.3f}",
            f"{counts['share_good']:>9.3f}",
            f"{counts['answer_over_maximum_median']:>9.3f}",
            f"{counts['answer_over_maximum_least']:>9.3f}",
            f"{counts['share_answer_was_run']:>9.3f}",
        )
        print(f"{name:<22}" + "".join(cells))
