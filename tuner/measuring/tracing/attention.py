"""Fused attention on a card: which kernel runs, and what it keeps for the backward pass.

Which kernel is taken follows `sdp_utils.cpp` of PyTorch: flash attention (Dao 2023,
arXiv:2307.08691) for half precision without a mask, else memory-efficient attention (Rabe and
Staats 2021, arXiv:2112.05682) where heads agree and rows are aligned, else the plain formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.nn import functional

HALF: Final = frozenset({torch.bfloat16, torch.float16})
MAX_FLASH_WIDTH: Final = 256
"""Widest head that flash attention takes."""

FLASH_MULTIPLE: Final = 8
"""Narrower heads are padded to a multiple of this."""

ALIGNMENT_BYTES: Final = 16
"""Rows of efficient attention begin at multiples of this."""

BIAS_MULTIPLE: Final = 16
"""Rows of its mask are padded to a multiple of this."""

FLASH_ROWS: Final = 128
FLASH_COLUMNS: Final = 32
"""Tiles of flash attention: its accumulators are rounded up to whole ones."""

ATEN: Final = torch.ops.aten


def choose_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    preferred: str,
) -> str:
    """Say which kernel torch would take on a card.

    Args:
        query: (N, heads, L, width).
        key: (N, key heads, S, width).
        value: (N, key heads, S, value width).
        mask: Broadcastable to (N, heads, L, S), or None.
        preferred: `auto`, or the one kernel that may be taken beside `math`.

    Returns:
        `flash`, `efficient` or `math`.
    """
    width = query.shape[-1]
    flash = query.dtype in HALF and mask is None and width == value.shape[-1] <= MAX_FLASH_WIDTH
    multiple = ALIGNMENT_BYTES // query.element_size()
    efficient = (
        query.shape[1] == key.shape[1] == value.shape[1]
        and width % multiple == 0
        and value.shape[-1] % multiple == 0
    )
    possible = {"flash": flash, "efficient": efficient}
    for kernel, is_possible in possible.items():
        if is_possible and preferred in {"auto", kernel}:
            return kernel
    return "math"


def fused_attention(preferred: str) -> Callable[..., torch.Tensor]:
    """Make the attention of a card.

    Args:
        preferred: As of `choose_kernel`.

    Returns:
        A stand-in for `scaled_dot_product_attention`, with its arguments.
    """

    def attend(  # noqa: PLR0917 - torch's own signature
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,  # noqa: FBT001, FBT002 - torch's own signature
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        kernel = "math"
        if query.ndim == 4:  # noqa: PLR2004 - samples, heads, positions, width
            kernel = choose_kernel(query, key, value, attn_mask, preferred)
        if kernel == "flash":
            return _flash(query, key, value, dropout_p, is_causal=is_causal, scale=scale)
        options: dict[str, Any] = {"is_causal": is_causal, "scale": scale}
        if kernel == "efficient":
            options["dropout_p"] = dropout_p
            return _efficient(query, key, value, _bias(attn_mask, query, key), options)
        attended: torch.Tensor = ATEN._scaled_dot_product_attention_math(  # noqa: SLF001 - an operation
            query,
            key,
            value,
            attn_mask,
            dropout_p,
            is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        )[0]
        return attended

    return attend


def work_space_bytes(func: Callable[..., Any], args: tuple[Any, ...]) -> int:
    """Say what an attention kernel takes beside its results, until it returns.

    Args:
        func: The operation.
        args: Its positional arguments.

    Returns:
        Bytes; 0 for other operations.
    """
    if func is ATEN._scaled_dot_product_flash_attention_backward.default:  # noqa: SLF001
        return _flash_work_space(args[1], args[2])
    if func is ATEN._scaled_dot_product_efficient_attention_backward.default:  # noqa: SLF001
        query, key, value = args[1], args[2], args[3]
        rows: int = 4 * math.prod(query.shape[:3])
        sums = 4 * (key.numel() + value.numel()) if query.dtype in HALF else 0
        return rows + sums
    return 0


def _flash_work_space(query: torch.Tensor, key: torch.Tensor) -> int:
    """Sums of the query's gradient and of each row in float32; whole heads for grouped keys."""
    samples, heads, length, width = query.shape
    rows = samples * heads * _rounded(length, FLASH_ROWS)
    grouped = 0
    if key.shape[1] != heads:
        grouped = 2 * samples * heads * key.shape[2] * width * query.element_size()
    return 4 * rows * (_rounded(width, FLASH_COLUMNS) + 1) + grouped


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    *,
    is_causal: bool,
    scale: float | None,
) -> torch.Tensor:
    width = query.shape[-1]
    missing = -width % FLASH_MULTIPLE
    if missing:
        scale = 1.0 / math.sqrt(width) if scale is None else scale
        query, key, value = (functional.pad(t, (0, missing)) for t in (query, key, value))
    attended: torch.Tensor = ATEN._scaled_dot_product_flash_attention(  # noqa: SLF001 - an operation
        query, key, value, dropout, is_causal, return_debug_mask=False, scale=scale
    )[0]
    return attended[..., :width] if missing else attended


def _efficient(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None,
    options: dict[str, Any],
) -> torch.Tensor:
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    attended: torch.Tensor = ATEN._scaled_dot_product_efficient_attention(  # noqa: SLF001 - an operation
        query, key, value, bias, learns, **options
    )[0]
    return attended


def _bias(mask: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor | None:
    """Turn a mask into numbers to add, aligned and as wide as the scores."""
    if mask is None:
        return None
    if mask.dtype is torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -math.inf)
    columns = mask.shape[-1]
    if columns % BIAS_MULTIPLE:
        mask = functional.pad(mask, (0, -columns % BIAS_MULTIPLE))[..., :columns]
    return mask.expand(*query.shape[:3], key.shape[2])


def _rounded(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
