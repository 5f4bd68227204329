"""Three real trainings on a card: our pick beside a coarse grid's and those of peers.

    python benchmarks/search/gpu.py --workload resnet
    python benchmarks/search/gpu.py --workload vit
    python benchmarks/search/gpu.py --workload gpt
    python benchmarks/search/gpu.py --collect

One call is one workload and at most nine minutes. What is done is kept, line by line, and is
not done again: call until it says that the workload is complete. A reference run sets the
target first. Then our job runs live, then the coarse grid, the largest batch that fits,
Lightning's finders, and Optuna's TPE for the device seconds that our job took. Every pick is
trained to the target on three seeds that no search has seen. `--collect` turns the lines into
`benchmarks/results/search-gpu.json`.

With `--tiny --accelerator cpu` stand-ins of the same families go the same way on a processor,
in a file of their own; what they show is that the bench works.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.search.on_card.needed import OPTIONAL, REQUIRED, missing, way_out  # noqa: E402

RESULTS: Final = ROOT / "benchmarks" / "results"
WORKLOADS: Final = ("resnet", "vit", "gpt")
SECONDS: Final = 540.0

REFERENCE_SECONDS: Final = 12.0
TINY_REFERENCE_SECONDS: Final = 0.6
BUDGET_RUNS: Final = 20.0
TINY_BUDGET_RUNS: Final = 60.0
"""On a stand-in, probing memory and timing weigh more than the training does."""

TINY_LIMITS: Final[dict[str, Any]] = {"window_seconds": 0.2, "fewest_steps": 40}

SEEDS: Final = 3
INCOMPLETE: Final = 75
"""Exit code of a call whose seconds ended first: call again."""


def main(arguments: Sequence[str] | None = None) -> int:
    began = time.monotonic()
    options = _options(arguments)
    lacking = missing(list(REQUIRED))
    if lacking:
        print(f"Missing here: {', '.join(lacking)}. To get them:\n    {way_out(lacking)}")
        return 2
    absent = missing(list(OPTIONAL))
    if absent:
        print(f"Left out for want of {', '.join(absent)}. To get it:\n    {way_out(absent)}")
    if options.collect is not None:
        return _collect(options)
    return _run(options, began)


def _collect(options: argparse.Namespace) -> int:
    from benchmarks.search.on_card.report import collect  # noqa: PLC0415 - after what it needs

    document = collect(options.collect or [options.out], options.result)
    for row in document["workloads"]:
        for pick in row["picks"]:
            told = {key: pick[key] for key in ("method", "runs_reached", "over_coarse_grid")}
            print(row["workload"], json.dumps(told))
    print(document["status"])
    return 0


def _run(options: argparse.Namespace, began: float) -> int:
    import torch  # noqa: PLC0415 - after what is missing was told

    from benchmarks.search.on_card.ledger import OtherSetting  # noqa: PLC0415 - likewise
    from benchmarks.search.on_card.rig import Limits  # noqa: PLC0415 - likewise
    from benchmarks.search.on_card.session import METHODS, Call, run  # noqa: PLC0415 - likewise
    from benchmarks.search.on_card.subjects import SUBJECTS, TINY  # noqa: PLC0415 - likewise

    if options.workload is None:
        print("Name a --workload, or --collect what was measured.")
        return 2
    if options.accelerator == "cuda" and not torch.cuda.is_available():
        print("This machine has no CUDA device: nothing was measured.")
        return 2
    call = Call(
        subject=(TINY if options.tiny else SUBJECTS)[options.workload],
        is_tiny=options.tiny,
        accelerator=options.accelerator,
        limits=Limits(
            reference_seconds=options.reference_seconds,
            budget_runs=options.budget_runs,
            seeds=options.seeds,
            **(TINY_LIMITS if options.tiny else {}),
        ),
        methods=options.methods or METHODS,
        out=options.out,
        ends_at=began + options.seconds,
    )
    try:
        complete = run(call)
    except OtherSetting as error:
        print(error)
        return 2
    print("complete" if complete else "out of time: call again, it goes on from here")
    return 0 if complete else INCOMPLETE


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workload", choices=WORKLOADS)
    parser.add_argument("--methods", nargs="*", default=[], help="all by default")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of this call, at most")
    parser.add_argument("--accelerator", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="stand-ins that say nothing of a card")
    parser.add_argument("--reference-seconds", type=float, help="training seconds of a run")
    parser.add_argument("--budget-runs", type=float, help="device seconds of a search, in runs")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="unseen seeds of each pick")
    parser.add_argument("--out", type=Path, help="file of lines")
    parser.add_argument("--collect", nargs="*", type=Path, help="files of lines")
    parser.add_argument("--result", type=Path, default=RESULTS / "search-gpu.json")
    options = parser.parse_args(arguments)
    if options.reference_seconds is None:
        options.reference_seconds = TINY_REFERENCE_SECONDS if options.tiny else REFERENCE_SECONDS
    if options.budget_runs is None:
        options.budget_runs = TINY_BUDGET_RUNS if options.tiny else BUDGET_RUNS
    if options.out is None:
        folder = ROOT / "build" / "search" if options.tiny else RESULTS
        options.out = folder / "search-gpu.jsonl"
    return options


if __name__ == "__main__":
    sys.exit(main())
