"""Data that people's own code makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from tuner.entrypoints import failure_of, load_function
from tuner.errors import InvalidWorkload
from tuner.headers import ARRAY_NAMES
from tuner.workloads.datasets.arrays import Arrays
from tuner.workloads.datasets.files import arrays_of
from tuner.workloads.randomness import seeded

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload

POINTER: Final = "/dataset/target"


def load_entrypoint(workload: Workload, places: Places) -> Arrays:
    """Call a function that returns a mapping of arrays, and take them as they are.

    The function is called with its `kwargs`, while the global random states of Python, NumPy
    and torch follow from the data seed. It returns `x_train` and `y_train`, and perhaps
    `x_val` and `y_val`, as NumPy arrays or tensors (causal_lm: only the `x`).

    Args:
        workload: Names the target.
        places: What may be imported, and from where.

    Returns:
        Its arrays; integer images become floats (see `as_inputs`).

    Raises:
        InvalidWorkload: The target is not allowed or not found, raised, or returned something
            else.
    """
    function = load_function(str(workload.dataset["target"]), places, pointer=POINTER)
    with seeded(workload.data_seed):
        try:
            made = function(**workload.dataset.get("kwargs", {}))
        except Exception as error:
            raise failure_of(error, POINTER) from error
    return arrays_of(_checked(made))


def _checked(made: Any) -> Mapping[str, np.ndarray | torch.Tensor]:
    if not isinstance(made, Mapping):
        raise InvalidWorkload(
            f"The function returned {type(made).__name__}; it must return a mapping of arrays.",
            code="missing_array",
            pointer=POINTER,
        )
    if "x_train" not in made:
        raise InvalidWorkload(
            f"The function returned {', '.join(sorted(map(str, made))) or 'nothing'}; x_train "
            "is missing.",
            code="missing_array",
            pointer=POINTER,
        )
    for name in ARRAY_NAMES:
        if name in made and not isinstance(made[name], np.ndarray | torch.Tensor):
            raise InvalidWorkload(
                f"{name} is {type(made[name]).__name__}; it must be a NumPy array or a tensor.",
                code="shape_mismatch",
                pointer=POINTER,
            )
    return {name: made[name] for name in ARRAY_NAMES if name in made}
