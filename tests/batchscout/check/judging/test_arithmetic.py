"""Whether batch sizes multiply, and what follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.judging.arithmetic import Batches, judge_arithmetic
from batchscout.check.verdict import Level
from tests.batchscout.check.records import configuration

Numbers = tuple[int | None, int | None, int | None, int | None]
MICRO, PASSES, DEVICES, BATCH = (
    Role.MICRO_BATCH_SIZE,
    Role.GRADIENT_ACCUMULATION_STEPS,
    Role.DATA_PARALLEL_SIZE,
    Role.GLOBAL_BATCH_SIZE,
)


def told(numbers: Numbers) -> dict[str, float]:
    """Name the numbers that are there."""
    roles = (MICRO, PASSES, DEVICES, BATCH)
    return {role.value: n for role, n in zip(roles, numbers, strict=True) if n is not None}


def four(batches: Batches) -> Numbers:
    """The four numbers of a result."""
    return (
        batches.micro_batch_size,
        batches.gradient_accumulation_steps,
        batches.data_parallel_size,
        batches.global_batch_size,
    )


@pytest.mark.parametrize(
    ("framework", "numbers", "level", "result"),
    [
        ("generic", (8, 3, 2, 48), Level.OK, (8, 3, 2, 48)),
        ("generic", (8, 3, 2, 24), Level.ERROR, (8, 3, 2, 24)),
        ("generic", (8, 3, 2, None), Level.OK, (8, 3, 2, 48)),
        ("generic", (8, 3, None, None), Level.OK, (8, 3, 1, 24)),
        ("generic", (8, None, None, None), Level.OK, (8, 1, 1, 8)),
        ("generic", (8, None, 2, 48), Level.OK, (8, 3, 2, 48)),
        ("generic", (8, None, None, 24), Level.OK, (8, 3, 1, 24)),
        ("generic", (None, 3, None, 24), Level.OK, (8, 3, 1, 24)),
        ("generic", (None, 3, 2, 48), Level.OK, (8, 3, 2, 48)),
        ("generic", (8, 3, None, 96), Level.OK, (8, 3, 4, 96)),
        ("generic", (8, 3, None, 100), Level.ERROR, (8, 3, None, 100)),
        ("generic", (None, None, None, 24), Level.UNTOLD, (None, None, None, 24)),
        ("generic", (None, None, None, None), Level.UNTOLD, (None, 1, 1, None)),
        ("deepspeed", (8, 3, None, 96), Level.OK, (8, 3, 4, 96)),
        ("deepspeed", (8, 3, None, 100), Level.ERROR, (8, 3, None, 100)),
        ("deepspeed", (8, None, None, 96), Level.UNTOLD, (8, None, None, 96)),
        ("deepspeed", (8, None, None, 100), Level.ERROR, (8, None, None, 100)),
        ("deepspeed", (None, 3, None, 96), Level.UNTOLD, (None, 3, None, 96)),
        ("deepspeed", (None, 3, 4, 96), Level.OK, (8, 3, 4, 96)),
    ],
)
def test_three_determine_the_fourth(
    framework: str, numbers: Numbers, level: Level, result: Numbers
) -> None:
    """What is missing follows or counts as 1; where neither is sure, it stays untold."""
    batches, verdict = judge_arithmetic(configuration(framework=framework, **told(numbers)))
    assert (verdict.level, four(batches)) == (level, result)


def test_what_is_assumed_is_said() -> None:
    """One device and one pass are named as assumptions, with the option that tells the first."""
    _, verdict = judge_arithmetic(configuration(micro_batch_size=8))
    assert "nothing tells data_parallel_size" in verdict.detail
    assert "--data-parallel-size" in verdict.detail
    assert "nothing tells gradient_accumulation_steps" in verdict.detail


def test_the_command_line_wins_over_the_file() -> None:
    """The number of devices of `--data-parallel-size` is the one that counts."""
    batches, _ = judge_arithmetic(configuration(micro_batch_size=8, data_parallel_size=2), 4)
    assert batches.global_batch_size == 32


@pytest.mark.parametrize(
    ("obstacle", "level", "batch"),
    [
        (Obstacle.INTERPOLATION, Level.UNTOLD, None),
        (Obstacle.COMPUTED, Level.UNTOLD, None),
        (Obstacle.AUTOMATIC, Level.OK, 24),
    ],
)
def test_a_global_batch_that_the_framework_fills_in_is_the_product(
    obstacle: Obstacle, level: Level, batch: int | None
) -> None:
    """Only `auto` means the product; what another place decides may be anything."""
    config = configuration(
        micro_batch_size=8, gradient_accumulation_steps=3, obstacles={BATCH: obstacle}
    )
    batches, verdict = judge_arithmetic(config)
    assert (verdict.level, batches.global_batch_size) == (level, batch)


@pytest.mark.parametrize("role", [MICRO, PASSES, DEVICES])
@pytest.mark.parametrize("with_batch", [True, False])
def test_what_the_file_bars_is_never_derived(role: Role, with_batch: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An interpolated factor is neither 1 nor what would make the product right."""
    values = told((8, 3, 1, 24 if with_batch else None))
    del values[role.value]
    batches, verdict = judge_arithmetic(
        configuration(**values, obstacles={role: Obstacle.INTERPOLATION})
    )
    assert verdict.level is Level.UNTOLD
    assert getattr(batches, role.value) is None


def test_devices_that_are_barred_can_be_told() -> None:
    """`--data-parallel-size` is the way out where a file leaves the devices to the machine."""
    config = configuration(micro_batch_size=8, obstacles={DEVICES: Obstacle.AUTOMATIC})
    assert judge_arithmetic(config)[1].level is Level.UNTOLD
    assert judge_arithmetic(config, 2)[0].global_batch_size == 16


SIZES = st.integers(1, 64)


@given(SIZES, SIZES, SIZES, st.sampled_from([MICRO, PASSES, DEVICES, BATCH]))
def test_any_three_give_back_the_fourth(
    micro: int, passes: int, devices: int, missing: Role
) -> None:
    """For every product, whichever of the four is left out."""
    whole = (micro, passes, devices, micro * passes * devices)
    values = told(whole)
    del values[missing.value]
    batches, verdict = judge_arithmetic(configuration(**values))
    assert verdict.level is Level.OK
    if missing is BATCH or missing not in batches.assumed:
        assert four(batches) == whole
