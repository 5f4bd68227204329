"""`?format=`: an answer in the words of a framework, over HTTP."""

from typing import get_args

import pytest
from fastapi.testclient import TestClient

from service.store.tables import JobState
from tests.service.api.test_tuning_jobs import create, write
from tests.tuner.exports.answers import answer
from tuner.exports.registry import FORMATS, FormatName, export

TEXTS = [name for name in FORMATS if name != "json"]


@pytest.fixture
def answered(client: TestClient) -> str:
    """The address of a recommendation."""
    address = create(client)
    write(client, address, state=JobState.SUCCEEDED, answer=answer())
    return f"{address}/recommendation"


@pytest.mark.parametrize("name", TEXTS)
def test_a_format_is_text_of_its_media_type(client: TestClient, answered: str, name: str) -> None:
    """The service writes what the registry writes, byte by byte."""
    response = client.get(answered, params={"format": name})
    assert response.status_code == 200
    assert response.content == export(answer(), name).text.encode()
    assert response.headers["content-type"].split(";")[0] == FORMATS[name].media_type


def test_without_a_format_it_is_the_answer(client: TestClient, answered: str) -> None:
    """`json` and no format are the same typed body."""
    plain, named = client.get(answered), client.get(answered, params={"format": "json"})
    assert plain.json() == named.json() == answer()
    assert plain.headers["content-type"] == named.headers["content-type"] == "application/json"


def test_an_unknown_format_is_refused_with_all_that_are_known(
    client: TestClient, answered: str
) -> None:
    """422 that blames the parameter and lists every format."""
    response = client.get(answered, params={"format": "toml"})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_parameter")
    (violation,) = problem["errors"]
    assert violation["parameter"] == "format"
    assert all(f"'{name}'" in violation["detail"] for name in get_args(FormatName))


@pytest.mark.parametrize("name", ["json", "hf"])
def test_a_job_without_an_answer_has_none_in_any_format(client: TestClient, name: str) -> None:
    """It is the same problem whatever was asked for."""
    address = create(client)
    response = client.get(f"{address}/recommendation", params={"format": name})
    assert (response.status_code, response.json()["code"]) == (409, "not_finished")
