"""The typed answer."""

import copy
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from batchscout.answer import Answer
from batchscout.errors import UnexpectedAnswer
from tests.batchscout.documents import RECOMMENDATION
from tuner.recommendation import Recommendation


def outline(hint: Any) -> Any:
    """What a hint allows, whether it is made of dataclasses or of pydantic models."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        some = {str(outline(each)) for each in arguments}
        return sorted("scalar" if one in {"str", "bool", "scalar"} else one for one in some)
    if origin in {list, tuple}:
        return ["many", outline(arguments[0])]
    if origin in {dict, Mapping}:
        return "mapping"
    if origin is typing.Literal:
        return type(arguments[0]).__name__
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, BaseModel)):
        return {
            name: outline(each)
            for name, each in typing.get_type_hints(hint).items()
            if name != "model_config"
        }
    return hint.__name__


def test_the_records_are_those_of_the_service() -> None:
    """Every field of the service's answer is in ours, with the same shape, and no other."""
    assert outline(Answer) == outline(Recommendation)


def test_the_published_document_knows_every_field() -> None:
    """The committed OpenAPI document requires exactly the fields that the answer has."""
    document = json.loads((Path(__file__).resolve().parents[2] / "openapi.json").read_text())
    published = document["components"]["schemas"]["Recommendation"]
    names = {field.name for field in dataclasses.fields(Answer)}
    assert set(published["properties"]) == names
    assert set(published["required"]) == names


def test_the_example_is_what_the_service_would_send() -> None:
    """The document that these tests read is a valid answer of the service."""
    assert Recommendation.model_validate(RECOMMENDATION).model_dump(mode="json") == RECOMMENDATION


def test_an_answer_is_read_whole() -> None:
    """Nothing of the document is lost: written down again it is the same."""
    answer = Answer.read(RECOMMENDATION)
    plain = dataclasses.asdict(answer)
    plain |= {name: list(plain[name]) for name in ("memory_curve", "pareto", "rivals", "warnings")}
    assert plain == RECOMMENDATION


def test_new_fields_do_not_hurt() -> None:
    """An answer of a newer service, with fields unknown here, is read without them."""
    newer = copy.deepcopy(RECOMMENDATION)
    newer["moon_phase"] = "full"
    newer["device"]["watts"] = 300
    newer["pareto"][0]["colour"] = {"red": 1}
    assert Answer.read(newer) == Answer.read(RECOMMENDATION)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("micro_batch_size",), None),
        (("device",), None),
        (("device",), "cpu"),
        (("time_to_target_seconds", "runs"), None),
    ],
)
def test_what_cannot_be_absent_is_named(path: tuple[str, ...], value: object) -> None:
    """A missing or misshapen part is refused with its place in the document."""
    broken: Any = copy.deepcopy(RECOMMENDATION)
    inner = broken
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(UnexpectedAnswer, match="/" + "/".join(path)):
        Answer.read(broken)
