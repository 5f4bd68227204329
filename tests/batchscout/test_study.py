"""`batchscout study` and the client's studies, against a service that plays a script."""

import asyncio
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from batchscout import AsyncClient, Client
from batchscout.__main__ import main
from batchscout.addresses import address_of
from batchscout.commands.study_page import MOST_ARMS_BESIDE, print_study
from batchscout.commands.watching import MEASURES
from batchscout.errors import JobFailed
from batchscout.exits import Exit
from batchscout.study import StudySummary
from service.study_schemas import StudyStage
from service.study_summary import StudySummary as Stored
from tests.batchscout.documents import arm, claim, progress, study, summary
from tests.batchscout.fake_service import FakeService, serving

STUDIES = "/v1/batch-size-studies"
DONE = [study("queued"), study("running", progress=progress("train")), study("succeeded")]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A file with a request."""
    file = tmp_path / "study.json"
    file.write_text('{"batch_sizes": [32, 256]}')
    return file


def run(spec: Path, states: list[dict[str, Any]], *arguments: str, accepts: bool = True) -> int:
    """Run the command against a scripted service."""
    service = FakeService(states, accepts=accepts)
    service.findings = {"arms": [], "landscapes": []}
    with serving(service) as url:
        code = main(["study", str(spec), "--server", url, *arguments])
    assert service.paths[:1] == [STUDIES]
    return code


def test_the_findings_go_to_stdout_and_progress_to_stderr(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Batches stand side by side with their intervals, and each claim has its verdict."""
    assert run(spec, DONE) == Exit.OK
    shown = capsys.readouterr()
    assert "batch 32" in shown.out
    assert "batch 256" in shown.out
    assert "0.331 to 0.357" in shown.out
    for verdict in ("holds: The larger", "does not hold: The larger", "cannot be told: The"):
        assert verdict in shown.out
    assert "99.5 % interval -0.51 to -0.44" in shown.out.replace("\n   ", "")
    assert "1 hold, 1 do not, 1 cannot be told" in shown.out
    assert "curves_thinned" in shown.out
    assert "train: training every batch size" in shown.err


def test_json_prints_the_study_with_its_findings(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json standard output is one document: the study, and all that it found."""
    assert run(spec, DONE, "--json") == Exit.OK
    document = json.loads(capsys.readouterr().out)
    assert document["summary"] == summary()
    assert document["findings"] == {"arms": [], "landscapes": []}


@pytest.mark.parametrize(
    ("last", "code", "words"),
    [
        (study("failed"), Exit.NEGATIVE, "One field is wrong."),
        (study("cancelled"), Exit.UNTOLD, "cancelled"),
    ],
)
def test_a_study_without_findings_says_why(
    spec: Path,
    last: dict[str, Any],
    code: Exit,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit code tells failure from cancellation, and standard output stays empty."""
    assert run(spec, [study("queued"), last]) == code
    shown = capsys.readouterr()
    assert (words in shown.err, shown.out) == (True, "")


def test_a_refused_study_names_the_field(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2: the spec has to change."""
    assert run(spec, DONE, accepts=False) == Exit.USAGE
    assert "low must not exceed high" in capsys.readouterr().err


def test_the_client_follows_a_study_to_its_summary() -> None:
    """Sync and async alike: typed arms and claims; curves are fetched on their own."""
    for ask in (_ask, _ask_async):
        service = FakeService(list(DONE))
        service.findings = {"arms": []}
        with serving(service) as url:
            found, findings = ask(url)
        assert found == StudySummary.read(summary())
        assert found.arms[1].summary.minimum_validation_loss is not None
        assert findings == {"arms": []}


def _ask(url: str) -> tuple[StudySummary, Any]:
    with Client(url) as client:
        return client.study({"batch_sizes": [32]}), client.findings("bs_7")


def _ask_async(url: str) -> tuple[StudySummary, Any]:
    async def ask() -> tuple[StudySummary, Any]:
        async with AsyncClient(url) as client:
            return await client.study({"batch_sizes": [32]}), await client.findings("bs_7")

    return asyncio.run(ask())


def test_a_failed_study_raises() -> None:
    """Who asks for the summary of a study that failed is told why there is none."""
    service = FakeService([study("queued"), study("failed")])
    failing = pytest.raises(JobFailed, match="One field is wrong")
    with serving(service) as url, Client(url) as client, failing:
        client.study({})


@pytest.mark.parametrize(
    ("job_id", "address"),
    [
        ("tj_1", "/v1/tuning-jobs/tj_1"),
        ("bs_1", f"{STUDIES}/bs_1"),
        ("../x", "/v1/tuning-jobs/..%2Fx"),
    ],
)
def test_an_id_tells_where_its_job_is(job_id: str, address: str) -> None:
    """So that one way of watching and cancelling serves both kinds."""
    assert address_of(job_id) == address


def test_many_arms_come_in_several_tables() -> None:
    """A page of 80 columns shows every batch, the full batch by its name."""
    arms = [arm(2**power) for power in range(2 * MOST_ARMS_BESIDE)]
    arms.append(arm(18610, rule="rprop"))
    out = StringIO()
    found = StudySummary.read(summary(arms=arms))
    print_study(found, Console(file=out, width=100))
    shown = out.getvalue()
    assert shown.count("minimum validation loss") == 3
    assert "full batch 18,610" in shown
    assert "batch 128" in shown


def test_a_reason_that_claims_share_is_given_once() -> None:
    """Where a batch never converged a dozen claims cannot be told, and one sentence says why."""
    untold = claim("cannot_be_told", effect=None, why="No run converged.")
    out = StringIO()
    found = StudySummary.read(summary(claims=[untold, untold, claim("holds")]))
    print_study(found, Console(file=out, width=100))
    assert out.getvalue().count("cannot be told: ") == 2
    assert "1 hold, 0 do not, 2 cannot be told" in out.getvalue()
    assert out.getvalue().count("No run converged.") == 1


def test_the_summary_is_that_of_the_service() -> None:
    """Every field that is read here is one that the service stores, and none is left out."""
    assert Stored.model_validate(summary()).model_dump(mode="json") == summary()
    assert set(StudySummary.__dataclass_fields__) == set(Stored.model_fields)


def test_every_stage_of_a_study_has_words() -> None:
    """Whoever watches reads what is measured, not the name of a stage alone."""
    assert set(StudyStage.__args__) <= MEASURES.keys()
