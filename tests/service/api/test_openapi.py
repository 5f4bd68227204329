"""The OpenAPI document: committed, clean, and true."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.api import document
from service.api.examples import DIGITS
from service.app import create_app
from service.settings import Settings
from service.violations import parse_spec

COMMITTED = Path(__file__).resolve().parents[3] / "openapi.json"


@pytest.fixture(scope="module")
def rendered() -> str:
    """The document as the code makes it."""
    return document.render(create_app(Settings(require_keys=True)))


@pytest.fixture(scope="module")
def schema(rendered: str) -> dict[str, Any]:
    """The same as JSON."""
    found: dict[str, Any] = json.loads(rendered)
    return found


def operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Every operation of a document."""
    return [operation for path in schema["paths"].values() for operation in path.values()]


def nodes(value: Any) -> list[Any]:
    """Every value inside of a JSON value, itself included."""
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return [value]
    return [value, *(node for child in children for node in nodes(child))]


def test_the_committed_document_is_current(rendered: str) -> None:
    """After a change of the API, `python -m service.openapi > openapi.json` writes it again."""
    assert COMMITTED.read_text(encoding="utf-8") == rendered


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    """No `$ref` names a component that is not there."""
    for node in nodes(schema):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            kind, _, name = node["$ref"].removeprefix("#/components/").partition("/")
            assert name in schema["components"][kind], node["$ref"]


def test_discriminators_lead_somewhere(schema: dict[str, Any]) -> None:
    """Every variant that a union maps to is a component, and requires its tag."""
    components = schema["components"]["schemas"]
    unions = [node["discriminator"] for node in nodes(schema) if is_union(node)]
    assert len(unions) >= 5
    for union in unions:
        for target in union["mapping"].values():
            variant = components[target.rpartition("/")[2]]
            if "discriminator" not in variant:
                assert union["propertyName"] in variant["required"]


def is_union(node: Any) -> bool:
    """Whether a node is a tagged union."""
    return isinstance(node, dict) and isinstance(node.get("discriminator"), dict)


def test_unions_are_named_components(schema: dict[str, Any]) -> None:
    """A generated client calls them what we call them."""
    names = {"ModelSpec", "BuiltinModel", "DatasetSpec", "OptimizerSpec", "ScheduleSpec"}
    assert names | {"Objective", "Problem", "TuningSpec"} <= schema["components"]["schemas"].keys()


def test_operations_are_named_after_their_functions(schema: dict[str, Any]) -> None:
    """Names are short, and none occurs twice."""
    names = [operation["operationId"] for operation in operations(schema)]
    assert len(names) == len(set(names))
    assert {"create_tuning_job", "get_tuning_job", "cancel_tuning_job"} <= set(names)


def test_problems_are_typed(schema: dict[str, Any]) -> None:
    """Every failure is documented as `application/problem+json` of one schema."""
    for operation in operations(schema):
        failures = {s: r for s, r in operation["responses"].items() if s >= "400"}
        assert {"422", "500"} <= failures.keys()
        for response in failures.values():
            assert response["content"].keys() == {"application/problem+json"}
            shown = response["content"]["application/problem+json"]
            assert shown["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_the_document_is_valid() -> None:
    """The committed one, by the specification's own schema and the rules beside it."""
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert [error.message for error in OpenAPIV31SpecValidator(committed).iter_errors()] == []


def test_the_document_is_of_version_3_1(schema: dict[str, Any]) -> None:
    """No keyword of a later version, which generators refuse, is in it."""
    assert schema["openapi"] == "3.1.0"
    keys = {key for node in nodes(schema) if isinstance(node, dict) for key in node}
    assert "itemSchema" not in keys
    assert "HTTPValidationError" not in keys
    assert "nullable" not in keys


def test_requests_and_responses_share_no_class(schema: dict[str, Any]) -> None:
    """No component was split in two, which generators get wrong."""
    names = schema["components"]["schemas"]
    assert not [name for name in names if name.endswith(("-Input", "-Output"))]


def test_the_example_is_a_request_that_is_accepted() -> None:
    """People can send what they are shown."""
    assert parse_spec(DIGITS).model.kind == "builtin"
