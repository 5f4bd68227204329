"""The batch-size study of a VGG-like network on generated images, on a card.

    python benchmarks/study/gpu.py [--seconds 500]

It needs torch, and of what else the study computes with NumPy, SciPy and pydantic; what is missing
is named with the way to get it. A call measures for so many seconds at most; exit code 75 says
that they ended first, and the same call again goes on from there, also on another machine if
`--work` is a folder that is carried over. The last call writes `study-images.json` and, where
matplotlib is there, a picture.

`--tiny --accelerator cpu` sends a stand-in the same way on a processor: it shows that the bench
works, and nothing else.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

REQUIRED: Final = {"pydantic": "pydantic>=2.14", "scipy": "scipy", "numpy": "numpy"}
"""From a module to what pip is to be asked for, beside torch."""

INCOMPLETE: Final = 75
UNABLE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    began = time.monotonic()
    options = _options(arguments)
    missing = [asked for name, asked in REQUIRED.items() if importlib.util.find_spec(name) is None]
    if missing:
        packages = " ".join(f"'{asked}'" for asked in missing)
        print(f"Missing here: python -m pip install --target FOLDER {packages}")
        print("Then set PYTHONPATH=FOLDER and call again.")
        return UNABLE
    return _study(options, began)


def _study(options: argparse.Namespace, began: float) -> int:
    import torch  # noqa: PLC0415 - after what is missing was told

    from benchmarks.study.journal import OutOfTime  # noqa: PLC0415 - likewise
    from benchmarks.study.session import Call, studied  # noqa: PLC0415 - likewise
    from benchmarks.study.subjects import images  # noqa: PLC0415 - likewise
    from tuner.drive import CPU  # noqa: PLC0415 - likewise
    from tuner.records import CapacityChanged  # noqa: PLC0415 - likewise

    if options.accelerator == "cuda" and not torch.cuda.is_available():
        print("This machine has no CUDA device: nothing was measured.")
        return UNABLE
    capacity = CPU
    if options.accelerator == "cuda":
        kind = f"cuda:{torch.cuda.get_device_name()}"
        capacity = CapacityChanged(accelerator="cuda", device_kind=kind, slots=1)
    call = Call(
        subject=images(is_tiny=options.tiny),
        work=options.work,
        results=options.results or (options.work if options.tiny else ROOT / "benchmarks/results"),
        ends_at=began + options.seconds,
        capacity=capacity,
    )
    try:
        studied(call)
    except OutOfTime:
        print("out of time: call again, it goes on from here")
        return INCOMPLETE
    print("complete")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=500.0, help="of this call, at most")
    parser.add_argument("--accelerator", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a stand-in: says nothing of a card")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "study")
    parser.add_argument("--results", type=Path, help="folder of the document")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
