"""How often even a perfect picker misses: the ceiling that the noise of the seeds leaves.

Three pickers that spend nothing, judged like every search:

- `truth`: the best cell of all eight seeds, neighbours pooled. It is the nearest thing to the
  true optimum, and it knows the scoring seeds: nobody can count on beating it.
- `smoothed`: the same from the four search seeds alone; what an exhaustive search could say.
- `oracle`: the raw best of the search seeds, which the regret is measured against.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.search.grid import Cell, Floats
from benchmarks.search.regret import Judge, best_cell

NEIGHBOURS: Final = 1
"""Cells on each side that a local quadratic is fitted over."""


def pickers(judged: Judge) -> dict[str, Cell]:
    """Return what each perfect picker would recommend."""
    return {
        "truth": best_cell(smooth(judged.log_seconds.mean(axis=2))),
        "smoothed": best_cell(smooth(judged.searched)),
        "oracle": judged.oracle,
    }


def smooth(table: Floats) -> Floats:
    """Pool each cell with its neighbours by a local quadratic in both indices.

    A plain mean would blunt the optimum, which is curved; a quadratic keeps it. Near a cliff,
    where a neighbour misses the target, it would overshoot, so nothing is pooled there.

    Args:
        table: ln seconds, shape (nB, nR).

    Returns:
        Fitted ln seconds of the same shape; a raw value where a neighbour is missing or far.
    """
    fitted = table.copy()
    offsets = [(i, j) for i in range(-NEIGHBOURS, 2) for j in range(-NEIGHBOURS, 2)]
    design = np.array([(1.0, i, j, i * i, i * j, j * j) for i, j in offsets])
    first_row = np.linalg.pinv(design)[0]
    for row in range(NEIGHBOURS, table.shape[0] - NEIGHBOURS):
        for column in range(NEIGHBOURS, table.shape[1] - NEIGHBOURS):
            around = np.array([table[row + i, column + j] for i, j in offsets])
            if np.ptp(around) < 1.0:
                fitted[row, column] = first_row @ around
    return fitted
