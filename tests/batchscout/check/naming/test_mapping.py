"""`--map role=key` wins over the usual names."""

import shlex
from pathlib import Path

import pytest

from batchscout.check.configuration import Configuration, Obstacle, Role, UnreadableConfig
from batchscout.check.reading import read_configuration
from tests.batchscout.check.corpus import CONFIGS

MICRO, TOTAL, RATE = Role.MICRO_BATCH_SIZE, Role.GLOBAL_BATCH_SIZE, Role.LEARNING_RATE


def read(name: str, **mapping: str) -> Configuration:
    """Read a file of the corpus with keys that a person named."""
    keys = {Role(role): key for role, key in mapping.items()}
    return read_configuration(CONFIGS / name, mapping=keys)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("bad/several.yaml", "finetune.lr", 1e-4),
        ("generic/stages.toml", "stages[1].optim.lr", 3e-4),
        ("generic/stages.toml", "stages.1.optim.lr", 3e-4),
        ("generic/dotted.json", "optim.lr", 0.01),
        ("deepspeed/warmup.json", "scheduler.params.warmup_max_lr", 2e-4),
        ("bad/nested_value.yaml", "lr[1]", 0.01),
        ("hf/two_calls.py", "TrainingArguments#1(learning_rate)", 1e-3),
        ("hf/changed_later.py", "arguments.learning_rate", 3e-4),
        ("python/loader.py", "AdamW(lr)", 8e-4),
        ("generic/flat.yaml", "warmup_lr", 1e-4),
    ],
)
def test_a_named_key_is_the_one(name: str, key: str, value: float) -> None:
    """Whatever else could be meant, and whether or not its name is a usual one."""
    assert read(name, learning_rate=key).settings[RATE].value == value


def test_a_named_call_is_the_one_for_its_other_keywords_too() -> None:
    """To name one keyword of one call is to choose that call."""
    read_one = read("hf/two_calls.py", learning_rate="TrainingArguments#2(learning_rate)")
    assert {role: one.value for role, one in read_one.settings.items()} == {
        MICRO: 32,
        Role.GRADIENT_ACCUMULATION_STEPS: 1,
        RATE: 3e-4,
    }


def test_a_call_without_its_number_means_all_of_that_name() -> None:
    """Two are still two."""
    read_one = read("hf/two_calls.py", learning_rate="TrainingArguments(learning_rate)")
    assert read_one.untellable[RATE].obstacle is Obstacle.AMBIGUOUS


def test_a_key_given_to_one_role_is_no_candidate_for_another() -> None:
    """`train_batch_size` said to be the global batch is no micro-batch any more."""
    read_one = read("generic/two_meanings.yaml", global_batch_size="data.train_batch_size")
    assert read_one.settings[TOTAL].value == 512
    assert MICRO not in read_one.untellable
    assert MICRO not in read_one.settings


def test_a_named_key_may_still_be_untellable() -> None:
    """To name a key is not to know its value."""
    read_one = read("hydra/interpolated.yaml", micro_batch_size="train.batch_size")
    assert read_one.untellable[MICRO].obstacle is Obstacle.INTERPOLATION


def test_a_file_without_a_usual_name_is_read_by_a_named_one() -> None:
    """The way out that the refusal names is one."""
    read_one = read_configuration(
        Path("a.yaml"), mapping={MICRO: "loader.n"}, text="loader: {n: 12}\n"
    )
    assert read_one.settings[MICRO].value == 12


@pytest.mark.parametrize(
    ("name", "key", "near"),
    [
        ("hydra/config.yaml", "train.batchsize", "train.batch_size"),
        ("hydra/config.yaml", "lr", "optim.lr"),
        ("python/loader.py", "DataLoader(batchsize)", "DataLoader(batch_size)"),
        ("generic/stages.toml", "stages[2].optim.lr", "stages[0].optim.lr"),
    ],
)
def test_a_key_that_is_not_there_is_refused_with_near_ones(name: str, key: str, near: str) -> None:
    """A slip in a key costs one look, not a search."""
    with pytest.raises(UnreadableConfig) as raised:
        read(name, micro_batch_size=key)
    assert repr(key) in str(raised.value)
    assert near in str(raised.value)


def test_one_key_cannot_be_two_roles() -> None:
    """Both names of the key's roles are told."""
    with pytest.raises(UnreadableConfig, match="micro_batch_size and to global_batch_size"):
        read("generic/flat.yaml", micro_batch_size="batch_size", global_batch_size="batch_size")
    with pytest.raises(UnreadableConfig, match="micro_batch_size and to global_batch_size"):
        read(
            "generic/stages.toml",
            micro_batch_size="stages[0].optim.batch_size",
            global_batch_size="stages.0.optim.batch_size",
        )


def test_the_option_that_a_message_names_is_quoted_for_a_shell() -> None:
    """A key cannot smuggle a command into what people copy."""
    text = "\"x'; rm -r y; '\": {lr: 1}\nb: {lr: 2}\n"
    untold = read_configuration(Path("a.yaml"), mapping={}, text=text).untellable[RATE]
    option = untold.detail.partition("choose one: ")[2]
    assert shlex.split(option) == ["--map", "learning_rate=x'; rm -r y; '.lr"]
