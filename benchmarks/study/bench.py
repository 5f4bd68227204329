"""The batch-size study on real data, on a processor, beside the published experiment.

    python benchmarks/study/bench.py [--subject digits | --subject text] [--seconds 500]
    python benchmarks/study/bench.py --retime 3

A call measures to its end (13 minutes of a processor for digits, 6 for text), or for
so many seconds at most; exit code 75 says that they ended first, and the same call again goes on
from there (`build/study/`). `--retime` takes the step times again, so often: of all of them the one
counts in which everything together took least, since on a machine that is shared others only add.
The call that ends a study writes `benchmarks/results/study-digits.json` or `study-text.json`, with
a picture beside it.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402 - threads are counted before torch starts its own

from benchmarks.study.journal import OutOfTime  # noqa: E402
from benchmarks.study.session import Call, studied  # noqa: E402
from benchmarks.study.subjects import SUBJECTS  # noqa: E402

INCOMPLETE: Final = 75
"""Exit code of a call whose seconds ended first: call again."""


def main(arguments: Sequence[str] | None = None) -> int:
    began = time.monotonic()
    options = _options(arguments)
    torch.set_num_threads(1)
    for name in [options.subject] if options.subject else SUBJECTS:
        call = Call(
            subject=SUBJECTS[name](),
            work=options.work,
            results=options.results,
            ends_at=began + options.seconds,
            retime=options.retime,
        )
        try:
            studied(call)
        except OutOfTime:
            print(f"{name}: out of time; call again, it goes on from here")
            return INCOMPLETE
        print(f"{name}: complete")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subject", choices=tuple(SUBJECTS), help="both by default")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of this call, at most")
    parser.add_argument("--retime", type=int, default=0, help="take the step times again so often")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "study")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
