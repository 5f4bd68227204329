"""Whether a learning rate lies where it was measured to be good."""

import pytest

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.judging import Tolerances, judge
from batchscout.check.verdict import Level, Verdict
from tests.batchscout.check.records import configuration, measured


def verdict(
    rate: float | None, *, micro: int = 8, tolerance: float = 2.0, **answer: object
) -> Verdict:
    """Judge a rate at a batch of three passes."""
    values = {} if rate is None else {"learning_rate": rate}
    config = configuration(micro_batch_size=micro, gradient_accumulation_steps=3, **values)
    found = judge(config, measured(**answer), Tolerances(learning_rate=tolerance))
    return next(one for one in found if one.code == "learning_rate")


@pytest.mark.parametrize(
    ("rate", "level", "outside"),
    [
        (0.02, Level.OK, 1.0),
        (0.05, Level.OK, 1.0),
        (0.1, Level.WARNING, 2.0),
        (0.01, Level.WARNING, 2.0),
        (0.1001, Level.ERROR, 2.002),
        (0.0099, Level.ERROR, 0.02 / 0.0099),
        (30.0, Level.ERROR, 600.0),
    ],
)
def test_the_distance_to_the_nearer_edge_decides(rate: float, level: Level, outside: float) -> None:
    """Inside is fine, outside by a factor up to the tolerance is a warning, beyond an error."""
    found = verdict(rate)
    assert found.level is level
    assert found.numbers["outside_by_factor"] == pytest.approx(outside)


def test_the_tolerance_is_the_teams() -> None:
    """A team that wants no more than 1.5 has what others tolerate refused."""
    assert verdict(0.09, tolerance=1.5).level is Level.ERROR
    assert verdict(0.09, tolerance=2.0).level is Level.WARNING


def test_at_another_batch_nothing_was_measured() -> None:
    """The range holds at its own batch; elsewhere the best rate is another."""
    found = verdict(0.03, micro=7)
    assert found.level is Level.UNTOLD
    assert "24" in found.detail


def test_where_the_batch_is_refused_the_rate_is_only_mentioned() -> None:
    """The batch has to change first, and with it the rate."""
    found = verdict(0.03, micro=160)
    assert found.level is Level.WARNING


def test_a_rate_that_was_not_tuned_is_not_judged() -> None:
    """An answer about throughput alone has no rate to hold anything against."""
    found = verdict(7.0, learning_rate=None, learning_rate_range=None)
    assert (found.level, found.numbers["measured_learning_rate"]) == (Level.OK, None)


@pytest.mark.parametrize(
    ("rate", "level"), [(0.03, Level.OK), (0.05, Level.WARNING), (0.5, Level.UNTOLD)]
)
def test_without_a_range_only_the_rate_itself_is_known(rate: float, level: Level) -> None:
    """One measured rate says nothing about those far from it."""
    assert verdict(rate, learning_rate_range=None).level is level


def test_a_rate_that_nobody_tells_is_untold() -> None:
    """A file without a learning rate names the way out."""
    found = verdict(None)
    assert found.level is Level.UNTOLD
    assert "--map learning_rate=KEY" in found.detail


def test_an_obstacle_is_told_once_by_its_own_verdict() -> None:
    """The verdict on the value says what is in the way; faults of the file are errors."""
    for obstacle, level in [
        (Obstacle.ENVIRONMENT, Level.UNTOLD),
        (Obstacle.AMBIGUOUS, Level.ERROR),
        (Obstacle.NOT_A_NUMBER, Level.ERROR),
    ]:
        config = configuration(micro_batch_size=8, obstacles={Role.LEARNING_RATE: obstacle})
        found = judge(config, measured(), Tolerances())
        assert [one.level for one in found if one.code == "config"] == [level]
        not_tuned = measured(learning_rate=None)
        assert "config" not in {one.code for one in judge(config, not_tuned, Tolerances())}
