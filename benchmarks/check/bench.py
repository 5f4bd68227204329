"""Is the check quick enough for every commit, small enough for every runner, and right?

    python benchmarks/check/bench.py [--runs 40]

Reports

- wall time of `batchscout check --offline` as a whole process, imports included, over a YAML, a
  JSON and a Python config, as the installed command and as the one file (asked: at most 150 ms),
  beside a Python that does nothing, with and without `site`;
- bytes of the wheels of a base install (asked: at most 10 MB) and of the one file;
- over the configs of `tests/batchscout/check/configs`, whose readings and verdicts are known: which
  are read or judged otherwise than the tables say, and how many bytes `--fix` changes outside of
  the values that it is to change (asked: none).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.check.corpus import corpus_figures  # noqa: E402
from benchmarks.check.processes import wall_times  # noqa: E402
from benchmarks.check.wheels import wheel_bytes  # noqa: E402
from benchmarks.machine import machine_facts  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "check.json"
EXAMPLE = ROOT / "examples" / "ci"
ASKED = {"median_milliseconds": 150.0, "wheel_bytes": 10_000_000}

DEEPSPEED = """{
  "train_micro_batch_size_per_gpu": 256,
  "gradient_accumulation_steps": 1,
  "optimizer": {"type": "SGD", "params": {"lr": 0.01, "momentum": 0.9}}
}
"""
ARGUMENTS = """from transformers import TrainingArguments

arguments = TrainingArguments(
    output_dir="out",
    per_device_train_batch_size=256,
    learning_rate=1e-2,
)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    machine = machine_facts()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        one_file = make_project(folder)
        times = wall_times(commands(one_file), folder, runs=runs)
        one_file_bytes = one_file.stat().st_size
    wheels = wheel_bytes(ROOT)
    report = {
        "bench": "check",
        "command": f"python benchmarks/check/bench.py --runs {runs}",
        "machine": machine,
        "processes": times,
        "wheels": {"total_bytes": sum(wheels.values()), "bytes": wheels},
        "one_file_bytes": one_file_bytes,
        "corpus": corpus_figures(),
        "asked": ASKED | {"misread": [], "misjudged": [], "foreign_bytes": 0},
    }
    RESULT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def make_project(folder: Path) -> Path:
    """Put the example, two more configs and the one file into a folder; return the last."""
    for name in ("spec.json", "batchscout.lock.json", "train.yaml"):
        shutil.copy(EXAMPLE / name, folder / name)
    (folder / "ds_config.json").write_text(DEEPSPEED)
    (folder / "train.py").write_text(ARGUMENTS)
    one_file = folder / "batchscout-check.pyz"
    build = [sys.executable, str(ROOT / "scripts" / "build-check"), str(one_file)]
    subprocess.run(build, check=True, capture_output=True)
    return one_file


def commands(one_file: Path) -> Mapping[str, Sequence[str]]:
    """Name what is timed: the command, the one file, and a Python that does nothing."""
    program = str(Path(sys.executable).parent / "batchscout")
    check = [program, "check", "--offline"]
    bare = [sys.executable, "-I", "-S"]
    return {
        "batchscout check --offline train.yaml": [*check, "train.yaml"],
        "batchscout check --offline ds_config.json": [*check, "ds_config.json"],
        "batchscout check --offline train.py": [*check, "train.py"],
        "batchscout-check.pyz --offline train.yaml": [
            *bare, str(one_file), "--offline", "train.yaml",
        ],
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -I -S -c pass": [*bare, "-c", "pass"],
        "python -c 'import httpx'": [sys.executable, "-c", "import httpx"],
        "python -c 'import yaml'": [sys.executable, "-c", "import yaml"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
