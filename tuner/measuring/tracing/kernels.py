"""What kernels return beside their shape rules: statistics in float32, work space of their own.

The shape rules of torch serve compilers, which do without these. A trace of memory cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily

Correct = Callable[[Any, Sequence[Any], bool], Any]
"""From what the shape rule returned, the arguments, and whether it is for CUDA, to the result."""

HALF: Final = frozenset({torch.bfloat16, torch.float16})

SAMPLES_ASKED: Final = 64
"""A recurrent layer's work space grows linearly beyond so many samples."""

CUDNN_RNN_VALUES: Final = 6
"""Values that cuDNN keeps per step and hidden unit for the backward pass of an LSTM: its four
gates, the cell state and its tanh. Documented nowhere; taken from the formulas."""


TRAIN: Final = 15
"""Which argument of a recurrent layer says that there will be a backward pass."""


def corrected(func: Callable[..., Any], args: Sequence[Any], result: Any, *, is_cuda: bool) -> Any:
    """Make the result of a shape rule what the kernel would return.

    Args:
        func: The operation.
        args: Its positional arguments.
        result: What the shape rule returned.
        is_cuda: Whether it stands for a CUDA kernel.

    Returns:
        The result, perhaps with other tensors in it.
    """
    correct = CORRECTIONS.get(func)
    return result if correct is None else correct(result, args, is_cuda)


def shaped(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operation's shape rule: torch's own, or one for which torch's is too narrow.

    Args:
        func: The operation.
        args: Its positional arguments.
        kwargs: Its named ones.

    Returns:
        What it would return, without values.
    """
    if func is GROUPED_PRODUCT:
        return _grouped_product(*args, **kwargs)
    return func(*with_known_rows(func, args), **kwargs)


def with_known_rows(func: Callable[..., Any], args: Sequence[Any]) -> Sequence[Any]:
    """Turn masks with values into the indices that they stand for, as an indexing kernel does.

    Args:
        func: The operation.
        args: Its positional arguments.

    Returns:
        Arguments that a shape rule can do with.
    """
    if func not in INDEXING:
        return args
    indices: list[torch.Tensor | None] = []
    with unset_fake_temporarily():
        for index in args[1]:
            is_mask = isinstance(index, torch.Tensor) and index.dtype in MASKS
            if is_mask and not isinstance(index, FakeTensor):
                indices += index.nonzero().unbind(1)
            else:
                indices.append(index)
    return (args[0], indices, *args[2:])


def _grouped_product(
    left: torch.Tensor,
    right: torch.Tensor,
    offs: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Multiply group by group; torch's rule knows bfloat16 alone, its kernels more than that.

    Args:
        left: (rows, inner), or (groups, rows, inner).
        right: (inner, columns), or (groups, inner, columns).
        offs: Where groups end along the axis that they share.
        bias: Added; changes no shape.
        out_dtype: Of the product; None for that of the factors.

    Returns:
        (rows, columns), or (groups, rows, columns) where neither or both have groups.
    """
    del bias
    shape = [left.shape[-2], right.shape[-1]]
    if left.ndim == right.ndim:
        groups = left.shape[0] if offs is None else len(offs)
        shape = [groups, *shape]
    return torch.empty(shape, dtype=out_dtype or left.dtype)


def _statistics(result: Any, args: Sequence[Any], is_cuda: bool) -> Any:  # noqa: FBT001
    """Norms keep float32 statistics; on the CPU only where the weights are float32."""
    values, weight = args[0], next((a for a in args[1:4] if isinstance(a, torch.Tensor)), None)
    if values.dtype not in HALF:
        return result
    if not is_cuda and (weight is None or weight.dtype in HALF):
        return result
    return (result[0], *(statistic.float() for statistic in result[1:3]), *result[3:])


def _recurrent(result: Any, args: Sequence[Any], is_cuda: bool) -> Any:  # noqa: FBT001
    """Recurrent layers keep their gates in a work space that only the library can size."""
    if not args[TRAIN]:
        return result
    steps, samples, width = result[0].shape
    if is_cuda:
        size = steps * samples * width * CUDNN_RNN_VALUES * result[0].element_size()
    else:
        asked = min(samples, SAMPLES_ASKED)
        size = -(-_work_space_bytes(args, asked) * samples // asked)
    return (*result[:3], torch.empty(size, dtype=torch.uint8))


def _work_space_bytes(args: Sequence[Any], samples: int) -> int:
    """Ask oneDNN by running the layer on zeros."""
    with unset_fake_temporarily():
        real = [_zeros(a, samples if i in {0, 5, 6} else None) for i, a in enumerate(args)]
        space = torch.ops.aten.mkldnn_rnn_layer(*real)[3]
        return int(space.untyped_storage().nbytes())


def _zeros(value: Any, samples: int | None) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    shape = list(value.shape)
    if samples is not None:
        shape[-2] = samples
    return torch.zeros(shape, dtype=value.dtype)


_ATEN: Final = torch.ops.aten
GROUPED_PRODUCT: Final = getattr(getattr(_ATEN, "_grouped_mm", None), "default", None)
"""The product of a mixture of experts; older versions of torch have none."""

MASKS: Final = frozenset({torch.bool, torch.uint8})
INDEXING: Final = frozenset(
    {
        _ATEN.index.Tensor,
        _ATEN.index_put.default,
        _ATEN.index_put_.default,
        _ATEN._index_put_impl_.default,
        _ATEN._unsafe_index.Tensor,  # noqa: SLF001 - an operation's name
    }
)
"""Operations whose second argument holds indices or masks."""

CORRECTIONS: Mapping[Any, Correct] = MappingProxyType(
    {
        _ATEN.native_layer_norm.default: _statistics,
        _ATEN.native_group_norm.default: _statistics,
        _ATEN.native_batch_norm.default: _statistics,
        _ATEN._native_batch_norm_legit.default: _statistics,  # noqa: SLF001 - an operation's name
        _ATEN.mkldnn_rnn_layer.default: _recurrent,
    }
)
"""From an operation to what makes up for its shape rule."""
