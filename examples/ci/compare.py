"""Run the script with its guessed config, let batchscout mend the config, run it again.

    python examples/ci/compare.py [--seeds 5] [--json FILE]

Everything happens in a copy of this folder. Both configs train on the same seeds, one after the
other for each seed, so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECK = (sys.executable, "-P", "-m", "batchscout", "check", "--offline")
REFUSED = 1


def main() -> None:
    """Compare, print a table, and write the figures where `--json` says."""
    parser = argparse.ArgumentParser(description="Measure a guessed config and the mended one.")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each config (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "ci"
        shutil.copytree(HERE, copy)
        figures = compare(copy, range(options.seeds))
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def compare(folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Let the check refuse the config, mend a copy of it, and train with both.

    Args:
        folder: A copy of this one; `mended.yaml` is written there.
        seeds: Each config trains once on each.

    Returns:
        What the check said before and after, and the runs of both configs.

    Raises:
        SystemExit: The check did not refuse the guess, or not accept what it mended.
    """
    guessed, mended = "train.yaml", "mended.yaml"
    shutil.copy(folder / guessed, folder / mended)
    before = run([*CHECK, guessed], folder, expected=REFUSED)
    run([*CHECK, "--fix", mended], folder)
    after = run([*CHECK, mended], folder)
    runs: dict[str, list[Any]] = {guessed: [], mended: []}
    for seed in seeds:
        for config, results in runs.items():
            command = [sys.executable, "train.py", config, "--seed", str(seed), "--json"]
            results.append(json.loads(run(command, folder)))
    return {
        "check_before": before.splitlines(),
        "check_after": after.splitlines(),
        "guessed": summary(runs[guessed]),
        "mended": summary(runs[mended]),
        "times_sooner": statistics.median(
            one["train_seconds"] / other["train_seconds"]
            for one, other in zip(runs[guessed], runs[mended], strict=True)
        ),
    }


def run(command: Sequence[str], folder: Path, *, expected: int = 0) -> str:
    """Run a program to its end and return what it printed."""
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands
    if ended.returncode != expected:
        raise SystemExit(
            f"{' '.join(command[1:])} ended with {ended.returncode}, not {expected}:\n"
            f"{ended.stdout}{ended.stderr}"
        )
    return ended.stdout


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the runs of one config; one that gave up counts with the time until then."""
    return {
        "global_batch_size": runs[0]["global_batch_size"],
        "learning_rate": runs[0]["learning_rate"],
        "reached": sum(one["reached"] for one in runs),
        "train_seconds_median": statistics.median(one["train_seconds"] for one in runs),
        "train_seconds_low": min(one["train_seconds"] for one in runs),
        "train_seconds_high": max(one["train_seconds"] for one in runs),
        "steps_median": statistics.median(one["steps"] for one in runs),
        "runs": list(runs),
    }


def table(figures: dict[str, Any]) -> str:
    """Write the figures as a table in Markdown."""
    lines = [
        "| config | batch | learning rate | reached | seconds of training (range) | steps |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ("guessed", "mended"):
        one = figures[name]
        low, high = one["train_seconds_low"], one["train_seconds_high"]
        lines.append(
            f"| {name} | {one['global_batch_size']} | {one['learning_rate']:.4g} "
            f"| {one['reached']} of {len(one['runs'])} "
            f"| {one['train_seconds_median']:.2f} ({low:.2f} to {high:.2f}) "
            f"| {one['steps_median']:.0f} |"
        )
    lines.append(f"\nMedian over seeds: {figures['times_sooner']:.1f} times sooner.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
