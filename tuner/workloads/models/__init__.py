"""The sources of models, one file each; a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tuner.workloads.models.blueprint import Blueprint, Builder, blueprint_of
from tuner.workloads.models.cnn import build_cnn
from tuner.workloads.models.entrypoint import build_entrypoint
from tuner.workloads.models.hf_config import build_hf_config
from tuner.workloads.models.mlp import build_mlp
from tuner.workloads.models.transformer import build_transformer

BUILTIN: Mapping[str, Builder] = MappingProxyType(
    {"mlp": build_mlp, "cnn": build_cnn, "transformer": build_transformer}
)
"""From the `name` of a builtin model to what builds it."""

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "builtin": lambda blueprint: BUILTIN[str(blueprint.model["name"])](blueprint),
        "hf_config": build_hf_config,
        "entrypoint": build_entrypoint,
    }
)
"""From the `kind` of a model to what builds it."""

__all__ = ["BUILDERS", "BUILTIN", "Blueprint", "Builder", "blueprint_of"]
