"""The next size by a replay: what it is asked for, and what is made of its promise."""

from __future__ import annotations

from dataclasses import replace

from tests.tuner.deciding.memory_laws import Law, run
from tuner.deciding import replayed
from tuner.deciding.feasibility import Budget
from tuner.deciding.probing import probe
from tuner.deciding.replayed import Question
from tuner.records import MemoryMeasurement

LIMIT = 22_000_000
BUDGET = Budget.of(LIMIT, margin=0.03, upper=4096)
LAW = Law(fixed=2_000_000, slope=100_000)


def ran(size: int, *, retries: int = 0) -> MemoryMeasurement:
    """Run a size on a device that records what it is asked for."""
    result = replace(run(LAW, size, LIMIT), allocation_retries=retries)
    return result if result.out_of_memory else replace(result, recording=f"of {size}")


def test_two_recordings_are_asked_about() -> None:
    """The two largest ones, above the largest size that fitted; the first time with care."""
    assert replayed.question([ran(50)], BUDGET, traced=True) is None
    assert replayed.question([ran(50), ran(100)], BUDGET, traced=True) == Question(
        recordings=("of 50", "of 100"), above=100, up_to=4096, careful=True
    )
    assert replayed.question([ran(50), ran(100), ran(150)], BUDGET, traced=True) == Question(
        recordings=("of 100", "of 150"), above=150, up_to=4096, careful=False
    )


def test_without_a_trace_care_lasts_one_trial_longer() -> None:
    """The third size is then only near the limit, and there are six trials instead of four."""
    three = [ran(2), ran(20), ran(150)]
    asked = replayed.question(three, BUDGET, traced=False)
    assert asked is not None
    assert asked.careful
    four = [*three, ran(170)]
    assert replayed.question(four, BUDGET, traced=True) is None
    assert replayed.is_exhausted(four, BUDGET, traced=True)
    asked = replayed.question(four, BUDGET, traced=False)
    assert asked is not None
    assert not asked.careful


def test_failures_bound_what_is_looked_at() -> None:
    """Out of memory by three per cent, too many live bytes by one sample, a hole not at all."""
    good = [ran(50), ran(100)]
    out = replayed.question([*good, ran(210)], BUDGET, traced=True)
    assert out is not None
    assert out.up_to == int(0.97 * 210)
    full = replayed.question([*good, ran(199)], BUDGET, traced=True)
    assert full is not None
    assert full.up_to == 198
    assert full.recordings == ("of 100", "of 199")
    hole = replayed.question([*good, ran(150, retries=2)], BUDGET, traced=True)
    assert hole is not None
    assert hole.up_to == 4096


def test_a_far_promise_is_not_run_at_once() -> None:
    """Beyond one and a half times what was recorded, four fifths of it are run first."""
    trials = [ran(2), ran(20)]
    assert replayed.next_size(150, trials, BUDGET) == 120
    assert replayed.next_size(29, trials, BUDGET) == 29


def test_small_gains_and_sizes_that_ran_are_not_run() -> None:
    """Less than two per cent is not worth a trial, nor is a size that was run before."""
    trials = [ran(100), ran(150)]
    assert replayed.next_size(152, trials, BUDGET) is None
    assert replayed.next_size(153, trials, BUDGET) == 153
    assert replayed.next_size(170, [*trials, ran(170, retries=1)], BUDGET) is None


def test_a_replay_that_can_tell_leads_the_search() -> None:
    """With a device that records, the promise after two trials is the third and last one."""
    asked: list[Question] = []

    def replay(question: Question) -> int:
        asked.append(question)
        return 190

    found = probe(lambda sizes: [LAW.predicted(s) for s in sizes], ran, replay, BUDGET)
    assert [trial.micro_batch_size for trial in found.trials][2:] == [190]
    assert found.max_micro_batch_size == 190
    assert [question.careful for question in asked] == [True, False]


def test_without_a_trace_four_trials_do() -> None:
    """Growth feels its way twice, then the promise is approached and run."""
    found = probe(None, ran, lambda question: 190 if question.careful else 192, BUDGET)
    sizes = [trial.micro_batch_size for trial in found.trials]
    assert sizes[-2:] == [152, 190]
    assert len(sizes) == 4


def test_a_replay_that_cannot_tell_leaves_it_to_the_curve() -> None:
    """A missing recording costs nothing but its help."""
    one = probe(lambda sizes: [LAW.predicted(s) for s in sizes], ran, lambda _: None, BUDGET)
    assert one.max_micro_batch_size >= 0.96 * (BUDGET.goal_bytes - 2_000_000) // 100_000
