"""Whether the arrays of a data set can be trained on, and how many outputs they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import torch

from tuner.errors import InvalidWorkload
from tuner.headers import ARRAY_NAMES, ArrayHeader, check_arrays

if TYPE_CHECKING:
    from tuner.workloads.datasets.arrays import Arrays

MAX_OUTPUTS: Final = 2**20
"""Classes or token ids at most: one wild label must not build a head of a billion rows."""

POINTER: Final = "/dataset"


def check_data(arrays: Arrays, task: str) -> int:
    """Check arrays as they were read: shapes first, then every value.

    Args:
        arrays: What a source handed over.
        task: `classification`, `regression` or `causal_lm`.

    Returns:
        Classes, regression outputs, or vocabulary size.

    Raises:
        InvalidWorkload: `missing_array`, `shape_mismatch`, `too_few_samples`,
            `data_not_finite` or `labels_out_of_range`.
    """
    present = {name: array for name in ARRAY_NAMES if (array := getattr(arrays, name)) is not None}
    headers = {
        name: ArrayHeader(shape=tuple(array.shape), dtype=str(array.dtype).removeprefix("torch."))
        for name, array in present.items()
    }
    check_arrays(headers, task, pointer=POINTER)
    if task == "causal_lm":
        return _vocabulary(arrays, present)
    for name, array in present.items():
        _check_finite(name, array)
    if task == "classification":
        return _classes(arrays, present)
    outputs = present["y_train"].shape[1:]
    return outputs[0] if outputs else 1


def _refuse(code: str, detail: str, facts: Mapping[str, Any] | None = None) -> NoReturn:
    raise InvalidWorkload(detail, code=code, pointer=POINTER, facts=facts)


def _check_finite(name: str, array: torch.Tensor) -> None:
    if not array.is_floating_point():
        return
    finite = torch.isfinite(array)
    if bool(finite.all()):
        return
    rows = (~finite.reshape(len(array), -1).all(dim=1)).nonzero().flatten()
    _refuse(
        "data_not_finite",
        f"{name} holds NaN or infinite values in {len(rows)} of {len(array)} samples, first "
        f"in sample {int(rows[0])}. Remove or repair them.",
        {"array": name, "samples": len(rows), "first": int(rows[0])},
    )


def _classes(arrays: Arrays, present: Mapping[str, torch.Tensor]) -> int:
    highest = int(present["y_train"].max())
    limit = arrays.output_size or max(1, min(highest + 1, MAX_OUTPUTS))
    for name in ("y_train", "y_val"):
        if name not in present:
            continue
        low, high = int(present[name].min()), int(present[name].max())
        if low < 0 or high >= limit:
            _refuse(
                "labels_out_of_range",
                f"{name} holds labels from {low} to {high}; they must be 0 to {limit - 1}, "
                "the classes of y_train.",
                {"array": name, "lowest": low, "highest": high, "classes": limit},
            )
    return limit


def _vocabulary(arrays: Arrays, present: Mapping[str, torch.Tensor]) -> int:
    parts = {name: present[name] for name in ("x_train", "x_val") if name in present}
    highest = max(int(part.max()) for part in parts.values())
    limit = arrays.output_size or MAX_OUTPUTS
    if not 0 <= highest < limit:
        _refuse(
            "labels_out_of_range",
            f"The highest token id is {highest}; it must be 0 to {limit - 1}. Negative ids are "
            "padding.",
            {"highest": highest, "limit": limit},
        )
    for name, part in parts.items():
        if not bool(((part[:, :-1] >= 0) & (part[:, 1:] >= 0)).any()):
            _refuse("too_few_samples", f"{name} holds no token that follows another one.")
    return arrays.output_size or highest + 1
