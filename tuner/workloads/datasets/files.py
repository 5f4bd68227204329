"""Arrays in npz or safetensors files under a configured root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tuner.errors import InvalidWorkload
from tuner.headers import ARRAY_NAMES, POINTER, check_arrays, read_header, resolve_under
from tuner.workloads.datasets.arrays import Arrays, as_inputs, as_targets

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from tuner.places import Places
    from tuner.records import Workload


Named = Mapping[str, "np.ndarray | torch.Tensor"]
"""Arrays by name."""


def load_files(workload: Workload, places: Places) -> Arrays:
    """Read `x_train`, `y_train`, `x_val` and `y_val` from one file.

    The header is checked again, as at admission: the file may have changed since.

    Args:
        workload: Names format and path.
        places: Holds the roots.

    Returns:
        Arrays as they lie in the file; integer images become floats (see `as_inputs`).

    Raises:
        InvalidWorkload: The path, the file or its arrays are not accepted.
    """
    file_format = str(workload.dataset["format"])
    path = resolve_under(places.file_roots, str(workload.dataset["path"]))
    header = read_header(path, file_format)
    check_arrays(header, str(workload.training["task"]))
    wanted = [name for name in ARRAY_NAMES if name in header]
    try:
        arrays = READERS[file_format](path, wanted)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidWorkload(
            f"The file could not be read: {error}.", code="unreadable_file", pointer=POINTER
        ) from error
    return arrays_of(arrays)


def arrays_of(arrays: Named) -> Arrays:
    """Give named arrays the dtypes that they are trained in.

    Args:
        arrays: Some of `ARRAY_NAMES`, `x_train` among them.

    Returns:
        The same as a record.
    """
    inputs = {name: as_inputs(arrays[name]) for name in ("x_train", "x_val") if name in arrays}
    targets = {name: as_targets(arrays[name]) for name in ("y_train", "y_val") if name in arrays}
    return Arrays(
        x_train=inputs["x_train"],
        y_train=targets.get("y_train"),
        x_val=inputs.get("x_val"),
        y_val=targets.get("y_val"),
    )


def _read_npz(path: Path, names: list[str]) -> Named:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in names}


def _read_safetensors(path: Path, names: list[str]) -> Named:
    try:
        from safetensors import safe_open  # noqa: PLC0415 - only where such a file is read
    except ImportError as error:
        raise InvalidWorkload(
            "This data set needs the package safetensors, which is not installed here.",
            pointer="/dataset/format",
        ) from error
    with safe_open(path, framework="pt") as archive:
        return {name: archive.get_tensor(name) for name in names}


READERS: Mapping[str, Callable[[Path, list[str]], Named]] = MappingProxyType(
    {"npz": _read_npz, "safetensors": _read_safetensors}
)
"""From the `format` of a file to what reads the named arrays."""
