"""The table of the page on the study, from the documents of the studies.

python benchmarks/study/table.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / "benchmarks" / "results"
SUBJECTS: Final = ("digits", "text")

HEADINGS: Final = {
    "fixed": "At one rate: the largest batch, beside the smallest",
    "scaled": "Eight times the batch at eight times the rate, beside the smallest",
    "scaled_to_fixed": "The same batch at eight times the rate, beside the fixed one",
}


def table(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the rows of all studies side by side.

    Args:
        documents: What `bench.py` writes.

    Returns:
        Lines of Markdown. An arrow leads from the smaller batch to the larger one, or from the
        fixed rate to the scaled one; the factor has its t interval at 95 %.
    """
    titles = " | ".join(document["subject"] for document in documents)
    lines = [f"| | published | {titles} |", "|---" * (2 + len(documents)) + "|"]
    heading = None
    rows = zip(*(document["beside_the_published"] for document in documents), strict=True)
    for row in rows:
        first = row[0]
        if first["compared"] != heading:
            heading = first["compared"]
            lines.append(f"| **{HEADINGS[heading]}** |" + " |" * (1 + len(documents)))
        published = f"{first['published']['small']} → {first['published']['large']}"
        cells = [first["what"], published, *map(_cell, row)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def documents(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Read the documents of the studies on a processor."""
    paths = (folder / f"study-{name}.json" for name in SUBJECTS)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _cell(row: Mapping[str, Any]) -> str:
    here = row.get("here")
    if here is None or "log_ratio" not in here:
        return f"cannot be told: {row['why_not']}"
    small, large = here["small"]["mean"], here["large"]["mean"]
    factor, low, high = (math.exp(here[part]) for part in ("log_ratio", "low", "high"))
    said = {"yes": "as published", "no": "**opposite**"}.get(row["as_published"], "not told apart")
    return f"{small:.3g} → {large:.3g}, factor {factor:.2f} ({low:.2f} to {high:.2f}): {said}"


if __name__ == "__main__":
    print("\n".join(table(documents())))
