"""The training runner beside a bare hand-written loop, on a card, with torch alone.

    python benchmarks/runner/gpu.py [--rounds 7] [--out FILE]

The same as `bench.py`, on generated data and built-in models: what a GPU image holds suffices.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_facts  # noqa: E402 - found beside this file's folder
from benchmarks.runner.comparison import calibrate, compare  # noqa: E402
from benchmarks.runner.subjects import ADAMW, SGD, Subject, workload  # noqa: E402
from tuner.measuring.workbench import set_up  # noqa: E402
from tuner.places import Places  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "runner-gpu.json"


def subjects(accelerator: str) -> list[Subject]:
    """A small network, where the host is the bottleneck, and two transformers."""
    images = workload(
        {"kind": "builtin", "name": "cnn", "options": {"channels": [32, 64, 128]}},
        {
            "kind": "synthetic",
            "inputs": {"shape": [3, 32, 32], "dtype": "float32"},
            "num_samples": 20_000,
            "num_outputs": 10,
        },
        task="classification",
        optimizer=SGD,
        accelerator=accelerator,
    )
    found = [
        Subject(
            name="images-cnn", workload=images, batch=128, learning_rate=0.01, steps=1000, every=100
        )
    ]
    for precision in ("fp32", "bf16"):
        tokens = workload(
            {
                "kind": "builtin",
                "name": "transformer",
                "options": {"width": 384, "depth": 6, "heads": 6},
            },
            {
                "kind": "synthetic",
                "inputs": {"shape": [256], "dtype": "int64", "high": 256},
                "num_samples": 5_000,
            },
            task="causal_lm",
            optimizer=ADAMW,
            accelerator=accelerator,
            gradient_clip_norm=1.0,
            precision=precision,
        )
        found.append(
            Subject(
                name=f"tokens-transformer-{precision}",
                workload=tokens,
                batch=32,
                learning_rate=1e-3,
                steps=200,
                every=50,
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This machine has no CUDA device: nothing was measured.")
    report = {
        "bench": "runner-gpu",
        "command": "python benchmarks/runner/gpu.py",
        "machine": machine_facts() | {"accelerator": torch.cuda.get_device_name()},
        "comparison": [],
        "calibration": [],
    }
    with tempfile.TemporaryDirectory() as name:
        for subject in subjects("cuda"):
            bench = set_up(subject.workload, Places(artifacts=Path(name)))
            report["comparison"].append(compare(bench, subject, rounds=options.rounds))
            report["calibration"].append(calibrate(bench, subject, rounds=3))
            print(json.dumps([report["comparison"][-1], report["calibration"][-1]], indent=2))
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
