"""Wall time of whole processes, taken in turn so that a busy moment falls on all of them."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def wall_times(
    commands: Mapping[str, Sequence[str]], folder: Path, *, runs: int
) -> dict[str, dict[str, Any]]:
    """Time commands from start to end, imports included.

    Args:
        commands: By name.
        folder: Where they run.
        runs: Of each; one more beforehand is not counted, so that files lie in memory and
            Python has compiled what it keeps.

    Returns:
        Milliseconds of each: median, 90th percentile and least; and its exit code.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    codes = {name: _run(command, folder)[1] for name, command in commands.items()}
    for _ in range(runs):
        for name, command in commands.items():
            taken, code = _run(command, folder)
            if code != codes[name]:
                raise SystemExit(f"{name} ended with {code} after {codes[name]}")
            seconds[name].append(taken)
    return {
        name: {
            "runs": runs,
            "exit_code": codes[name],
            "median_milliseconds": round(1e3 * statistics.median(taken), 1),
            "p90_milliseconds": round(1e3 * statistics.quantiles(taken, n=10)[-1], 1),
            "least_milliseconds": round(1e3 * min(taken), 1),
        }
        for name, taken in seconds.items()
    }


def _run(command: Sequence[str], folder: Path) -> tuple[float, int]:
    began = time.perf_counter()
    code = subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode
    return time.perf_counter() - began, code
