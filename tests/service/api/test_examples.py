"""The examples of the OpenAPI document: every operation has them, and they are true."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.api import document
from service.api.links import LINKS
from service.api.recorded import recorded
from service.app import create_app
from service.problems import KINDS, MEDIA_TYPE
from service.settings import Settings

Operation = dict[str, Any]


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The document as the code makes it."""
    return create_app(Settings(require_keys=True)).openapi()


def operations(published: dict[str, Any]) -> Iterator[Operation]:
    """Every operation of the document."""
    for path in published["paths"].values():
        yield from path.values()


def media_of(operation: Operation) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where an operation shows a body: status or `request`, media type, and what is said there."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for place, body in bodies.items():
        for media_type, media in body.get("content", {}).items():
            yield place, media_type, media


def assert_fits(published: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Hold a value against a schema of the document."""
    whole = {**schema, "components": published["components"]}
    errors = [error.message[:300] for error in Draft202012Validator(whole).iter_errors(value)]
    assert not errors


def values_of(published: dict[str, Any], media: dict[str, Any]) -> list[Any]:
    """The examples of one body, references followed."""
    found = []
    for example in media.get("examples", {}).values():
        name = example.get("$ref", "").rpartition("/")[2]
        found.append(published["components"]["examples"][name] if name else example)
    return [example["value"] for example in found]


def test_every_body_has_an_example_that_fits_its_schema(published: dict[str, Any]) -> None:
    """Requests, answers and problems alike: what is shown is what would be accepted or sent."""
    shown = 0
    for operation in operations(published):
        for place, media_type, media in media_of(operation):
            values = values_of(published, media)
            assert values, f"{operation['operationId']} {place} {media_type} has no example"
            for value in values:
                assert_fits(published, media["schema"], value)
                shown += 1
    assert shown > 50


def test_every_parameter_is_described_and_those_of_the_path_have_an_example(
    published: dict[str, Any],
) -> None:
    """Somebody who reads an address knows what to put into it."""
    for operation in operations(published):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (operation["operationId"], parameter["name"])
            if parameter["in"] == "path":
                (example,) = parameter["schema"]["examples"]
                assert_fits(published, parameter["schema"], example)


def test_every_operation_says_what_it_is(published: dict[str, Any]) -> None:
    """A summary, a sentence, and a tag that the document explains."""
    explained = {tag["name"] for tag in published["tags"] if tag["description"]}
    for operation in operations(published):
        assert operation["summary"]
        assert operation["description"].rstrip().endswith((".", ")", "`"))
        assert set(operation["tags"]) <= explained


def test_what_was_recorded_is_shown(published: dict[str, Any]) -> None:
    """Nothing is left over from an operation that has another name now."""
    assert recorded().keys() <= {operation["operationId"] for operation in operations(published)}


def test_the_example_of_a_problem_has_its_code_and_status(published: dict[str, Any]) -> None:
    """Under each status only problems of that status are shown."""
    for operation in operations(published):
        for place, media_type, media in media_of(operation):
            if media_type == MEDIA_TYPE:
                for code, value in zip(media["examples"], values_of(published, media), strict=True):
                    assert (value["code"], str(value["status"])) == (code, place)
                    assert value["title"] == KINDS[code].title


def test_links_lead_to_operations_with_such_parameters(published: dict[str, Any]) -> None:
    """Whoever follows a link finds the operation, and gives it only what it takes."""
    by_name = {operation["operationId"]: operation for operation in operations(published)}
    assert LINKS.keys() <= by_name.keys()
    for links in LINKS.values():
        for link in links.values():
            target = by_name[link["operationId"]]
            taken = {parameter["name"] for parameter in target["parameters"]}
            assert link["parameters"].keys() <= taken


def test_the_document_is_rendered_the_same_each_time() -> None:
    """Two renderings differ in nothing, so that a difference means a change of the API."""
    assert document.render(create_app(Settings())) == document.render(create_app(Settings()))
