"""How much longer training takes than with the answer."""

import pytest

from batchscout.check.configuration import Role
from batchscout.check.judging import Tolerances, judge
from batchscout.check.verdict import Level, Verdict
from tests.batchscout.check.records import configuration, measured


def verdict(
    micro: int, passes: int, *, devices: int = 1, tolerance: float = 10.0, **answer: object
) -> Verdict:
    """Judge a batch."""
    config = configuration(
        micro_batch_size=micro, gradient_accumulation_steps=passes, data_parallel_size=devices
    )
    found = judge(config, measured(**answer), Tolerances(slow_down=tolerance))
    return next(one for one in found if one.code == "slow_down")


def test_the_answer_itself_is_not_slower() -> None:
    """Zero per cent, and no model is needed for that."""
    for changes in ({}, {"time_model": None}):
        found = verdict(8, 3, **changes)
        assert (found.level, found.numbers["slower_per_cent"]) == (Level.OK, 0.0)


def test_the_time_model_gives_the_per_cent() -> None:
    """T(96) = 100 (1 + 24/96) (0.24 + 0.96) = 150 s, T(24) = 96 s."""
    found = verdict(8, 12)
    assert found.numbers["slower_per_cent"] == pytest.approx(100 * (150 / 96 - 1))
    assert found.level is Level.ERROR
    assert "56.2 %" in found.detail


def test_the_tolerance_is_inclusive_and_the_teams() -> None:
    """What is exactly as slow as tolerated passes."""
    exact = verdict(8, 12).numbers["slower_per_cent"]
    assert isinstance(exact, float)
    assert verdict(8, 12, tolerance=exact).level is Level.OK
    assert verdict(8, 12, tolerance=exact - 0.01).level is Level.ERROR


def test_a_batch_that_is_faster_by_the_model_is_fine() -> None:
    """Per cent below 0 are no fault."""
    model = {
        "steps_minimum": 100.0,
        "critical_batch_size": 1000.0,
        "step_seconds": {"fixed": 0.24, "per_sample": 0.01},
    }
    found = verdict(8, 6, time_model=model)
    assert found.level is Level.OK
    assert isinstance(found.numbers["slower_per_cent"], float)
    assert found.numbers["slower_per_cent"] < 0


def test_passes_beyond_those_that_are_needed_cost_at_most_a_fixed_part_each() -> None:
    """1 x 24 has 21 passes more than 8 x 3: from nothing to 21 times 0.24 s of 0.48 s."""
    found = verdict(1, 24)
    assert found.numbers["slower_per_cent"] == pytest.approx(0.0)
    assert found.numbers["slower_at_most_per_cent"] == pytest.approx(100 * 21 * 0.24 / 0.48)
    assert found.level is Level.WARNING
    assert found.role is Role.GRADIENT_ACCUMULATION_STEPS


def test_fewer_passes_than_the_answer_are_not_charged() -> None:
    """A larger micro-batch at the same batch costs nothing by the model."""
    assert verdict(12, 2).level is Level.OK


@pytest.mark.parametrize(
    ("devices", "changes", "word"),
    [(1, {"time_model": None}, "no time model"), (2, {}, "--data-parallel-size")],
)
def test_what_the_model_does_not_cover_is_untold(
    devices: int, changes: dict[str, None], word: str
) -> None:
    """Without a model, or on another number of devices, nothing is said about the time."""
    found = verdict(8, 6, devices=devices, **changes)
    assert found.level is Level.UNTOLD
    assert word in found.detail
    assert found.numbers["slower_per_cent"] is None
