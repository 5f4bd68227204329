"""What a batch-size study measures: runs to their minimum, and the minima themselves."""

from __future__ import annotations

from tuner.measuring.study.gradients import measure_gradients
from tuner.measuring.study.landscape import measure_landscape
from tuner.measuring.study.line import measure_line
from tuner.measuring.study.minimum import measure_minimum
from tuner.measuring.study.run import run_to_minimum

__all__ = [
    "measure_gradients",
    "measure_landscape",
    "measure_line",
    "measure_minimum",
    "run_to_minimum",
]
