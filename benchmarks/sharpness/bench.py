"""What one sharpness measurement of a digits CNN costs: seconds and gradient evaluations.

    python benchmarks/sharpness/bench.py [--only PART] [--rounds 5] [--out FILE]

`cost` trains a small convolutional network on scikit-learn's digits for some hundred steps and
measures each part on 1,024 samples on one core. The other parts hold eigenvalues, trace and phi
against what is exact and beside PyHessian (see `curvature.py`). All write medians as JSON; those
of parts that are not run are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402 - threads are counted before torch starts its own
from sklearn.datasets import load_digits  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.sharpness import curvature  # noqa: E402
from tuner.measuring.sharpness import (  # noqa: E402
    SAMPLES_PER_PASS,
    measure_sharpness,
    on_surface,
)
from tuner.measuring.sharpness.asam import asam_sharpness  # noqa: E402
from tuner.measuring.sharpness.hessian import hessian_top_eigenpair  # noqa: E402
from tuner.measuring.sharpness.keskar import keskar_phi  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuner.measuring.sharpness import LossSurface

SAMPLES = 1024
TRAINING_STEPS = 300
REPEATS = 7
RESULT = Path(__file__).parents[1] / "results" / "sharpness.json"


class CountedLoss:
    """The sum of the loss over slices of the digits, counting what is asked of it."""

    def __init__(self, model: nn.Module) -> None:
        digits = load_digits()
        self.model = model
        self.inputs = torch.tensor(digits.images / 16, dtype=torch.float32).unsqueeze(1)
        self.labels = torch.tensor(digits.target)
        self.with_gradient = self.without_gradient = 0

    def __call__(self, samples: slice) -> Tensor:
        """Return the sum over the slice."""
        number = samples.stop - samples.start
        if torch.is_grad_enabled():
            self.with_gradient += number
        else:
            self.without_gradient += number
        return cross_entropy(
            self.model(self.inputs[samples]), self.labels[samples], reduction="sum"
        )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one part costs, in medians; passes are in units of the whole set."""

    wall_seconds: float
    cpu_seconds: float
    differentiated_passes: float
    forward_passes: float


def trained_cnn() -> CountedLoss:
    """Train the CNN and return its loss."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    loss = CountedLoss(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(TRAINING_STEPS):
        chosen = torch.randint(0, 1437, (32,))
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(model(loss.inputs[chosen]), loss.labels[chosen]))
        optimizer.step()
    return loss


def cost(loss: CountedLoss, measure: Callable[[], object]) -> Cost:
    """Run a measure several times and take medians."""
    walls, processors = [], []
    loss.with_gradient = loss.without_gradient = 0
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        measure()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return Cost(
        wall_seconds=round(statistics.median(walls), 4),
        cpu_seconds=round(statistics.median(processors), 4),
        differentiated_passes=round(loss.with_gradient / SAMPLES / REPEATS, 2),
        forward_passes=round(loss.without_gradient / SAMPLES / REPEATS, 2),
    )


def measured() -> dict[str, Any]:
    """Measure every part and the whole."""
    loss = trained_cnn()
    counts = torch.ones(SAMPLES)

    def part(measure: Callable[[LossSurface], object]) -> Cost:
        with on_surface(loss.model, loss, counts, samples_per_pass=SAMPLES_PER_PASS) as surface:
            return cost(loss, lambda: measure(surface))

    with on_surface(loss.model, loss, counts, samples_per_pass=SAMPLES_PER_PASS) as surface:
        pair = hessian_top_eigenpair(surface, seed=0)
        directions = () if pair.vector is None else (pair.vector,)
    parts = {
        "one_gradient": part(lambda surface: surface.gradient(surface.everything)),
        "asam": part(asam_sharpness),
        "hessian_top_eigenvalue": part(lambda surface: hessian_top_eigenpair(surface, seed=0)),
        "keskar": part(lambda surface: keskar_phi(surface, seed=0, directions=directions)),
        "keskar_in_manifold_of_100": part(
            lambda surface: keskar_phi(surface, seed=0, manifold_dimensions=100)
        ),
        "whole_measurement": cost(
            loss, lambda: measure_sharpness(loss.model, loss, counts, seed=0)
        ),
    }
    return {
        "workload": "digits CNN, channels 16 and 32, after 300 steps of SGD",
        "parameters": sum(parameter.numel() for parameter in loss.model.parameters()),
        "samples": SAMPLES,
        "samples_per_pass": SAMPLES_PER_PASS,
        "repeats": REPEATS,
        "hessian_products": pair.products,
        "values": asdict(measure_sharpness(loss.model, loss, counts, seed=0)),
        "cost": {name: asdict(spent) for name, spent in parts.items()},
    }


def machine() -> dict[str, Any]:
    """Say what this ran on, and how busy that was."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["cost", *curvature.PARTS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    out: Path = asked.out
    report: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    if asked.only in {None, "cost"}:
        report |= {"machine": machine()} | measured()
    for part, measure in curvature.PARTS.items():
        if asked.only in {None, part}:
            report[part] = {"machine": machine_facts(), "found": measure(asked.rounds)}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
