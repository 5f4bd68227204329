"""Is a training script sooner at its target once the check has mended its config?

    python benchmarks/ci/bench.py [--seeds 10]

Runs `examples/ci/compare.py`, which trains the example's script with its guessed config and with
the one that `batchscout check --fix` wrote, on the same seeds, and adds the machine.
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

from benchmarks.machine import machine_facts  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "ci.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    machine = machine_facts()
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, str(ROOT / "examples" / "ci" / "compare.py")]
        command += ["--seeds", str(seeds), "--json", str(figures)]
        # The answer in the lock was measured on one thread of arithmetic, so these are too.
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        report = {
            "bench": "ci",
            "command": f"python benchmarks/ci/bench.py --seeds {seeds}",
            "machine": machine,
            **json.loads(figures.read_text()),
        }
    RESULT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
