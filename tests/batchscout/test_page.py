"""What people see: the answer, the progress, a problem, a number."""

import copy
import io

import pytest
from rich.console import Console

from batchscout.answer import Answer
from batchscout.commands import quantities
from batchscout.commands.answer_page import print_answer
from batchscout.commands.problem_text import problem_text
from batchscout.commands.watching import LiveWatcher, PlainWatcher, make_watcher
from batchscout.errors import Problem
from batchscout.jobs import Job
from tests.batchscout.documents import BEST, RECOMMENDATION, job, progress


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        """Say that it is a terminal."""
        return True


def page(answer: Answer, width: int = 200) -> str:
    """Print an answer, on a wide page where nothing else is said."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    with console.capture() as capture:
        print_answer(answer, console)
    return capture.get()


def test_an_answer_that_was_given_before_says_so_in_one_line() -> None:
    """Which job measured it, when, and how to have it measured anew; nothing otherwise."""
    source = {"job_id": "tj_77", "measured_at": "2026-01-02T03:04:05.678+00:00"}
    lines = page(Answer.read(RECOMMENDATION | {"answered_from": source})).splitlines()
    (said,) = [line for line in lines if "answered before" in line]
    assert "by tj_77, measured until 2026-01-02 03:04; --force measures it anew" in said
    assert "answered before" not in page(Answer.read(RECOMMENDATION))


def test_the_page_shows_every_number_with_its_evidence() -> None:
    """Recommendation, interval, rivals, memory, cost and warnings are all on the page."""
    shown = page(Answer.read(RECOMMENDATION))
    for words in (
        "48",
        "144",
        "0.0314",
        "from 0.0121 to 0.0707",
        "validation loss, yours; reached in 5 of 5 runs",
        "95 % interval 2.71 s to 3.62 s, 5 runs",
        "7.6 ms",
        "8,512/s",
        "95 % interval 52 to 96",
        "774.7 MiB  of 8 GiB; the largest micro-batch that was run is 1,437",
        "A processor, 16 GiB",
        "sgd momentum 0.9, nesterov false",
        "1,440 samples = 10 steps",
        "race 31 s, search 2 min",
        "24 search trials, 39 training runs in all, 14 of them side by side",
        "what tj_0123 found on A card on 2026-01-02",
        "came to 1.03 times what it let expect",
        "64 x 2",
        "4 of 5",
        "short_runs: The runs were short, so noise is large.",
    ):
        assert words in shown


def test_candidates_fit_a_narrow_page() -> None:
    """A row stays one row in 80 columns, its interval with one unit."""
    ends = {"estimate": 0.0281, "low": 0.0247, "high": 0.0321, "confidence": 0.95, "runs": 5}
    one = {**RECOMMENDATION["rivals"][0], "time_to_target_seconds": ends, "runs_reached": 5}
    shown = page(Answer.read({**RECOMMENDATION, "rivals": [one]}), width=80)
    (row,) = [line for line in shown.splitlines() if "24.7" in line]
    assert "28.1 ms" in row
    assert "24.7 - 32.1 ms" in row
    assert "5 of 5" in row


def test_candidates_of_a_budget_show_their_metric() -> None:
    """Where no run had a target, candidates are told apart by what they came to."""
    one = {
        **RECOMMENDATION["rivals"][0],
        "time_to_target_seconds": None,
        "final_metric": 0.0815,
    }
    shown = page(Answer.read({**RECOMMENDATION, "rivals": [one], "pareto": []}), width=80)
    assert "metric" in shown
    assert "0.0815" in shown


def test_what_was_not_measured_is_not_invented() -> None:
    """An answer without a rate, interval or time shows dashes and says so."""
    bare = copy.deepcopy(RECOMMENDATION) | {
        "learning_rate": None,
        "learning_rate_range": None,
        "critical_batch_size": None,
        "time_to_target_seconds": None,
        "sharpness": None,
        "evidence": "throughput_only",
        "rivals": [],
        "pareto": [],
        "warnings": [],
    }
    shown = page(Answer.read(bare))
    assert "its range was not measured" in shown
    assert "not resolved" in shown
    assert "nothing was learned about learning" in shown
    assert "Rivals" not in shown
    assert "time to target" not in shown


def test_a_missed_target_shows_the_closest_result() -> None:
    """A missed target is on the page with how close it came."""
    missed = RECOMMENDATION | {"target_reached": False, "runs_reached": 0, "closest_metric": 0.1771}
    shown = page(Answer.read(missed))
    assert "reached in 0 of 5 runs" in shown
    assert "0.177" in shown


def test_no_line_of_the_plain_watcher_comes_twice() -> None:
    """Changes that people do not care about, such as a fraction, draw no line."""
    stream = io.StringIO()
    watcher = PlainWatcher(stream)
    for fraction in (0.1, 0.2, 0.3):
        document = job("running", progress=progress("search", fraction, best=BEST))
        watcher(Job.read(document))
    lines = stream.getvalue().splitlines()
    assert [line.partition("] ")[2].partition(":")[0] for line in lines] == [
        "job job-7 is running",
        "search",
        "best so far",
    ]


def test_the_live_watcher_shows_where_the_job_is() -> None:
    """On a terminal the stage, its meaning, the share done and the best are in place."""
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, width=120)
    with LiveWatcher(console) as watcher:
        watcher(Job.read(job("running", progress=progress("race", 0.25, best=BEST))))
        watcher.note("A sentence that stays.")
    shown = stream.getvalue()
    assert "racing learning rates" in shown
    assert "25%" in shown
    assert "batch 96" in shown
    assert "A sentence that stays." in shown


@pytest.mark.parametrize(
    ("stream", "variables", "live"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"CI": "true"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_live_only_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch,
    stream: io.StringIO,
    variables: dict[str, str],
    live: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Pipes, dumb terminals and continuous integration get plain lines."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert isinstance(make_watcher(stream), LiveWatcher) is live


def test_a_problem_is_told_with_field_facts_and_traceback() -> None:
    """Nothing that helps to mend the request is left out."""
    problem = Problem.read(
        {
            "code": "no_feasible_batch",
            "detail": "Not even one sample fits.",
            "pointer": "/hardware/memory_limit_bytes",
            "facts": {"bytes_needed": 12},
            "traceback": "Traceback:\n  boom",
        }
    )
    assert problem_text(problem).splitlines() == [
        "Not even one sample fits. [no_feasible_batch]",
        "  at /hardware/memory_limit_bytes",
        "  bytes_needed: 12",
        "  In your own code:",
        "    Traceback:",
        "      boom",
    ]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (quantities.number(None), "-"),
        (quantities.number(1437), "1,437"),
        (quantities.number(0.031415), "0.0314"),
        (quantities.number(21757.6), "21,758"),
        (quantities.seconds(0.00294), "2.94 ms"),
        (quantities.seconds(3.14159), "3.14 s"),
        (quantities.seconds(151.0), "2.52 min"),
        (quantities.seconds(7200.0), "2 h"),
        (quantities.size(812345344), "774.7 MiB"),
        (quantities.size(3 * 2**40), "3 TiB"),
        (quantities.clock(75.9), "1:15"),
        (quantities.clock(3661), "1:01:01"),
    ],
)
def test_numbers_have_few_digits_and_a_unit(shown: str, expected: str) -> None:
    """Three significant digits, thousands separated, the unit that suits the size."""
    assert shown == expected
