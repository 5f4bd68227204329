"""Which architectures of transformers are accepted, and with which configurations.

The list is a committed table, made by `scripts/list_architectures.py`, which builds, runs and
checks every candidate. Neither the table nor this module needs transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

from tuner.errors import InvalidWorkload

TABLE: Final = Path(__file__).with_name("architectures.json")
POINTER: Final = "/model/config"

ATTENTION: Final = frozenset({"eager", "sdpa"})
"""Accepted values of `attn_implementation`; others reach code that loads kernels."""

MAX_DEPTH: Final = 8
"""Nesting of a configuration at most."""

MAX_INTEGER: Final = 2**27
"""Integers at most: transformers makes lists as long as some of them before it builds."""

MAX_LAYERS: Final = 4096
"""Integers at most in keys that count layers, blocks or experts."""

_COUNTING: Final = ("layer", "depth", "block", "expert", "stage")

REFUSED_KEYS: Final = frozenset(
    {
        "auto_map",
        "backbone",
        "backbone_kwargs",
        "custom_pipelines",
        "dtype",
        "kernel_config",
        "name_or_path",
        "quantization",
        "quantization_config",
        "torch_dtype",
        "transformers_weights",
        "trust_remote_code",
        "use_kernels",
        "use_pretrained_backbone",
        "use_timm_backbone",
    }
)
"""Keys that could load code or weights, or that fight with `training.precision`."""


@cache
def _table() -> Mapping[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return MappingProxyType(table)


def verified_with() -> str:
    """Say the version of transformers that the table was checked with."""
    return str(_table()["transformers_version"])


def accepted() -> Mapping[str, tuple[str, ...]]:
    """List the accepted architectures.

    Returns:
        From `model_type` to its heads: `causal_lm`, `sequence_classification`,
        `image_classification`.
    """
    architectures = _table()["architectures"]
    return MappingProxyType({name: tuple(heads) for name, heads in architectures.items()})


def accepted_heads(model_type: str) -> tuple[str, ...]:
    """List the heads that one architecture is accepted with; none for an unknown one."""
    return tuple(_table()["architectures"].get(model_type, ()))


def head_of(task: str, *, images: bool) -> str:
    """Say which head a task needs.

    Args:
        task: `classification`, `regression` or `causal_lm`.
        images: Whether samples have the shape (channels, height, width).

    Returns:
        A head as in `accepted`.
    """
    if task == "causal_lm":
        return "causal_lm"
    return "image_classification" if images else "sequence_classification"


def check_config(model_type: str, config: Mapping[str, Any], task: str) -> None:
    """Refuse an architecture or a configuration before anything of it is built.

    Args:
        model_type: As transformers calls it.
        config: Keys that the user gives.
        task: `classification`, `regression` or `causal_lm`.

    Raises:
        InvalidWorkload: `model_not_accepted`, `config_key_refused` or `model_too_large`.
    """
    possible = {head_of(task, images=images) for images in (False, True)}
    heads = accepted_heads(model_type)
    if not possible.intersection(heads):
        offer = f"it is for {', '.join(heads)}" if heads else "it is not on the list"
        raise InvalidWorkload(
            f"The architecture {model_type!r} is not accepted for {task}: {offer}. "
            "The catalog lists those that are.",
            code="model_not_accepted",
            pointer="/model/model_type",
        )
    _check_mapping(config, POINTER, depth=1)


def _check_mapping(config: Mapping[str, Any], pointer: str, *, depth: int) -> None:
    for key, value in config.items():
        here = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        if key == "attn_implementation":
            _check_attention(value, here)
            continue
        if key.startswith("_") or key in REFUSED_KEYS or key.endswith("_implementation"):
            _refuse(f"{key!r} is not accepted: it could load code or weights.", here)
        _check_value(key, value, here, depth=depth)


def _check_attention(value: Any, pointer: str) -> None:
    if not isinstance(value, str) or value not in ATTENTION:
        choices = " or ".join(sorted(ATTENTION))
        _refuse(f"attn_implementation must be {choices}, not {value!r}.", pointer)


def _check_value(key: str, value: Any, pointer: str, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        _refuse(f"The configuration is nested more than {MAX_DEPTH} levels deep.", pointer)
    if isinstance(value, Mapping):
        _check_mapping(value, pointer, depth=depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_value(key, item, f"{pointer}/{index}", depth=depth + 1)
    elif isinstance(value, str):
        if "/" in value or "\\" in value or "://" in value:
            _refuse(f"{value!r} looks like a path or a repository; none is accepted.", pointer)
    elif isinstance(value, int):
        _check_integer(key, value, pointer)


def _check_integer(key: str, value: int, pointer: str) -> None:
    limit = MAX_LAYERS if any(word in key for word in _COUNTING) else MAX_INTEGER
    if abs(value) > limit:
        raise InvalidWorkload(
            f"{key} is {value}; at most {limit} is accepted.",
            code="model_too_large",
            pointer=pointer,
            facts={"value": value, "limit": limit},
        )


def _refuse(detail: str, pointer: str) -> NoReturn:
    raise InvalidWorkload(detail, code="config_key_refused", pointer=pointer)
