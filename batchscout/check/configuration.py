"""What a config says about a training run, and where in the file it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The five numbers that a config can hold; names as everywhere in batchscout."""

    MICRO_BATCH_SIZE = "micro_batch_size"
    GRADIENT_ACCUMULATION_STEPS = "gradient_accumulation_steps"
    DATA_PARALLEL_SIZE = "data_parallel_size"
    GLOBAL_BATCH_SIZE = "global_batch_size"
    LEARNING_RATE = "learning_rate"


class Obstacle(StrEnum):
    """Why the value of a role cannot be told from the file alone."""

    INTERPOLATION = "interpolation"
    """`${train.batch}`, `{{ batch }}`: another place decides."""
    ENVIRONMENT = "environment"
    """`${oc.env:BATCH}`, `$BATCH`, `!env`: the machine decides."""
    COMPUTED = "computed"
    """Code: a name, a call, an expression, `**more`."""
    AUTOMATIC = "automatic"
    """`auto`, `-1`: the framework decides when it starts."""
    AMBIGUOUS = "ambiguous"
    """Several keys could be meant."""
    NOT_A_NUMBER = "not_a_number"
    """Something else stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands in a file.

    Args:
        key: The way to it, for people: `train.per_device_batch`, or
            `TrainingArguments(learning_rate)`.
        line: From 1.
        column: From 1, in characters.
        start: Offset of the value's first character in the text.
        end: Offset behind its last one.
    """

    key: str
    line: int
    column: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A role whose value is known.

    Args:
        role: Which one.
        value: Its value; whole for all roles but the learning rate.
        place: Where it stands; None for a framework's default and for a command-line option.
        origin: For people: `the file`, `the default of TrainingArguments`, `--data-parallel-size`.
        unpatchable: Why `--fix` must not write there (an alias, an anchor, a merged mapping);
            None where it may.
    """

    role: Role
    value: float
    place: Place | None
    origin: str
    unpatchable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Untellable:
    """A role that the file speaks of without telling its value.

    Args:
        role: Which one.
        obstacle: What is in the way.
        detail: A sentence that names the key and the way out.
        place: Where; the first of several.
    """

    role: Role
    obstacle: Obstacle
    detail: str
    place: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One config file, read.

    Args:
        file: Its name, as it was given.
        framework: Whose words it uses: `hf`, `deepspeed`, `lightning`, `hydra`, `accelerate`,
            `batchscout`, or `generic`.
        text: The whole file.
        settings: What it tells.
        untellable: What it speaks of without telling; never a role of `settings`.
    """

    file: str
    framework: str
    text: str
    settings: Mapping[Role, Setting]
    untellable: Mapping[Role, Untellable]


class UnreadableConfig(Exception):
    """The file is no config that can be read; the message says why and what to change.

    Args:
        message: For people; names the file.
        line: Where, from 1, if that is known.
        untold: Whether the file is sound but cannot be told (exit 3), not wrong (exit 2).
    """

    def __init__(self, message: str, *, line: int | None = None, untold: bool = False) -> None:
        super().__init__(message)
        self.line = line
        self.untold = untold
