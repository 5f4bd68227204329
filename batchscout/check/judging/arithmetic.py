"""Whether the batch sizes of a configuration multiply, and what follows from those it tells.

micro_batch_size x gradient_accumulation_steps x data_parallel_size = global_batch_size. Any
three determine the fourth. Accumulation and the number of devices count as 1 where the file
is silent and nothing determines them; that is said. What a file bars (an interpolation, code)
is neither assumed nor derived.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from batchscout.check.amounts import counted
from batchscout.check.configuration import Configuration, Role
from batchscout.check.judging.settled import is_barred, place_of, told
from batchscout.check.verdict import Level, Verdict

CODE: Final = "batch_arithmetic"
DEVICES_OPTION: Final = "--data-parallel-size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """The batch sizes of a configuration, as far as they are certain.

    Args:
        micro_batch_size: Samples per device and pass; None if it cannot be told.
        gradient_accumulation_steps: Passes; None if they cannot be told.
        data_parallel_size: Devices; None if they cannot be told.
        global_batch_size: The product; None if it cannot be told.
        assumed: Roles that count as 1 because nothing tells them.
        derived: Roles that follow from the others.
    """

    micro_batch_size: int | None
    gradient_accumulation_steps: int | None
    data_parallel_size: int | None
    global_batch_size: int | None
    assumed: tuple[Role, ...] = ()
    derived: tuple[Role, ...] = ()


def judge_arithmetic(
    configuration: Configuration, data_parallel_size: int | None = None
) -> tuple[Batches, Verdict]:
    """Work the batch sizes of a configuration out, and judge whether they multiply.

    Args:
        configuration: What the file says.
        data_parallel_size: As told on the command line; it wins over the file.

    Returns:
        The batch sizes, and the verdict on them.
    """
    batches = _told(configuration, data_parallel_size)
    if batches.global_batch_size is None:
        return _multiplied(configuration, batches)
    if is_barred(configuration, Role.MICRO_BATCH_SIZE):
        return batches, _untold(configuration, batches, Role.MICRO_BATCH_SIZE)
    return _divided(configuration, batches)


def _told(configuration: Configuration, data_parallel_size: int | None) -> Batches:
    devices = data_parallel_size or told(configuration, Role.DATA_PARALLEL_SIZE)
    return Batches(
        micro_batch_size=told(configuration, Role.MICRO_BATCH_SIZE),
        gradient_accumulation_steps=told(configuration, Role.GRADIENT_ACCUMULATION_STEPS),
        data_parallel_size=devices,
        global_batch_size=told(configuration, Role.GLOBAL_BATCH_SIZE),
    )


def _multiplied(configuration: Configuration, batches: Batches) -> tuple[Batches, Verdict]:
    """No global batch is told: it is the product of the others."""
    batches = _assuming(configuration, batches, Role.GRADIENT_ACCUMULATION_STEPS)
    batches = _assuming(configuration, batches, Role.DATA_PARALLEL_SIZE)
    missing = _first_missing(batches)
    if is_barred(configuration, Role.GLOBAL_BATCH_SIZE):
        missing = missing or Role.GLOBAL_BATCH_SIZE
    if missing is not None:
        return batches, _untold(configuration, batches, missing)
    batches = replace(batches, global_batch_size=_product(batches))
    return batches, _ok(batches)


def _divided(configuration: Configuration, batches: Batches) -> tuple[Batches, Verdict]:
    """A global batch is told: what is missing follows from it, or it must be the product."""
    barred = [
        role
        for role in (Role.GRADIENT_ACCUMULATION_STEPS, Role.DATA_PARALLEL_SIZE)
        if is_barred(configuration, role) and getattr(batches, role) is None
    ]
    if (batches.global_batch_size or 0) % _product(batches):
        return batches, _error(configuration, batches)
    if barred:
        return batches, _untold(configuration, batches, barred[0])
    batches = _only_one_missing(configuration, batches)
    missing = [role for role in _FACTORS if getattr(batches, role) is None]
    if len(missing) > 1:
        return batches, _untold(configuration, batches, missing[0])
    if not missing:
        good = _product(batches) == batches.global_batch_size
        return batches, _ok(batches) if good else _error(configuration, batches)
    whole = (batches.global_batch_size or 0) // _product(batches)
    batches = replace(_with(batches, missing[0], whole), derived=(missing[0],))
    return batches, _ok(batches)


_FACTORS: Final = (
    Role.MICRO_BATCH_SIZE,
    Role.GRADIENT_ACCUMULATION_STEPS,
    Role.DATA_PARALLEL_SIZE,
)


def _only_one_missing(configuration: Configuration, batches: Batches) -> Batches:
    """Where two factors are missing, assume one device; a DeepSpeed file never tells them."""
    missing = [role for role in _FACTORS if getattr(batches, role) is None]
    tells_something = Role.GRADIENT_ACCUMULATION_STEPS not in missing or (
        Role.MICRO_BATCH_SIZE not in missing
    )
    if len(missing) < 2 or not tells_something or configuration.framework == "deepspeed":  # noqa: PLR2004 - one is derived
        return batches
    return _assuming(configuration, batches, Role.DATA_PARALLEL_SIZE)


def _assuming(configuration: Configuration, batches: Batches, role: Role) -> Batches:
    """Count a role as 1 where the file does not speak of it at all."""
    if getattr(batches, role) is not None or role in configuration.untellable:
        return batches
    return replace(_with(batches, role, 1), assumed=(*batches.assumed, role))


def _with(batches: Batches, role: Role, value: int) -> Batches:
    changed: dict[str, Any] = {role.value: value}
    return replace(batches, **changed)


def _first_missing(batches: Batches) -> Role | None:
    return next((role for role in _FACTORS if getattr(batches, role) is None), None)


def _product(batches: Batches) -> int:
    product = 1
    for role in _FACTORS:
        product *= getattr(batches, role) or 1
    return product


def _numbers(batches: Batches) -> dict[str, int | None]:
    return {role.value: getattr(batches, role) for role in (*_FACTORS, Role.GLOBAL_BATCH_SIZE)}


def _written(batches: Batches) -> str:
    factors = [getattr(batches, role) for role in _FACTORS]
    return " x ".join("?" if factor is None else str(factor) for factor in factors)


def _ok(batches: Batches) -> Verdict:
    sentences = [f"{_written(batches)} = {batches.global_batch_size} samples per step"]
    sentences += [f"{role} {getattr(batches, role)} follows" for role in batches.derived]
    sentences += [f"nothing tells {role}, so it counts as 1" for role in batches.assumed]
    if Role.DATA_PARALLEL_SIZE in batches.assumed:
        sentences[-1] += f" ({DEVICES_OPTION} tells it)"
    return Verdict(
        code=CODE,
        level=Level.OK,
        detail="; ".join(sentences) + ".",
        numbers=_numbers(batches),
    )


def _error(configuration: Configuration, batches: Batches) -> Verdict:
    product = _product(batches)
    known = [role for role in _FACTORS if getattr(batches, role) is not None]
    names = " x ".join(f"{role} {getattr(batches, role)}" for role in known)
    if len(known) == len(_FACTORS):
        fault = f"{names} is {product}, but the file says global_batch_size "
        fault += f"{batches.global_batch_size}"
    else:
        fault = f"global_batch_size {batches.global_batch_size} is no multiple of {names}"
        fault += f" ({product})" if len(known) > 1 else ""
    assumed = (
        f" Nothing tells the number of devices, so one was assumed: {DEVICES_OPTION} tells it."
        if Role.DATA_PARALLEL_SIZE in batches.assumed
        else ""
    )
    return Verdict(
        code=CODE,
        level=Level.ERROR,
        detail=f"{fault}.{assumed} Change one of them, or let --fix write all.",
        numbers=_numbers(batches) | {"product": product},
        role=Role.GLOBAL_BATCH_SIZE,
        place=place_of(configuration, Role.GLOBAL_BATCH_SIZE),
    )


def _untold(configuration: Configuration, batches: Batches, role: Role) -> Verdict:
    if role is Role.DATA_PARALLEL_SIZE:
        way_out = f"say the number of devices with {DEVICES_OPTION}"
    elif role in configuration.untellable:
        way_out = "see the verdict on that value"
    elif configuration.framework == "deepspeed" and batches.global_batch_size is not None:
        way_out = f"say the number of devices with {DEVICES_OPTION}, so that it follows"
    else:
        way_out = f"name its key with --map {role}=KEY"
    known = counted(len([r for r in _FACTORS if getattr(batches, r) is not None]), "factor")
    return Verdict(
        code=CODE,
        level=Level.UNTOLD,
        detail=f"The file does not tell {role} ({known} of 3 known: {_written(batches)}): "
        f"{way_out}.",
        numbers=_numbers(batches),
        role=role,
        place=place_of(configuration, role),
    )
