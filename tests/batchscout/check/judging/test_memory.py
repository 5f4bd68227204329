"""Whether a micro-batch fits."""

import pytest

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.judging.arithmetic import judge_arithmetic
from batchscout.check.judging.memory import judge_memory
from batchscout.check.verdict import Level, Verdict
from tests.batchscout.check.records import configuration, measured, point, refused


def verdict(micro: int | None, *, accumulation: int = 1, **answer: object) -> Verdict:
    """Judge a micro-batch against an answer."""
    values = {} if micro is None else {"micro_batch_size": micro}
    config = configuration(**values, gradient_accumulation_steps=accumulation)
    batches, _ = judge_arithmetic(config)
    return judge_memory(config, batches, measured(**answer))


@pytest.mark.parametrize(
    ("micro", "level", "needed", "at_most"),
    [
        (1, Level.OK, None, 5_000),
        (8, Level.OK, 5_000, 5_000),
        (9, Level.OK, None, 8_000),
        (16, Level.OK, 8_000, 8_000),
        (17, Level.OK, 8_375, 8_500),
        (20, Level.OK, 9_500, 10_000),  # the bound is the limit itself
        (21, Level.UNTOLD, 9_875, 10_500),
        (22, Level.ERROR, 10_250, 11_000),
        (4_000, Level.ERROR, 1_502_000, 2_000_000),
    ],
)
def test_what_was_run_is_known_and_what_lies_beyond_is_bounded(
    micro: int, level: Level, needed: int | None, at_most: int
) -> None:
    """The line through the two largest points estimates, proportional growth bounds."""
    found = verdict(micro)
    assert found.level is level
    assert found.numbers["needed_bytes"] == needed
    assert found.numbers["needed_at_most_bytes"] == at_most
    assert found.numbers["available_bytes"] == 10_000


def test_an_error_names_both_numbers_and_the_way_out() -> None:
    """Bytes needed and available stand in the sentence, and the size that fits."""
    found = verdict(22)
    assert "10.01 KiB" in found.detail
    assert "9.766 KiB" in found.detail
    assert "16" in found.detail
    assert found.role is Role.MICRO_BATCH_SIZE
    assert found.place is not None


@pytest.mark.parametrize(("micro", "level"), [(18, Level.OK), (19, Level.ERROR), (64, Level.ERROR)])
def test_a_size_that_ran_out_of_memory_bars_all_from_there_on(micro: int, level: Level) -> None:
    """Even where the bound would let it pass: what happened counts."""
    curve = [point(8, 5_000), point(16, 8_000), refused(19)]
    assert verdict(micro, memory_curve=curve).level is level


def test_a_size_that_ran_but_was_not_taken_does_not_fit() -> None:
    """The maximum is the largest that fitted, so one above it that ran left no margin."""
    curve = [point(8, 5_000), point(16, 8_000), point(18, 9_000)]
    assert verdict(18, memory_curve=curve).level is Level.ERROR


def test_one_measured_point_borrows_the_slope_of_the_prediction() -> None:
    """The level is what was measured, the growth is what was predicted."""
    curve = [point(8, None, predicted=4_000), point(16, 8_000, predicted=7_200)]
    found = verdict(22, memory_curve=curve)
    assert found.numbers["needed_bytes"] == 8_000 + 6 * 400
    assert found.level is Level.ERROR


def test_a_single_point_is_no_line() -> None:
    """With nothing about growth the bound alone decides, and what it leaves open is untold."""
    assert verdict(20, memory_curve=[point(16, 8_000)]).level is Level.OK
    assert verdict(21, memory_curve=[point(16, 8_000)]).level is Level.UNTOLD


def test_without_any_measured_point_only_the_maximum_is_known() -> None:
    """A curve that was only predicted judges nothing beyond it."""
    curve = [point(16, None, predicted=8_000)]
    assert verdict(16, memory_curve=curve).level is Level.OK
    assert verdict(17, memory_curve=curve).level is Level.UNTOLD


def test_accumulation_takes_no_memory() -> None:
    """A hundred passes need what one needs."""
    assert verdict(16, accumulation=100) == verdict(16)


def test_a_batch_that_nobody_tells_is_untold() -> None:
    """No number, no verdict: the way out is to name the key."""
    found = verdict(None)
    assert found.level is Level.UNTOLD
    assert "--map micro_batch_size=KEY" in found.detail


def test_a_batch_that_something_bars_points_to_what_does() -> None:
    """A second `--map` would not help where the key is known and its value is not."""
    config = configuration(obstacles={Role.MICRO_BATCH_SIZE: Obstacle.INTERPOLATION})
    batches, _ = judge_arithmetic(config)
    found = judge_memory(config, batches, measured())
    assert found.level is Level.UNTOLD
    assert "see the verdict on that value" in found.detail
