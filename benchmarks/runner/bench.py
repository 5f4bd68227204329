"""The training runner beside a bare hand-written loop, on the processor.

    python benchmarks/runner/bench.py [--rounds 9]

Both train the same model on the same data with the same batch, and evaluate before the first
step and at the same cadence after it, in turn; asked is a ratio of at least 0.95. Beside it,
how well step times predict a run: the real seconds of a step over the calibrated ones, asked
within 5 % on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.machine import machine_facts  # noqa: E402 - found beside this file's folder
from benchmarks.runner.comparison import calibrate, compare  # noqa: E402
from benchmarks.runner.subjects import ADAMW, SGD, Subject, workload  # noqa: E402
from tuner.measuring.workbench import set_up  # noqa: E402
from tuner.places import Places  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "runner.json"


def digits() -> Subject:
    stated = workload(
        {"kind": "builtin", "name": "cnn", "options": {"channels": [16, 32]}},
        {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
        task="classification",
        optimizer=SGD,
    )
    return Subject(
        name="digits-cnn", workload=stated, batch=32, learning_rate=0.03, steps=450, every=45
    )


def bytes_gpt2() -> Subject:
    example = json.loads((ROOT / "examples" / "bytes-gpt2.json").read_text(encoding="utf-8"))
    stated = workload(
        example["model"],
        {"kind": "files", "format": "safetensors", "path": "small.safetensors"},
        task="causal_lm",
        optimizer=ADAMW,
        gradient_clip_norm=1.0,
    )
    return Subject(
        name="bytes-gpt2", workload=stated, batch=16, learning_rate=3e-3, steps=60, every=30
    )


def prepare(folder: Path) -> None:
    """Write the bytes of the standard library, and a part of them that is quick to evaluate."""
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415 - not on a bare image

    subprocess.run(
        [sys.executable, str(ROOT / "examples" / "prepare_bytes.py"), str(folder)], check=True
    )
    whole = load_file(folder / "bytes.safetensors")
    small = {"x_train": whole["x_train"][:8000], "x_val": whole["x_val"][:256]}
    save_file({name: array.copy() for name, array in small.items()}, folder / "small.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    report = {
        "bench": "runner",
        "command": "python benchmarks/runner/bench.py",
        "machine": machine_facts(),
        "comparison": [],
        "calibration": [],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for subject in (digits(), bytes_gpt2()):
            bench = set_up(subject.workload, Places(artifacts=folder, file_roots=(folder,)))
            report["comparison"].append(compare(bench, subject, rounds=rounds))
            report["calibration"].append(calibrate(bench, subject, rounds=max(3, rounds // 3)))
            print(json.dumps([report["comparison"][-1], report["calibration"][-1]], indent=2))
    report["load_average_after"] = machine_facts()["load_average"]
    RESULT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
