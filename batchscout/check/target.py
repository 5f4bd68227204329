"""What `--fix` should write: the answer, at the number of devices that a file is for.

The global batch of the answer is kept, since its learning rate was measured there. What a
file does not hold stays as it is where the rest can make up for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from batchscout.check.configuration import Configuration, Role
from batchscout.check.judging.arithmetic import DEVICES_OPTION, Batches
from batchscout.check.measured import Measured


class Impossible(Exception):
    """The answer cannot be written for this configuration; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A way to run the answer's global batch."""

    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int


def target(
    configuration: Configuration, batches: Batches, measured: Measured
) -> Mapping[Role, float]:
    """Work out which values a configuration should have.

    Args:
        configuration: What the file says.
        batches: Its batch sizes.
        measured: The answer.

    Returns:
        Values that differ from those of the file, the learning rate among them.

    Raises:
        Impossible: No values that fit multiply to the answer's batch, or something that is
            needed is decided elsewhere.
    """
    plan = _plan(configuration, batches, measured)
    wanted: dict[Role, float] = {
        Role.MICRO_BATCH_SIZE: plan.micro_batch_size,
        Role.GRADIENT_ACCUMULATION_STEPS: plan.gradient_accumulation_steps,
    }
    if Role.GLOBAL_BATCH_SIZE in configuration.settings:
        wanted[Role.GLOBAL_BATCH_SIZE] = measured.global_batch_size
    if measured.learning_rate is not None and Role.LEARNING_RATE in configuration.settings:
        wanted[Role.LEARNING_RATE] = measured.learning_rate
    return {
        role: value
        for role, value in wanted.items()
        if not _is_right(configuration, batches, role, value)
    }


def plan(
    measured: Measured,
    *,
    data_parallel_size: int,
    micro_batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
) -> Plan:
    """Split the answer's global batch over devices and passes.

    Args:
        measured: The answer.
        data_parallel_size: How many devices there are.
        micro_batch_size: If it has to stay as it is.
        gradient_accumulation_steps: If they have to stay as they are.

    Returns:
        A plan whose product is the answer's global batch and that fits into memory: with the
        answer's micro-batch where it divides, else the largest one that was seen to fit.

    Raises:
        Impossible: There is none.
    """
    batch, largest = measured.global_batch_size, measured.max_micro_batch_size
    if batch % data_parallel_size:
        raise Impossible(
            f"{batch} samples per step, the answer's batch, cannot be shared by "
            f"{data_parallel_size} devices: lock an answer for a batch that they divide"
        )
    share = batch // data_parallel_size
    held = [one for one in (micro_batch_size, gradient_accumulation_steps) if one is not None]
    if share % math.prod(held) or (len(held) > 1 and share != math.prod(held)):
        raise Impossible(f"{share} samples per device and step are no multiple of what is fixed")
    if micro_batch_size is not None:
        micro = micro_batch_size
    elif gradient_accumulation_steps is not None:
        micro = share // gradient_accumulation_steps
    elif share % measured.micro_batch_size == 0:
        micro = measured.micro_batch_size
    else:
        micro = _largest_divisor(share, largest)
    if micro > largest:
        raise Impossible(f"micro_batch_size {micro} is more than {largest}, the most that fits")
    return Plan(
        micro_batch_size=micro,
        gradient_accumulation_steps=share // micro,
        data_parallel_size=data_parallel_size,
    )


def _plan(configuration: Configuration, batches: Batches, measured: Measured) -> Plan:
    """Choose the plan that the file can hold; the plain one if none is."""
    devices = _devices(configuration, batches)
    for role in (Role.MICRO_BATCH_SIZE, Role.GRADIENT_ACCUMULATION_STEPS):
        if role in configuration.untellable:
            raise Impossible(f"{role} is not told by the file, so nothing can be written there")
    micro = _fixed(configuration, batches, Role.MICRO_BATCH_SIZE)
    passes = _fixed(configuration, batches, Role.GRADIENT_ACCUMULATION_STEPS)
    try:
        return plan(
            measured,
            data_parallel_size=devices,
            micro_batch_size=micro,
            gradient_accumulation_steps=passes,
        )
    except Impossible:
        return plan(measured, data_parallel_size=devices)


def _devices(configuration: Configuration, batches: Batches) -> int:
    if batches.data_parallel_size is not None:
        return batches.data_parallel_size
    is_open = Role.DATA_PARALLEL_SIZE in configuration.untellable
    if is_open or configuration.framework == "deepspeed":
        raise Impossible(f"the number of devices is not told: say it with {DEVICES_OPTION}")
    return 1


def _fixed(configuration: Configuration, batches: Batches, role: Role) -> int | None:
    """What a role has to stay at: None where the file holds it and it may be written."""
    setting = configuration.settings.get(role)
    if setting is None:
        now: int | None = getattr(batches, role)
        return None if _follows(configuration, role) else now
    may_be_written = setting.place is not None and setting.unpatchable is None
    return None if may_be_written else int(setting.value)


def _follows(configuration: Configuration, role: Role) -> bool:
    """Whether a role that the file leaves out follows from the global batch that it holds."""
    factors = {Role.MICRO_BATCH_SIZE, Role.GRADIENT_ACCUMULATION_STEPS}
    told = configuration.settings.keys()
    return Role.GLOBAL_BATCH_SIZE in told and factors - told == {role}


def _is_right(configuration: Configuration, batches: Batches, role: Role, value: float) -> bool:
    """Whether a role has a value already, or will have it when the others are written."""
    setting = configuration.settings.get(role)
    if setting is not None:
        return setting.value == value
    return _follows(configuration, role) or getattr(batches, role) == value


def _largest_divisor(number: int, limit: int) -> int:
    small = [one for one in range(1, math.isqrt(number) + 1) if number % one == 0]
    return max(one for d in small for one in (d, number // d) if one <= limit)
