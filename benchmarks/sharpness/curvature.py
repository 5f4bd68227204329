"""Curvature held against what is exact, and timed beside PyHessian.

- a small perceptron: eigenvalues and trace against the dense Hessian;
- phi over random starts;
- a larger convolutional network: the top eigenvalue and the trace beside PyHessian
  (arXiv:1912.07145), in turn, at equal accuracy.

PyHessian 0.1 computes eigenvalues and traces with today's torch as it is (its spectral density
does not: `torch.eig` is gone). It runs both ways that it offers: one batch of all samples, whose
gradient's graph it holds, and a loader of batches.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

import numpy as np
import torch
from pyhessian import hessian as pyhessian
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from tuner.measuring.sharpness import SAMPLES_PER_PASS, LossSurface, on_surface
from tuner.measuring.sharpness.hessian import hessian_top_eigenpair, hessian_top_eigenvalues
from tuner.measuring.sharpness.keskar import keskar_phi
from tuner.measuring.sharpness.trace import hessian_trace

EIGENVALUES: Final = 5
PROBES: Final = 32
ACCURACY: Final = 0.01
"""Relative error of the top eigenvalue that both are held to."""

TOLERANCES: Final = (1e-2, 1e-3, 1e-4, 1e-5)
"""PyHessian's stopping rule, loose to strict; its default is the second."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained model with the samples that its loss is taken over."""

    name: str
    model: nn.Module
    inputs: Tensor
    labels: Tensor

    def loss_sum(self, samples: slice) -> Tensor:
        """Sum the loss over a slice."""
        return cross_entropy(
            self.model(self.inputs[samples]), self.labels[samples], reduction="sum"
        )

    def surface(self) -> Any:
        """Look at the loss round the weights."""
        counts = torch.ones(len(self.labels))
        return on_surface(self.model, self.loss_sum, counts, samples_per_pass=SAMPLES_PER_PASS)

    @property
    def parameters(self) -> int:
        """Count the weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def trained(subject: Subject, steps: int, rate: float = 0.05) -> Subject:
    optimizer = torch.optim.SGD(subject.model.parameters(), lr=rate, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(0, len(subject.labels), (32,), generator=generator)
        optimizer.zero_grad()
        scores = subject.model(subject.inputs[chosen])
        torch.autograd.backward(cross_entropy(scores, subject.labels[chosen]))
        optimizer.step()
    return subject


def perceptron(seed: int) -> Subject:
    """610 weights on 1,024 digits."""
    digits = load_digits()
    torch.manual_seed(seed)
    return trained(
        Subject(
            name=f"digits perceptron, seed {seed}",
            model=nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)),
            inputs=torch.tensor(digits.data[:1024] / 16, dtype=torch.float32),
            labels=torch.tensor(digits.target[:1024]),
        ),
        steps=300,
    )


def convolutions(seed: int, samples: int = 256) -> Subject:
    """A VGG-like network on digits drawn twice as large: 16 x 16 pixels."""
    digits = load_digits()
    torch.manual_seed(seed)
    images = torch.tensor(digits.images[:samples] / 16, dtype=torch.float32).unsqueeze(1)
    layers: list[nn.Module] = []
    for before, after in ((1, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return trained(
        Subject(
            name="VGG-like network on digits of 16 x 16 pixels",
            model=nn.Sequential(
                *layers, nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10)
            ),
            inputs=nn.functional.interpolate(images, scale_factor=2.0, mode="bilinear"),
            labels=torch.tensor(digits.target[:samples]),
        ),
        steps=150,
    )


def dense_hessian(subject: Subject) -> Tensor:
    """The whole matrix, in double precision."""
    names = [name for name, _ in subject.model.named_parameters()]
    values = [parameter.detach().double() for parameter in subject.model.parameters()]
    sizes = [value.numel() for value in values]

    def mean_loss(flat: Tensor) -> Tensor:
        parts = [p.view(v.shape) for p, v in zip(flat.split(sizes), values, strict=True)]
        weights = dict(zip(names, parts, strict=True))
        scores = functional_call(subject.model, weights, (subject.inputs.double(),))
        return cross_entropy(scores, subject.labels)

    flat = torch.cat([value.flatten() for value in values])
    hessian: Tensor = torch.autograd.functional.hessian(mean_loss, flat)
    return hessian


def against_dense(seeds: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for seed in seeds:
        subject = perceptron(seed)
        dense = dense_hessian(subject)
        exact = torch.linalg.eigvalsh(dense).flip(0)[:EIGENVALUES].numpy()
        with subject.surface() as surface:
            found = hessian_top_eigenvalues(surface, seed=seed, count=EIGENVALUES)
            trace = hessian_trace(surface, seed=seed, probes=PROBES)
        errors = np.abs(np.array(found.values) / exact - 1.0)
        rows.append(
            {
                "model": subject.name,
                "parameters": subject.parameters,
                "eigenvalues_exact": [round(float(value), 5) for value in exact],
                "top_relative_error": float(f"{errors[0]:.1e}"),
                "largest_relative_error_of_five": float(f"{errors.max():.1e}"),
                "products": found.products,
                "trace_exact": round(float(dense.trace()), 4),
                "trace": round(trace.value, 4),
                "trace_standard_error": round(trace.error, 4),
                "trace_off_by_standard_errors": round(
                    (trace.value - float(dense.trace())) / trace.error, 2
                ),
            }
        )
    return rows


def phi_over_starts(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The same minima and the same manifold of 100 dimensions, every random start made anew."""
    rows = []
    for subject in (perceptron(0), convolutions(0)):
        row: dict[str, Any] = {"model": subject.name, "parameters": subject.parameters}
        row["starts"] = len(seeds)
        for kind, dimensions in (("whole_space", None), ("manifold_of_100", 100)):
            row[kind] = _spread([_phi(subject, seed, dimensions) for seed in seeds])
        rows.append(row)
    return rows


def _phi(subject: Subject, start_seed: int, dimensions: int | None) -> float:
    with subject.surface() as surface:
        if dimensions is not None:
            return keskar_phi(
                surface, seed=0, start_seed=start_seed, manifold_dimensions=dimensions
            )
        pair = hessian_top_eigenpair(surface, seed=start_seed)
        directions = () if pair.vector is None else (pair.vector,)
        return keskar_phi(surface, seed=0, start_seed=start_seed, directions=directions)


def _spread(values: list[float]) -> dict[str, Any]:
    middle = statistics.median(values)
    return {
        "values": [round(value, 4) for value in values],
        "largest_relative_distance_from_median": round(
            max(abs(value / middle - 1.0) for value in values), 4
        ),
    }


def reference(subject: Subject) -> float:
    """The top eigenvalue by ARPACK, far beyond the accuracy that is asked for."""
    with subject.surface() as surface:

        def product(vector: Any) -> Any:
            given = torch.from_numpy(np.asarray(vector, dtype=np.float32).ravel())
            return surface.hessian_product(given).numpy().astype(np.float64)

        operator = LinearOperator((surface.size, surface.size), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(surface.size)
        value: float = eigsh(
            operator, k=1, which="LA", v0=start, tol=1e-5, return_eigenvectors=False
        )[0]
    return float(value)


def ours(subject: Subject, measure: Callable[[LossSurface], Any]) -> Any:
    with subject.surface() as surface:
        return measure(surface)


def theirs(subject: Subject, way: str, measure: Callable[[Any], Any]) -> Any:
    """Measure by PyHessian: set up anew each time, as ours is."""
    whole = (subject.inputs, subject.labels)
    parts = list(zip(*(each.split(SAMPLES_PER_PASS) for each in whole), strict=True))
    given = {"data": whole} if way == "one batch" else {"dataloader": parts}
    with warnings.catch_warnings():
        # Backward with a graph warns of a cycle; it is broken below.
        warnings.simplefilter("ignore")
        measured = measure(pyhessian(subject.model, nn.CrossEntropyLoss(), cuda=False, **given))
    subject.model.zero_grad(set_to_none=True)
    gc.collect()
    return measured


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One measurement; processor seconds are those of the whole process, which has one thread."""

    seconds: float
    processor_seconds: float
    value: Any


def timed(measure: Callable[[], Any]) -> Turn:
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    value = measure()
    return Turn(
        processor_seconds=time.process_time() - processor,
        seconds=time.perf_counter() - wall,
        value=value,
    )


def in_turn(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Turn]]:
    """Take turns, so that a busy machine slows every way alike."""
    found: dict[str, list[Turn]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            found[name].append(timed(measure))
    return found


def beside_pyhessian(rounds: int) -> dict[str, Any]:
    subject = convolutions(0)
    exact = reference(subject)
    seeds = iter(range(10_000))

    products: list[int] = []

    def top(surface: LossSurface) -> float:
        pair = hessian_top_eigenpair(surface, seed=next(seeds))
        products.append(pair.products)
        return pair.value

    def of_tolerance(tolerance: float) -> Callable[[Any], float]:
        def measure(computer: Any) -> float:
            torch.manual_seed(next(seeds))
            value: float = computer.eigenvalues(maxIter=1000, tol=tolerance)[0][0]
            return value

        return measure

    strict = needed_tolerance(subject, of_tolerance, exact)
    ways: dict[str, Callable[[], Any]] = {"batchscout": lambda: ours(subject, top)}
    for way in ("one batch", "loader"):
        ways[f"pyhessian, {way}"] = lambda way=way: theirs(subject, way, of_tolerance(strict))
    traces: dict[str, Callable[[], Any]] = {
        "batchscout": lambda: ours(
            subject, lambda surface: hessian_trace(surface, seed=next(seeds), probes=PROBES).value
        )
    }
    for way in ("one batch", "loader"):
        traces[f"pyhessian, {way}"] = lambda way=way: float(
            np.mean(theirs(subject, way, all_probes))
        )
    tops = summary(in_turn(ways, rounds), exact)
    return {
        "model": subject.name,
        "parameters": subject.parameters,
        "samples": len(subject.labels),
        "rounds": rounds,
        "pyhessian": metadata.version("pyhessian"),
        "top_eigenvalue": {
            "reference": round(exact, 5),
            "accuracy_asked": ACCURACY,
            "pyhessian_tolerance": strict,
            "batchscout_products": list(products),
            **tops,
        },
        "trace": {"probes": PROBES, **summary(in_turn(traces, rounds), None)},
    }


def all_probes(computer: Any) -> Any:
    """Take every probe: with a tolerance from zero up it stops at a negative running mean."""
    return computer.trace(maxIter=PROBES, tol=-math.inf)


def needed_tolerance(
    subject: Subject, measure: Callable[[float], Callable[[Any], float]], exact: float
) -> float:
    """The loosest of its tolerances at which three starts are all accurate; else the strictest."""
    for tolerance in TOLERANCES:
        values = [theirs(subject, "one batch", measure(tolerance)) for _ in range(3)]
        if all(abs(value / exact - 1.0) <= ACCURACY for value in values):
            return tolerance
    return TOLERANCES[-1]


def summary(found: dict[str, list[Turn]], exact: float | None) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    mine = found["batchscout"]
    for name, turns in found.items():
        values = [turn.value for turn in turns]
        rows[name] = {
            "median_seconds": round(statistics.median(turn.seconds for turn in turns), 3),
            "median_processor_seconds": round(
                statistics.median(turn.processor_seconds for turn in turns), 3
            ),
            "values": [round(value, 4) for value in values],
        }
        if exact is not None:
            worst = max(abs(value / exact - 1.0) for value in values)
            rows[name]["largest_relative_error"] = float(f"{worst:.1e}")
        if name != "batchscout":
            pairs = list(zip(turns, mine, strict=True))
            rows[name]["times_as_long"] = _middle(its.seconds / own.seconds for its, own in pairs)
            rows[name]["times_the_processor"] = _middle(
                its.processor_seconds / own.processor_seconds for its, own in pairs
            )
    return rows


def _middle(ratios: Iterable[float]) -> float:
    return round(statistics.median(ratios), 2)


PARTS: Final[Mapping[str, Callable[[int], Any]]] = {
    "against_dense_hessian": lambda _rounds: against_dense(range(8)),
    "phi_over_random_starts": lambda _rounds: phi_over_starts(range(8)),
    "beside_pyhessian": beside_pyhessian,
}
"""From what a part shows to what measures it, in so many rounds."""
