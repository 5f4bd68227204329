"""From the schema's path to a pointer into the body that people wrote."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.problems import ProblemError
from service.violations import MOST_VIOLATIONS, UNION_TAGS, parse_spec, pointer_of
from tuner.spec import StudySpec, TuningSpec

GOOD: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification"},
}


@pytest.mark.parametrize(
    ("parts", "pointer", "says"),
    [
        ({"modle": 1}, "/modle", "Perhaps `model`"),
        ({"model": None}, "/model", "it is None"),
        ({"training": {}}, "/training/task", "Add `task`"),
        ({"dataset": {"name": "digits"}}, "/dataset/kind", "Add `kind`"),
        ({"dataset": {"kind": "sqlearn"}}, "/dataset/kind", "'sklearn'"),
        ({"model": {"kind": "builtin"}}, "/model/name", "Add `name`"),
        ({"model": {"kind": "builtin", "name": "gan"}}, "/model/name", "'cnn'"),
        ({"model": {"kind": "builtin", "name": "mlp", "mlp": 1}}, "/model/mlp", "Remove `mlp`"),
        (
            {"model": {"kind": "builtin", "name": "mlp", "options": {"hidden": [8, "9"]}}},
            "/model/options/hidden/1",
            "'9'",
        ),
        (
            {"model": {"kind": "builtin", "name": "transformer", "options": {"heads": 3}}},
            "/model/options/heads",
            "must divide width",
        ),
        (
            {"training": {"task": "classification", "optimizer": {"kind": "sgd", "sgd": 1}}},
            "/training/optimizer/sgd",
            "Remove `sgd`",
        ),
        ({"dataset": {"kind": "entrypoint", "entrypoint": 1}}, "/dataset/entrypoint", "Remove"),
        ({"dataset": {"kind": "sklearn", "name": "name"}}, "/dataset/name", "'digits'"),
        (
            {"search_space": {"global_batch_size": {"low": 9, "high": 8}}},
            "/search_space/global_batch_size/low",
            "must not exceed high",
        ),
        ({"objective": {"kind": "time_to_target", "target": -1}}, "/objective/target", "above 0"),
        (
            {"objective": {"kind": "time_to_target", "metric": "accuracy", "target": 80}},
            "/objective/target",
            "not per cent",
        ),
        ({"dataset": {"kind": "sklearn", "name": "diabetes"}}, "/dataset/name", "regression"),
        ({"seed": "0"}, "/seed", "valid integer"),
        ({"seed": True}, "/seed", "True"),
        ({"seed": 0.0}, "/seed", "valid integer"),
        ({"budget": {"max_trials": 0}}, "/budget/max_trials", "greater than or equal to 1"),
        ({"hardware": {"data_parallel_size": 2}}, "/hardware/data_parallel_size", "1"),
        ({"a/b~c": 1}, "/a~1b~0c", "Remove"),
    ],
)
def test_a_violation_names_the_field_and_the_way_out(
    parts: dict[str, Any], pointer: str, says: str
) -> None:
    """The pointer leads into the body, without the tags of unions, and the detail helps."""
    with pytest.raises(ProblemError) as caught:
        parse_spec({**GOOD, **parts})
    found = {violation.pointer: violation.detail for violation in caught.value.errors}
    assert says in found[pointer]
    assert caught.value.code == "invalid_spec"


def test_every_violation_is_told() -> None:
    """People see all that is wrong at once."""
    with pytest.raises(ProblemError) as caught:
        parse_spec({"model": {"kind": "x"}, "seed": -1})
    pointers = {violation.pointer for violation in caught.value.errors}
    assert pointers == {"/model/kind", "/dataset", "/training", "/seed"}


@pytest.mark.parametrize("body", [None, [], 3, "text"])
def test_a_body_must_be_an_object(body: Any) -> None:
    """Any other JSON value is refused at the top."""
    with pytest.raises(ProblemError) as caught:
        parse_spec(body)
    assert caught.value.errors[0].pointer == ""


def test_a_good_body_is_read() -> None:
    """Nothing is refused without a reason."""
    assert parse_spec(GOOD).dataset.kind == "sklearn"


def test_the_table_of_unions_is_that_of_the_schema() -> None:
    """Wherever the schema of a request has a union, the table of tags knows it."""
    schema = TuningSpec.model_json_schema()
    study = StudySpec.model_json_schema()
    found = dict(unions(schema, schema, "")) | dict(unions(study, study, ""))
    assert found == {k: v[0] for k, v in UNION_TAGS.items()}
    builtin = schema["$defs"]["BuiltinModel"]["discriminator"]["propertyName"]
    assert UNION_TAGS["/model"] == ("kind", builtin)


def unions(schema: dict[str, Any], part: dict[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """Every union of a schema: where it is, and the member that chooses."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    if "discriminator" in part:
        yield at, part["discriminator"]["propertyName"]
        return
    for name, child in part.get("properties", {}).items():
        yield from unions(schema, child, f"{at}/{name}")


def test_a_pointer_survives_a_body_of_another_shape() -> None:
    """Where the body ends before the path does, the pointer goes on."""
    assert pointer_of({"model": 3}, ("model", "options", 0)) == "/model/options/0"


def test_long_texts_are_not_repeated() -> None:
    """A name of a million characters is shown by its beginning, and blames what holds it."""
    endless = "x" * 10**6
    with pytest.raises(ProblemError) as caught:
        parse_spec({"model": {"kind": endless}, endless: 0})
    assert sum(len(str(found)) for found in caught.value.errors) < 2000
    assert "" in {found.pointer for found in caught.value.errors}


def test_many_mistakes_are_counted_and_the_first_ones_named() -> None:
    """Thousands of unknown names cost no thousands of sentences."""
    with pytest.raises(ProblemError, match="5003 things") as caught:
        parse_spec({f"unknown_{index}": index for index in range(5000)})
    assert len(caught.value.errors) == MOST_VIOLATIONS
