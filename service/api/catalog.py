"""What can be asked for here, read off the schema of requests and the committed tables."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from service.admission import SKLEARN_SIZES
from service.api.dependencies import Wired
from service.api.responses import problems
from service.schemas import Catalog, CatalogCard, DatasetSize
from tuner import spec
from tuner.architectures import accepted
from tuner.cards import cards

router = APIRouter(prefix="/v1", tags=["service"])


@router.get("/catalog", responses=problems())
def get_catalog(parts: Wired) -> Catalog:
    """List models, data sets, optimizers and the rest of what a request can name."""
    settings = parts.settings
    return Catalog(
        tasks=_choices(spec.Task),
        metrics=_choices(spec.Metric),
        builtin_models=_tags(spec.BuiltinModel, "name"),
        architectures=sorted(accepted()),
        sklearn_datasets=[
            DatasetSize(name=name, task=spec.SKLEARN_TASK[name], num_samples=samples)
            for name, samples in SKLEARN_SIZES.items()
        ],
        file_formats=_choices(spec.FilesDataset.model_fields["format"].annotation),
        optimizers=_tags(spec.OptimizerSpec, "kind"),
        schedules=_tags(spec.ScheduleSpec, "kind"),
        objectives=_tags(spec.Objective, "kind"),
        samplers=_choices(spec.Search.model_fields["sampler"].annotation),
        precisions=_choices(spec.Training.model_fields["precision"].annotation),
        cards=[
            CatalogCard(
                name=card.name,
                memory_bytes=card.memory_bytes,
                usable_bytes=card.usable_bytes,
                source=card.source,
                reserve_source=card.reserve_source,
            )
            for card in cards().values()
        ],
        entrypoint_prefixes=list(settings.entrypoint_prefixes),
        files_allowed=bool(settings.file_roots),
        max_body_bytes=settings.max_body_bytes,
    )


def _choices(literal: Any) -> list[Any]:
    return list(typing.get_args(literal))


def _tags(union: Any, discriminator: str) -> list[str]:
    return [
        tag
        for variant in _variants(union.__value__)
        for tag in _choices(variant.model_fields[discriminator].annotation)
    ]


def _variants(hint: Any) -> Iterator[type[BaseModel]]:
    if typing.get_origin(hint) is typing.Annotated:
        yield from _variants(typing.get_args(hint)[0])
    elif isinstance(hint, types.UnionType):
        for option in typing.get_args(hint):
            yield from _variants(option)
    else:
        yield hint
