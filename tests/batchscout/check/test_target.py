"""What `--fix` should write."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscout.check.configuration import Configuration, Obstacle, Role
from batchscout.check.judging.arithmetic import judge_arithmetic
from batchscout.check.target import Impossible, plan, target
from tests.batchscout.check.records import configuration, measured

SIZES = st.integers(1, 96)


@given(SIZES, SIZES, SIZES, SIZES)
def test_a_plan_multiplies_to_the_answers_batch_and_fits(
    micro: int, passes: int, more: int, devices: int
) -> None:
    """On any number of devices that divides it, with a micro-batch no larger than the maximum."""
    answer = measured(
        micro_batch_size=micro,
        gradient_accumulation_steps=passes,
        global_batch_size=micro * passes,
        max_micro_batch_size=micro + more,
    )
    if micro * passes % devices:
        with pytest.raises(Impossible):
            plan(answer, data_parallel_size=devices)
        return
    found = plan(answer, data_parallel_size=devices)
    sizes = (found.micro_batch_size, found.gradient_accumulation_steps, devices)
    assert math.prod(sizes) == micro * passes
    assert found.micro_batch_size <= micro + more


@given(SIZES, SIZES, SIZES, st.booleans())
def test_what_is_held_stays(micro: int, passes: int, held: int, holds_micro: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A factor that cannot be written is kept, or there is no plan; the product stays."""
    answer = measured(
        micro_batch_size=micro,
        gradient_accumulation_steps=passes,
        global_batch_size=micro * passes,
        max_micro_batch_size=2 * micro,
    )
    name = "micro_batch_size" if holds_micro else "gradient_accumulation_steps"
    other = micro * passes // held
    size = held if holds_micro else other
    if micro * passes % held or size > 2 * micro:
        with pytest.raises(Impossible):
            plan(answer, data_parallel_size=1, **{name: held})
        return
    found = plan(answer, data_parallel_size=1, **{name: held})
    assert getattr(found, name) == held
    assert found.micro_batch_size * found.gradient_accumulation_steps == micro * passes
    assert found.micro_batch_size <= 2 * micro


def wanted(config: Configuration, devices: int | None = None, **answer: object) -> dict[str, float]:
    """What should be written into a config."""
    batches, _ = judge_arithmetic(config, devices)
    return {
        role.value: value for role, value in target(config, batches, measured(**answer)).items()
    }


def test_all_that_the_file_holds_is_written() -> None:
    """The four numbers of the answer, where each has a place."""
    config = configuration(
        micro_batch_size=5, gradient_accumulation_steps=1, global_batch_size=5, learning_rate=1.0
    )
    assert wanted(config) == {
        "micro_batch_size": 8,
        "gradient_accumulation_steps": 3,
        "global_batch_size": 24,
        "learning_rate": 0.03,
    }


def test_what_is_right_already_is_left() -> None:
    """A config with the answer in it changes nothing."""
    config = configuration(micro_batch_size=8, gradient_accumulation_steps=3, learning_rate=0.03)
    assert wanted(config) == {}


def test_two_devices_share_the_answers_batch() -> None:
    """The global batch is kept, since the rate was measured there."""
    config = configuration(micro_batch_size=5, gradient_accumulation_steps=1, data_parallel_size=2)
    assert wanted(config) == {"micro_batch_size": 12}


@pytest.mark.parametrize(
    ("largest", "changes"),
    [
        (24, {"micro_batch_size": 24}),
        (16, {"micro_batch_size": 8, "gradient_accumulation_steps": 3}),
    ],
)
def test_a_default_that_is_not_in_the_file_is_kept_where_the_rest_can_make_up(
    largest: int, changes: dict[str, float]
) -> None:
    """One pass by default: 24 x 1 where that fits, else the line has to be added."""
    config = configuration(
        micro_batch_size=5,
        gradient_accumulation_steps=1,
        fixed=(Role.GRADIENT_ACCUMULATION_STEPS,),
    )
    assert wanted(config, max_micro_batch_size=largest) == changes


def test_what_follows_from_the_global_batch_needs_no_line() -> None:
    """A file with a global batch and a micro-batch alone gets those two."""
    config = configuration(micro_batch_size=5, global_batch_size=10)
    assert wanted(config) == {"micro_batch_size": 8, "global_batch_size": 24}


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (configuration(micro_batch_size=5, data_parallel_size=7), "7 devices"),
        (
            configuration(obstacles={Role.MICRO_BATCH_SIZE: Obstacle.INTERPOLATION}),
            "micro_batch_size",
        ),
        (
            configuration(framework="deepspeed", micro_batch_size=7, global_batch_size=10),
            "--data-parallel-size",
        ),
    ],
)
def test_what_cannot_be_written_is_said(config: Configuration, word: str) -> None:
    """Never a guess: an unknown number of devices or an interpolated factor ends it."""
    with pytest.raises(Impossible, match=word):
        wanted(config)


def test_an_untuned_rate_is_never_written() -> None:
    """An answer without a learning rate leaves that of the file alone."""
    config = configuration(micro_batch_size=5, gradient_accumulation_steps=1, learning_rate=1.0)
    assert "learning_rate" not in wanted(config, learning_rate=None)
