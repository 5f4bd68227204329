"""The OpenAPI document: 3.1, named unions, problems typed, nothing that generators refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api import problem_examples
from service.api.links import LINKS
from service.api.recorded import recorded
from service.api.secured import secure
from service.problems import Problem
from service.settings import Settings
from tuner.estimate_spec import MemoryEstimateSpec
from tuner.spec import StudySpec, TuningSpec

TITLE: Final = "batchscout"
API_VERSION: Final = "1"
"""Of the addresses under `/v1`, not of the program."""

DESCRIPTION: Final = (
    "Answers which batch size and learning rate train a model best, with measurements. "
    "Create a tuning job, wait for it, and read its recommendation."
)
EXAMPLE_IDS: Final = {"job_id": "get_tuning_job", "study_id": "get_batch_size_study"}
"""Parameters that are ids, and the operations in whose recorded answers there is one."""

_REF: Final = "#/components/schemas/{model}"


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function."""
    return route.name


def install(app: FastAPI, settings: Settings) -> None:
    """Have an application publish this document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
            if settings.demands_keys:
                secure(app.openapi_schema)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way of extending


def render(app: FastAPI) -> str:
    """Render the document as it is committed."""
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _build(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=[{"url": "/", "description": "This service."}],
        license_info=app.license_info,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    # The body of a request is read strictly, outside of the framework, which therefore does
    # not know it; the same holds for problems.
    requests: list[tuple[type[BaseModel], Literal["validation"]]]
    requests = [(model, "validation") for model in (TuningSpec, StudySpec, MemoryEstimateSpec)]
    _, found = models_json_schema(requests, ref_template=_REF)
    _, answers = models_json_schema([(Problem, "serialization")], ref_template=_REF)
    for name, schema in {**found["$defs"], **answers["$defs"]}.items():
        schemas.setdefault(name, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _leave_out_nested_discriminators(schemas)
    _show(document)
    document["components"]["examples"] = problem_examples.all_examples()
    return document


def _leave_out_nested_discriminators(schemas: dict[str, Any]) -> None:
    """Drop the tag of a union of unions: a generator cannot follow it, and `const` tells enough."""
    for schema in schemas.values():
        targets = schema.get("discriminator", {}).get("mapping", {}).values()
        if any("oneOf" in schemas[target.rpartition("/")[2]] for target in targets):
            del schema["discriminator"]


def _show(document: dict[str, Any]) -> None:
    """Add what was really answered, and where each answer leads."""
    examples = recorded()
    for operation in _operations(document):
        name = operation["operationId"]
        for status, response in operation["responses"].items():
            if status >= "300":
                continue
            body = response.get("content", {}).get("application/json")
            if body is not None and name in examples:
                body["examples"] = {"recorded": {"value": examples[name]}}
            if name in LINKS:
                response["links"] = LINKS[name]
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in EXAMPLE_IDS:
                found = examples[EXAMPLE_IDS[parameter["name"]]]["id"]
                parameter["schema"]["examples"] = [found]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()
