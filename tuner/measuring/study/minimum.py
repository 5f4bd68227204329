"""How sharp a minimiser is: every measure on the same fixed set, in fp32 and eval mode."""

from __future__ import annotations

import math
from collections.abc import Callable

from tuner.measuring.minimum import FixedSet
from tuner.measuring.sharpness import SAMPLES_PER_PASS
from tuner.measuring.sharpness.asam import asam_sharpness
from tuner.measuring.sharpness.hessian import hessian_top_eigenvalues
from tuner.measuring.sharpness.keskar import keskar_phi
from tuner.measuring.sharpness.session import Session
from tuner.measuring.sharpness.trace import hessian_trace
from tuner.measuring.study.minimiser import model_at
from tuner.measuring.workbench import Workbench, eagerly
from tuner.records import MinimumProbe, MinimumShape
from tuner.workloads.randomness import seeded


def measure_minimum(load_bench: Callable[[], Workbench], request: MinimumProbe) -> MinimumShape:
    """Measure all that says how sharp a minimiser is.

    The samples, the random manifold and all start vectors follow from the workload's data seed,
    so that minimisers are compared on equal terms. BatchNorm keeps the statistics of its run.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: Names the minimiser, and how finely it is looked at.

    Returns:
        The measures; None where one is not finite or memory does not hold it.

    Raises:
        NotAnswerable: The minimiser is not there any more.
    """
    bench = load_bench()
    model = model_at(bench, request.minimiser)
    chosen = FixedSet.of(bench)
    seed, counts = chosen.seed, chosen.counts
    session = Session(model, chosen.loss_sum_of(model), counts, SAMPLES_PER_PASS)
    with eagerly(bench.workload), seeded(seed):
        asam = session.measure(asam_sharpness)
        spectrum = session.measure(
            lambda surface: hessian_top_eigenvalues(surface, seed=seed, count=request.eigenvalues)
        )
        directions = () if spectrum is None or spectrum.vector is None else (spectrum.vector,)
        whole = session.measure(
            lambda surface: keskar_phi(surface, seed=seed, directions=directions)
        )
        manifold = session.measure(
            lambda surface: keskar_phi(
                surface, seed=seed, manifold_dimensions=request.manifold_dimensions
            )
        )
        trace = session.measure(
            lambda surface: hessian_trace(surface, seed=seed, probes=request.trace_probes)
        )
    return MinimumShape(
        keskar=_finite(whole),
        keskar_manifold=_finite(manifold),
        asam=_finite(asam),
        eigenvalues=() if spectrum is None else spectrum.values,
        trace=_finite(None if trace is None else trace.value),
        trace_error=_finite(None if trace is None else trace.error),
        num_samples=len(counts),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
