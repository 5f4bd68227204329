"""CUDA's rules for tensors that lie nowhere: autocast, dropout, softmax and attention.

A trace runs on fake tensors of the device `cpu`, which need no driver and no CUDA build of
torch. Storages have the same sizes on every device; where an operation is made up of others in
another way on CUDA, or is cast to another precision, that way is registered here in the place
of the CPU's, for as long as a trace lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from tuner.measuring.tracing.attention import HALF, fused_attention

# fmt: off
IN_FLOAT32: Final = (
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p",
    "reciprocal", "rsqrt", "sinh", "tan", "pow.Tensor_Scalar", "pow.Tensor_Tensor",
    "pow.Scalar", "softplus", "layer_norm", "native_layer_norm", "rms_norm", "group_norm",
    "frobenius_norm.dim", "nuclear_norm", "nuclear_norm.dim", "cosine_similarity",
    "poisson_nll_loss", "cosine_embedding_loss", "nll_loss", "nll_loss2d",
    "hinge_embedding_loss", "kl_div", "l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss",
    "margin_ranking_loss", "multilabel_margin_loss", "soft_margin_loss",
    "triplet_margin_loss", "multi_margin_loss", "binary_cross_entropy_with_logits", "dist",
    "pdist", "cdist", "renorm", "logsumexp", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
    "upsample_trilinear3d", "upsample_bicubic2d",
)
"""Operations that CUDA's autocast runs in float32 (`AT_FORALL_FP32` of ATen)."""

TO_FLOAT32: Final = (
    "prod", "prod.dim_int", "softmax.int", "log_softmax.int", "cumprod", "cumsum",
    "linalg_vector_norm", "linalg_matrix_norm", "linalg_matrix_norm.str_ord", "sum",
    "sum.dim_IntList",
)
"""Operations that it tells to give float32 (`AT_FORALL_FP32_SET_OPT_DTYPE`)."""
# fmt: on

Kernel = Callable[..., Any]


@contextmanager
def cuda_rules(attention_kernel: str) -> Iterator[None]:
    """Let operations on CPU tensors go CUDA's way for a while, in the whole process.

    Args:
        attention_kernel: `auto`, or the one fused kernel that may be taken.

    Yields:
        Nothing.
    """
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    try:
        for name in IN_FLOAT32:
            _register(library, name, _in_float32)
        for name in TO_FLOAT32:
            _register(library, name, _to_float32)
        library.impl("dropout", _dropout, "AutogradCPU")
        library.impl("softmax.int", _softmax(torch.ops.aten._softmax), "AutogradCPU")  # noqa: SLF001
        library.impl("log_softmax.int", _softmax(torch.ops.aten._log_softmax), "AutogradCPU")  # noqa: SLF001
        attend = fused_attention(attention_kernel)
        library.impl("scaled_dot_product_attention", attend, "AutogradCPU")
        yield
    finally:
        library._destroy()  # noqa: SLF001 - there is no other way to end a registration


def _register(library: Any, name: str, policy: Callable[[Any], Kernel]) -> None:
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)
    # Where the CPU's autocast casts already, it casts to float32 too.
    known = torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", "AutocastCPU")  # noqa: SLF001
    if operation is not None and not known:
        library.impl(name, policy(operation), "AutocastCPU")


def _without_autocast() -> Any:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)  # noqa: SLF001
    return torch._C._ExcludeDispatchKeyGuard(keys)  # noqa: SLF001


def _in_float32(operation: Any) -> Kernel:
    def run(*args: Any, **kwargs: Any) -> Any:
        wide = [_widened(value) for value in args]
        named = {name: _widened(value) for name, value in kwargs.items()}
        with _without_autocast():
            return operation(*wide, **named)

    return run


def _to_float32(operation: Any) -> Kernel:
    names = [argument.name for argument in operation._schema.arguments]  # noqa: SLF001
    place = names.index("dtype")

    def run(*args: Any, **kwargs: Any) -> Any:
        given = args[place] if len(args) > place else kwargs.get("dtype")
        if given is None and args[0].dtype in HALF:
            args, kwargs = args[:place], {**kwargs, "dtype": torch.float32}
        with _without_autocast():
            return operation(*args, **kwargs)

    return run


def _widened(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.dtype in HALF:
        return value.float()
    return value


def _dropout(values: torch.Tensor, share: float, train: bool) -> torch.Tensor:  # noqa: FBT001
    """Keep one byte per value, as CUDA's kernel does; the CPU keeps whole numbers."""
    if not train or share == 0.0:
        return values
    dropped: torch.Tensor = torch.native_dropout(values, share, train=True)[0]
    return dropped


def _softmax(operation: Any) -> Kernel:
    """Widen within the kernel, as CUDA's does; the CPU makes a wide copy first."""

    def run(values: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> Any:
        if dtype is torch.float32 and values.dtype in HALF:
            return operation(values, dim, True)  # noqa: FBT003 - the operation's own signature
        return operation(values if dtype is None else values.to(dtype), dim, False)  # noqa: FBT003

    return run
