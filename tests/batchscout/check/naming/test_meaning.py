"""Whose words a file uses, and what is meant by them."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from batchscout.check.configuration import Configuration, Obstacle, Role
from batchscout.check.naming.hugging_face import in_file
from batchscout.check.naming.hugging_face_fields import FIELDS
from batchscout.check.reading import read_configuration
from batchscout.check.reading.json_text import json_entries

MICRO, STEPS = Role.MICRO_BATCH_SIZE, Role.GRADIENT_ACCUMULATION_STEPS
SIZE, RATE = Role.DATA_PARALLEL_SIZE, Role.LEARNING_RATE


def read(name: str, text: str) -> Configuration:
    """Read a text as if it stood in a file of that name."""
    return read_configuration(Path(name), mapping={}, text=text)


@pytest.mark.parametrize(
    "section", ["eval", "validation", "test_loader", "val", "data.predict", "inference"]
)
def test_what_is_about_evaluation_never_counts(section: str) -> None:
    """A batch for evaluating is no second meaning of the training's."""
    text = f"train: {{batch_size: 4, lr: 0.1}}\n{section}: {{batch_size: 64, lr: 1}}\n"
    read_one = read("a.yaml", text)
    assert (read_one.settings[MICRO].value, read_one.settings[RATE].value) == (4, 0.1)


def test_a_word_that_holds_another_is_not_that_one() -> None:
    """`latest` is no test, and `device` no development."""
    read_one = read("a.yaml", "latest: {device_batch_size: 4}\n")
    assert read_one.settings[MICRO].value == 4


def test_ends_of_a_schedule_are_no_rates_but_its_peak_is() -> None:
    """A peak in a schedule competes with the optimizer's rate, an end does not."""
    ends = read("a.yaml", "optim: {lr: 0.1}\nscheduler: {lr: 0.01, min_lr: 0.001}\n")
    assert ends.settings[RATE].value == 0.1
    peak = read("a.yaml", "optim: {lr: 0.1}\nscheduler: {max_lr: 0.4}\n")
    assert peak.untellable[RATE].obstacle is Obstacle.AMBIGUOUS


def test_equal_values_at_two_keys_are_still_two() -> None:
    """Which of them is read is not told by their being equal today."""
    untold = read("a.yaml", "a: {lr: 0.1}\nb: {lr: 0.1}\n").untellable[RATE]
    assert untold.obstacle is Obstacle.AMBIGUOUS
    assert "a.lr (line 1), b.lr (line 2)" in untold.detail


def test_an_unset_key_yields_to_a_set_one() -> None:
    """A null is what programs write for: not here."""
    assert read("a.yaml", "train: {lr: null}\noptim: {lr: 0.1}\n").settings[RATE].value == 0.1


@pytest.mark.parametrize(
    ("devices", "value"),
    [("2", 2), ("[0, 1, 3]", 3), ('"0,1"', 2), ('"3"', 3), ("[7]", 1)],
)
def test_lightning_devices_are_counted(devices: str, value: int) -> None:
    """A number, a list, or either as text."""
    text = f"trainer: {{accelerator: gpu, devices: {devices}}}\n"
    assert read("a.yaml", text).settings[SIZE].value == value


@pytest.mark.parametrize("devices", ["auto", "-1", '"-1"'])
def test_lightning_devices_of_the_machine_are_not_told(devices: str) -> None:
    """How many there are is known where it runs."""
    text = f"trainer: {{accelerator: gpu, devices: {devices}, num_nodes: 2}}\n"
    assert read("a.yaml", text).untellable[SIZE].obstacle is Obstacle.AUTOMATIC


def test_the_name_of_a_device_is_no_number_of_them() -> None:
    """`devices: cuda` says where, not how many."""
    read_one = read("a.yaml", "devices: cuda\nbatch_size: 4\n")
    assert SIZE not in read_one.settings
    assert SIZE not in read_one.untellable


@pytest.mark.parametrize(
    "call",
    [
        "TrainingArguments('out', 'x', learning_rate=1)",
        "TrainingArguments(*given, learning_rate=1)",
        "TrainingArguments('out', learning_rate=1, **more)",
    ],
)
def test_what_a_call_may_hide_is_not_told(call: str) -> None:
    """A default does not count where another argument may carry the role."""
    read_one = read("a.py", call)
    assert read_one.settings[RATE].value == 1
    assert {read_one.untellable[role].obstacle for role in (MICRO, STEPS)} == {Obstacle.COMPUTED}


def test_a_call_with_some_keywords_beside_one_without_is_not_told() -> None:
    """Of two calls, one names the rate and the other takes the default."""
    read_one = read("a.py", "TrainingArguments('a', learning_rate=1)\nTrainingArguments('b')\n")
    assert read_one.untellable[RATE].obstacle is Obstacle.AMBIGUOUS
    assert read_one.settings[MICRO].value == 8


def test_code_is_not_run(tmp_path: Path) -> None:
    """A file that would leave a trace when imported leaves none."""
    trace = tmp_path / "trace"
    file = tmp_path / "train.py"
    file.write_text(f"open({str(trace)!r}, 'w').close()\nlearning_rate = 1e-3\n")
    assert read_configuration(file, mapping={}).settings[RATE].value == 1e-3
    assert not trace.exists()


def test_a_file_with_other_keys_is_of_no_known_class() -> None:
    """Subclasses have other rates by default, so that none is assumed; the accumulation is 1."""
    text = '{"per_device_train_batch_size": 4, "max_prompt_length": 512}'
    read_one = read("a.json", text)
    assert RATE not in read_one.settings
    assert read_one.settings[STEPS].value == 1
    known = in_file(json_entries("a.json", '{"per_device_train_batch_size": 4}'))
    assert known is not None
    assert known.defaults[RATE].value == 5e-5


def test_reading_loads_no_parser_before_it_is_needed() -> None:
    """A fresh process that imports the reader has loaded none of them, and nothing heavy."""
    question = "import sys, batchscout.check.reading, batchscout.check.fixing;print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-S", "-c", question],
        cwd=Path(__file__).resolve().parents[4],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(run.stdout.split()) & {"yaml", "tomllib", "json", "difflib", "httpx", "rich"}


@pytest.mark.full
def test_the_defaults_are_those_of_the_installed_library() -> None:
    """Fields and defaults agree with transformers, for both classes whose defaults count."""
    transformers = pytest.importorskip("transformers", reason="the extra [hf] is not installed")
    known = in_file(json_entries("a.json", '{"num_train_epochs": 1}'))
    assert known is not None
    for name in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        fields = {one.name: one for one in dataclasses.fields(getattr(transformers, name))}
        assert set(fields) >= FIELDS
        assert fields["per_device_train_batch_size"].default == known.defaults[MICRO].value
        assert fields["gradient_accumulation_steps"].default == known.defaults[STEPS].value
        assert fields["learning_rate"].default == known.defaults[RATE].value
    own = {one.name for one in dataclasses.fields(transformers.TrainingArguments)}
    assert own == FIELDS
