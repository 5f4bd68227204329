"""The training loss round a minimiser, along filter-normalised directions."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tuner.measuring.minimum import FixedSet
from tuner.measuring.sharpness import SAMPLES_PER_PASS
from tuner.measuring.sharpness.surface import on_surface
from tuner.measuring.study.directions import filter_normalised
from tuner.measuring.study.grid import Plane, Point
from tuner.measuring.study.minimiser import model_at
from tuner.measuring.study.pacing import losses_on
from tuner.measuring.study.room import with_room
from tuner.measuring.workbench import Workbench, eagerly
from tuner.records import Landscape, LandscapeProbe
from tuner.workloads.randomness import seeded


def measure_landscape(load_bench: Callable[[], Workbench], request: LandscapeProbe) -> Landscape:
    """Evaluate the loss over a grid round a minimiser (Li et al. 2018, arXiv:1712.09913).

    On the fixed set of the sharpness measures, in fp32 and eval mode. Biases, parameters of
    normalisation layers and their running statistics stay as they are, as in the paper. Where
    memory does not hold stacked weights the plain loop goes on.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: Names the minimiser, the directions and the grid.

    Returns:
        The losses, the centre of an odd grid being the minimiser itself.

    Raises:
        NotAnswerable: The minimiser is not there any more.
    """
    bench = load_bench()
    model = model_at(bench, request.minimiser)
    chosen = FixedSet.of(bench)
    axis = tuple(torch.linspace(-1.0, 1.0, request.points, dtype=torch.float64).tolist())
    axis = tuple(request.radius * place for place in axis)
    points: list[Point] = [(x,) for x in axis]
    if request.dimensions > 1:
        points = [(x, y) for y in axis for x in axis]
    counts = chosen.counts
    with (
        eagerly(bench.workload),
        seeded(chosen.seed),
        on_surface(model, chosen.loss_sum_of(model), counts, samples_per_pass=1),
    ):
        plane = plane_of(model, chosen, request)
        losses, way = with_room(
            bench.device,
            SAMPLES_PER_PASS,
            lambda samples: losses_on(plane, points, samples_per_pass=samples),
        )
    width = request.points
    rows = tuple(tuple(losses[start : start + width]) for start in range(0, len(losses), width))
    return Landscape(axis=axis, losses=rows, fastest=way.kind)


def plane_of(model: torch.nn.Module, chosen: FixedSet, request: LandscapeProbe) -> Plane:
    """Lay the plane of a landscape through a model's weights of the moment.

    Args:
        model: On the device.
        chosen: The samples that the loss is taken over.
        request: Gives the seed and the number of the directions.
    """
    directions = [
        filter_normalised(model, request.seed, number) for number in range(request.dimensions)
    ]
    named = dict(model.named_parameters())
    return Plane(
        model=model,
        origin={name: named[name].detach().clone() for name in directions[0]},
        directions=directions,
        chosen=chosen,
        counted=float(chosen.counts.sum()),
    )
