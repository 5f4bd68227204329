"""The client, sync and async: each test holds for both."""

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from batchscout import exchanges
from batchscout.client import AsyncClient, Client
from batchscout.errors import (
    BatchscoutError,
    JobCancelled,
    JobFailed,
    Refused,
    ServiceUnavailable,
    UnexpectedAnswer,
    UnusableKey,
)
from batchscout.jobs import Job
from batchscout.wire import is_remote
from tests.batchscout.documents import PROBLEM, RECOMMENDATION, job, progress

Script = list[httpx.Response | Exception]
Ask = Callable[..., Any]


class Service:
    """Replies from a script, in order, and keeps what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = list(script)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Reply with the next of the script."""
        self.asked.append(request)
        reply = self.script.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def sync_ask(service: Service, name: str, *arguments: Any, **named: Any) -> Any:
    """Ask through the sync client."""
    with Client("http://service", transport=httpx.MockTransport(service)) as client:
        return getattr(client, name)(*arguments, **named)


def async_ask(service: Service, name: str, *arguments: Any, **named: Any) -> Any:
    """Ask through the async client."""

    async def ask() -> Any:
        async with AsyncClient("http://service", transport=httpx.MockTransport(service)) as client:
            return await getattr(client, name)(*arguments, **named)

    return asyncio.run(ask())


@pytest.fixture(params=[sync_ask, async_ask], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask a scripted service through one of the two clients, without real rests."""
    monkeypatch.setattr(exchanges, "RESTS_SECONDS", (0.0, 0.0))
    return request.param


def reply(document: Any, status: int = 200, **headers: str) -> httpx.Response:
    """Write a JSON reply."""
    return httpx.Response(status, json=document, headers=headers)


def test_a_job_is_created_from_a_plain_mapping(ask: Ask) -> None:
    """The spec goes out word for word, and the queued job comes back."""
    service = Service([reply(job("queued"), 202)])
    spec = {"model": {"kind": "builtin"}, "seed": 3}
    assert ask(service, "create", spec).state == "queued"
    assert (service.asked[0].method, service.asked[0].url.path) == ("POST", "/v1/tuning-jobs")
    assert json.loads(service.asked[0].content) == spec


def test_force_is_asked_for_in_the_query(ask: Ask) -> None:
    """A forced job says so beside the spec, which stays what it was; others say nothing."""
    service = Service([reply(job("queued"), 202), reply(job("queued"), 202)])
    ask(service, "create", {"seed": 3}, force=True)
    ask(service, "create", {"seed": 3})
    assert [dict(asked.url.params) for asked in service.asked] == [{"force": "true"}, {}]
    assert [json.loads(asked.content) for asked in service.asked] == [{"seed": 3}] * 2


@pytest.mark.parametrize("lost", [httpx.ReadError("gone"), httpx.ReadTimeout("late")])
def test_a_create_whose_reply_was_lost_is_sent_again_under_its_key(
    ask: Ask, lost: Exception
) -> None:
    """The first may have queued a job: the same key leads to it, also after a restart."""
    in_use = {"code": "idempotency_key_in_use", "detail": "Still being answered."}
    for after in (httpx.ConnectError("refused"), reply(in_use, 409), httpx.Response(503)):
        service = Service([lost, after, reply(job("queued"), 202)])
        assert ask(service, "create", {"seed": 3}).state == "queued"
        keys = {asked.headers["Idempotency-Key"] for asked in service.asked}
        assert len(service.asked) == 3
        assert len(keys) == 1


def test_every_create_has_a_key_of_its_own(ask: Ask) -> None:
    """Two jobs that are meant are two jobs."""
    service = Service([reply(job("queued"), 202), reply(job("queued"), 202)])
    ask(service, "create", {})
    ask(service, "create", {})
    assert len({asked.headers["Idempotency-Key"] for asked in service.asked}) == 2


def test_a_create_that_never_arrived_is_not_insisted_on(ask: Ask) -> None:
    """Nobody is there, or says so: that is told at once."""
    for outcome in (httpx.ConnectError("refused"), httpx.Response(503)):
        service = Service([outcome, reply(job("queued"), 202)])
        with pytest.raises(ServiceUnavailable):
            ask(service, "create", {})
        assert len(service.asked) == 1


def test_a_create_that_is_lost_again_and_again_is_given_up(ask: Ask) -> None:
    """As many tries as there are rests, and one."""
    service = Service([httpx.ReadError("gone")] * 3)
    with pytest.raises(ServiceUnavailable, match="nobody answers"):
        ask(service, "create", {})
    assert len(service.asked) == 3


def test_whom_to_tell_is_asked_for_in_the_query(ask: Ask) -> None:
    """The address of a callback goes beside the spec."""
    service = Service([reply(job("queued"), 202), reply(job("succeeded"))])
    ask(service, "tune", {}, callback_url="https://example.org/hook?a=1&b=2")
    assert service.asked[0].url.params["callback_url"] == "https://example.org/hook?a=1&b=2"


def test_a_removal_whose_reply_was_lost_is_done(ask: Ask) -> None:
    """Where the second finds nothing, the first has removed it; otherwise that is a refusal."""
    gone = {"code": "tuning_job_not_found", "detail": "There is no such job."}
    assert ask(Service([httpx.Response(204)]), "delete", "job-7") is None
    service = Service([httpx.ReadError("gone"), reply(gone, 404)])
    assert ask(service, "delete", "job-7") is None
    assert [asked.method for asked in service.asked] == ["DELETE", "DELETE"]
    with pytest.raises(Refused) as caught:
        ask(Service([reply(gone, 404)]), "delete", "job-7")
    assert caught.value.problem.code == "tuning_job_not_found"


KEY = "bs_a-key-that-nobody-shall-see"


def test_a_key_is_sent_and_never_shown(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the environment, goes out as a bearer, and is in no text of an error."""
    monkeypatch.setenv("BATCHSCOUT_KEY", KEY + "\n")
    service = Service([reply(job("queued"))])
    ask(service, "job", "job-7")
    assert service.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    refusal = {"code": "unauthenticated", "detail": "This key was revoked."}
    for outcome in (reply(refusal, 401), httpx.ConnectError("refused")):
        with pytest.raises(BatchscoutError) as caught:
            ask(Service([outcome]), "create", {})
        assert KEY not in f"{caught.value!r} {caught.value} {vars(caught.value)}"


def test_a_key_that_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over that of the environment; without either none is sent, and no text shows one."""
    service = Service([reply(job("queued")), reply(job("queued"))])
    transport = httpx.MockTransport(service)
    monkeypatch.setenv("BATCHSCOUT_KEY", "bs_another")
    with Client("http://service", KEY, transport=transport) as client:
        client.job("job-7")
        assert KEY not in repr(client) + repr(vars(client)) + repr(client._http.headers)
    assert service.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    monkeypatch.delenv("BATCHSCOUT_KEY")
    with Client("http://service", transport=transport) as client:
        client.job("job-7")
    assert "Authorization" not in service.asked[1].headers


@pytest.mark.parametrize("key", ["bs_é", "bs a", "bs_\x00"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    """The error says that it is wrong, and not what it is."""
    with pytest.raises(UnusableKey) as caught:
        Client("http://service", key)
    assert key not in str(caught.value)


def test_a_password_of_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, the message names the address without it."""
    service = Service([httpx.ConnectError("refused")])
    transport = httpx.MockTransport(service)
    with (
        Client("http://ann:secret@service", transport=transport) as client,
        pytest.raises(ServiceUnavailable, match="http://service") as caught,
    ):
        client.create({})
    assert "secret" not in str(caught.value)


def test_waiting_polls_with_the_last_revision(ask: Ask) -> None:
    """The first look is immediate; later ones wait for a change of the revision seen last."""
    service = Service(
        [
            reply(job("queued"), ETag='"1"'),
            httpx.Response(304, headers={"ETag": '"1"'}),
            reply(job("running", progress=progress("race")), ETag='"2"'),
            reply(job("succeeded"), ETag='"3"'),
        ]
    )
    seen: list[Job] = []
    ended = ask(service, "wait", "job-7", seen.append)
    assert ended.answer.global_batch_size == RECOMMENDATION["global_batch_size"]
    assert [each.state for each in seen] == ["queued", "running", "succeeded"]
    assert "wait" not in service.asked[0].url.params
    revisions = [each.headers["If-None-Match"] for each in service.asked[1:]]
    assert revisions == ['"1"', '"1"', '"2"']
    assert all(float(each.url.params["wait"]) > 0 for each in service.asked[1:])


def test_waiting_survives_a_restart_of_the_service(ask: Ask) -> None:
    """A refused connection and a 503 while waiting are tried again."""
    service = Service(
        [
            reply(job("running"), ETag='"1"'),
            httpx.ConnectError("refused"),
            reply({"code": "not_ready", "detail": "starting"}, 503),
            reply(job("succeeded"), ETag='"2"'),
        ]
    )
    assert ask(service, "wait", "job-7").is_terminal


def test_waiting_ends_where_nobody_comes_back(ask: Ask) -> None:
    """After the last rest the client says that nobody answers, and where."""
    service = Service([httpx.ConnectError("refused")] * 3)
    with pytest.raises(ServiceUnavailable, match=r"http://service.*refused"):
        ask(service, "wait", "job-7")


def test_a_full_queue_is_a_matter_of_time(ask: Ask) -> None:
    """429 is no refusal of the request: it may be sent again later."""
    service = Service([reply({"code": "queue_full", "detail": "Too many jobs."}, 429)])
    with pytest.raises(ServiceUnavailable, match="Too many jobs"):
        ask(service, "create", {})


def test_a_refusal_carries_the_problem(ask: Ask) -> None:
    """A 4xx problem arrives with its code, its status and the field that is to blame."""
    with pytest.raises(Refused) as caught:
        ask(Service([reply(PROBLEM, 422)]), "create", {})
    problem = caught.value.problem
    assert (problem.code, problem.status) == ("invalid_spec", 422)
    assert [(field.where, field.detail) for field in problem.fields] == [
        ("/search_space", "low must not exceed high")
    ]


@pytest.mark.parametrize(("state", "error"), [("failed", JobFailed), ("cancelled", JobCancelled)])
def test_tune_raises_where_there_is_no_answer(ask: Ask, state: str, error: type[Exception]) -> None:
    """A failed and a cancelled job are errors that name the job."""
    service = Service([reply(job("queued"), 202), reply(job(state))])
    with pytest.raises(error) as caught:
        ask(service, "tune", {})
    assert caught.value.job_id == "job-7"


def test_tune_returns_the_typed_answer(ask: Ask) -> None:
    """From a mapping to a typed answer in one call."""
    service = Service([reply(job("queued"), 202), reply(job("succeeded"))])
    assert ask(service, "tune", {}).learning_rate == RECOMMENDATION["learning_rate"]


def test_trials_come_over_all_pages(ask: Ask) -> None:
    """The cursor of each page leads to the next, until there is none."""
    service = Service(
        [
            reply({"items": [{"number": 0}], "next_cursor": "abc"}),
            reply({"items": [{"number": 1}], "next_cursor": None}),
        ]
    )
    assert [trial["number"] for trial in ask(service, "trials", "job-7")] == [0, 1]
    assert service.asked[1].url.params["cursor"] == "abc"


def test_cancel_and_recommendation_have_their_own_addresses(ask: Ask) -> None:
    """Cancelling is a POST; the answer can be fetched alone."""
    service = Service([reply(job("cancelling"), 202)])
    assert ask(service, "cancel", "job-7").state == "cancelling"
    assert service.asked[0].url.path == "/v1/tuning-jobs/job-7/cancel"
    service = Service([reply(RECOMMENDATION)])
    assert ask(service, "recommendation", "job-7").runs == RECOMMENDATION["runs"]
    assert service.asked[0].url.path == "/v1/tuning-jobs/job-7/recommendation"


def test_an_id_cannot_reach_another_address(ask: Ask) -> None:
    """Slashes and dots of an id stay inside its part of the address."""
    service = Service([reply(job("queued"))])
    ask(service, "job", "../catalog?x=1")
    assert service.asked[0].url.raw_path == b"/v1/tuning-jobs/..%2Fcatalog%3Fx%3D1"


@pytest.mark.parametrize(
    "stranger",
    [
        {"status_code": 200, "text": "<html>hello</html>"},
        {"status_code": 200, "json": {"hello": "world"}},
        {"status_code": 500, "text": "oops"},
    ],
)
def test_another_program_is_recognised(ask: Ask, stranger: dict[str, Any]) -> None:
    """What is no batchscout, or a broken one, is told apart from a refusal."""
    with pytest.raises(UnexpectedAnswer):
        ask(Service([httpx.Response(**stranger)]), "job", "job-7")


def test_both_clients_offer_the_same() -> None:
    """Every public method of one is in the other, with the same parameters."""
    names = {name for name in vars(Client) if not name.startswith("_")}
    assert names == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in names:
        mine, other = (inspect.signature(getattr(each, name)) for each in (Client, AsyncClient))
        assert list(mine.parameters) == list(other.parameters)


@pytest.mark.parametrize(
    ("url", "remote"),
    [("http://127.0.0.1:8321", False), ("http://[::1]:1", False), ("https://tune.example", True)],
)
def test_proxies_never_stand_before_this_machine(url: str, remote: bool) -> None:  # noqa: FBT001
    """The proxies of the environment apply to other machines alone."""
    assert is_remote(url) is remote
