"""Exports that the standard library, PyYAML, python-dotenv and transformers can read back."""

from __future__ import annotations

import ast
import io
import json
import math
import shlex
import subprocess
from collections.abc import Callable
from typing import Any, get_args

import dotenv
import pytest
import torch
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tuner.exports.answers import (
    ADAM,
    ADAM_DECAYED,
    ADAMW,
    HOSTILE,
    OPTIMIZERS,
    RMSPROP,
    SAMPLE_COUNTS,
    SGD,
    answer,
    hostile,
)
from tuner.exports.format import UnusableKeys
from tuner.exports.numbers import number
from tuner.exports.plan import UnusableAnswer
from tuner.exports.registry import FORMATS, FormatName, export
from tuner.exports.roles import ROLES
from tuner.workloads.optimizers import build_optimizer

RATES = [0.0314, 1e-05, 3e-4, 1.0, 5e-324, 2.5e-07, 123456789.125, 1e22]


def python_constants(text: str) -> dict[str, Any]:
    """The constants of a module, read without running it."""
    found = {}
    for statement in ast.parse(text.encode()).body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        found[target.id.lower()] = ast.literal_eval(statement.value)
    return found


def dotenv_values(text: str) -> dict[str, Any]:
    """The variables of a .env file, by our own names."""
    found = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=True)
    return {name.removeprefix("BATCHSCOUT_").lower(): value for name, value in found.items()}


def shell_values(text: str) -> dict[str, Any]:
    """The variables that a shell has after it has read a .env file; nothing else may happen."""
    script = f"set -eu\n{text}\nset | grep ^BATCHSCOUT_"
    done = subprocess.run(
        ["sh", "-c", script.replace("\0", "")], capture_output=True, text=True, check=True, env={}
    )
    pairs = (shlex.split(line)[0].split("=", 1) for line in done.stdout.splitlines())
    return {name.removeprefix("BATCHSCOUT_").lower(): value for name, value in pairs}


def github_outputs(text: str) -> dict[str, Any]:
    """The outputs of a step: no line may begin one of several lines."""
    lines = text.split("\n")
    assert lines.pop() == ""
    assert not any("<<" in line for line in lines)
    pairs = [line.split("=", 1) for line in lines]
    return {name.replace("-", "_"): value for name, value in pairs}


READERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "json": json.loads,
    "yaml": yaml.safe_load,
    "python": python_constants,
    "dotenv": dotenv_values,
    "github": github_outputs,
}


def test_the_names_of_the_formats_are_the_type() -> None:
    """What the OpenAPI document will list is what the registry has."""
    assert get_args(FormatName) == tuple(FORMATS)
    assert all(name == one.name and one.summary for name, one in FORMATS.items())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", READERS)
def test_every_number_reads_back_equal(name: str, rate: float) -> None:
    """Each reader gets the five numbers as the answer has them, whole numbers as such."""
    given = answer(learning_rate=rate, **SAMPLE_COUNTS)
    found = READERS[name](export(given, name).text)
    for role in ROLES:
        value = found[role] if not isinstance(found[role], str) else json.loads(found[role])
        assert (value, type(value)) == (given[role], type(given[role]))


def test_a_shell_reads_the_same_as_python_dotenv() -> None:
    """A .env file may be sourced: the variables are the same."""
    text = export(answer(learning_rate=1e-05), "dotenv").text
    assert shell_values(text) == dotenv_values(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e-05)
@example(-0.0)
def test_a_float_is_the_same_float_for_all(value: float) -> None:
    """YAML 1.1 and JSON read what Python wrote; none of them takes it for a text."""
    text = number(value)
    for found in (yaml.safe_load(text), json.loads(text), ast.literal_eval(text)):
        assert isinstance(found, float)
        assert math.copysign(1.0, found) == math.copysign(1.0, value)
        assert found == value


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", READERS)
def test_hostile_texts_stay_where_they_are(name: str, text: str) -> None:
    """A device's name or a warning adds no line, no variable and no statement."""
    found = READERS[name](export(hostile(text), name).text)
    assert [found[role] if name == "json" else float(found[role]) for role in ROLES] == [
        answer()[role] for role in ROLES
    ]
    known = READERS[name](export(answer(), name).text).keys()
    assert found.keys() == known
    encoded = export(hostile(text), name).text.encode()
    assert encoded.decode() == export(hostile(text), name).text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_runs_nothing_of_a_hostile_text(text: str) -> None:
    """What a sourced .env file sets is the five numbers, and it writes nothing else."""
    assert shell_values(export(hostile(text), "dotenv").text).keys() == set(ROLES)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_output_pasted_into_a_script_is_plain(text: str) -> None:
    """No value of a step's output has a character that a shell or an expression gives a meaning."""
    found = github_outputs(export(hostile(text), "github").text)
    assert not any(set(value) & set("\"'`$\\;&|<>{}*?[]!#~\n\r") for value in found.values())


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["accelerate", "torchtitan"])
def test_a_snippet_is_the_same_code_whatever_the_comments(name: str, text: str) -> None:
    """Between a hostile answer and a tame one with the same optimizer only comments differ."""
    tame = hostile("tame")
    found = [ast.dump(ast.parse(export(one, name).text.encode())) for one in (hostile(text), tame)]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", FORMATS)
def test_a_rate_that_was_not_measured_is_left_out_and_said(name: str) -> None:
    """A throughput-only answer gives the batch alone, and says so in the text or in the notes."""
    written = export(answer(learning_rate=None, evidence="throughput_only"), name)
    if name == "json":
        assert json.loads(written.text)["learning_rate"] is None
        return
    said = " ".join(line.lstrip("# ") for line in written.text.splitlines() if line[:1] == "#")
    assert "learning rate is left out" in " ".join((said, *written.notes))
    code = [line for line in written.text.splitlines() if not line.startswith("#")]
    rates = [line for line in code if "learning" in line.lower() or '"lr"' in line or "lr=" in line]
    assert rates == (["learning-rate="] if name == "github" else [])


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_numbers_rest_on_is_said(name: str) -> None:
    """Where there is room, all that was measured; else at least the warnings beside the text."""
    written = export(answer(), name)
    if name == "json":
        return
    said = " ".join((*written.text.split(), *written.notes))
    assert "short_runs" in said
    if FORMATS[name].has_comments:
        for words in ("evidence: full", "A processor", "812345344 of 8589934592", "90.5 %"):
            assert words in said
        for words in ("8512.0 samples/s", "24 search trials", "fingerprint: sha256:bb"):
            assert words in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"micro_batch_size": "8; rm -rf /"}, "micro_batch_size"),
        ({"micro_batch_size": True}, "micro_batch_size"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps"),
        ({"global_batch_size": 145}, "is not global_batch_size 145"),
        ({"learning_rate": "1e-4"}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": 10**400}, "learning_rate"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"held_fixed": None}, "held_fixed"),
        ({"held_fixed": {"optimizer": None}}, "optimizer"),
    ],
)
def test_an_answer_that_is_none_is_refused(change: dict[str, Any], words: str) -> None:
    """Whatever somebody wrote into a lock file, no export makes numbers of it."""
    for name in FORMATS:
        with pytest.raises(UnusableAnswer, match=words):
            export(answer() | change, name)


def test_hydra_takes_the_users_keys() -> None:
    """Named keys replace the default ones and join them, in one line."""
    keys = {"learning_rate": "optimizer.lr", "global_batch_size": "+data.total"}
    assert export(answer(), "hydra", keys).text == (
        "train.batch_size=48 train.gradient_accumulation_steps=3 +data.total=144 "
        "optimizer.lr=0.0314\n"
    )


@pytest.mark.parametrize(
    "keys",
    [
        {"learning_rate": "a b"},
        {"learning_rate": "x=1 y"},
        {"learning_rate": "$(id)"},
        {"learning_rate": "a\n"},
        {"learning_rate": "~a"},
        {"learning_rate": ""},
        {"lr": "optim.lr"},
    ],
)
def test_a_key_that_is_none_is_refused(keys: dict[str, str]) -> None:
    """A key cannot add an override, a flag or a command, and a role has one of five names."""
    with pytest.raises(UnusableKeys):
        export(answer(), "hydra", keys)


def test_keys_are_for_hydra_alone() -> None:
    """Where a framework has keys of its own, a named one is refused, not ignored."""
    with pytest.raises(UnusableKeys, match="keys of its own"):
        export(answer(), "hf", {"learning_rate": "lr"})


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD, {"type": "SGD", "params": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-5}}),
        (ADAM_DECAYED, {"type": "Adam", "params": {"adam_w_mode": False, "weight_decay": 0.02}}),
        (ADAMW, {"type": "AdamW", "params": {"betas": [0.9, 0.95], "weight_decay": 0.1}}),
        (RMSPROP, {"type": "RMSprop", "params": {"alpha": 0.97, "momentum": 0.5}}),
    ],
)
def test_deepspeed_gets_the_optimizer_that_was_measured(
    optimizer: dict[str, Any], expected: dict[str, Any]
) -> None:
    """By type and options; its Adam is told not to be AdamW."""
    found = json.loads(export(answer(optimizer), "deepspeed").text)["optimizer"]
    assert found["type"] == expected["type"]
    assert found["params"].items() >= {"lr": 0.0314, **expected["params"]}.items()
    assert ("adam_w_mode" in found["params"]) == (found["type"] == "Adam")


@pytest.mark.parametrize("name", ["hf", "deepspeed", "torchtitan", "accelerate"])
def test_an_optimizer_without_a_name_there_is_left_out_and_said(name: str) -> None:
    """No other optimizer is put in its place."""
    written = export(answer({"kind": "lion"}), name)
    assert "optimizer" in " ".join((written.text, *written.notes))
    assert "left out" in " ".join((written.text, *written.notes))
    assert not any(word in written.text.lower() for word in ("lion", "adam", "sgd"))


def test_every_optimizer_is_written_for_accelerate_as_it_was_measured() -> None:
    """The call in the snippet makes the optimizer of the measurement, option by option."""
    model = torch.nn.Linear(2, 2)
    for optimizer in OPTIMIZERS:
        text = export(answer(optimizer), "accelerate").text
        call = text[text.index("optimizer = ") :]
        names: dict[str, Any] = {"torch": torch, "model": model}
        exec(call, names)  # noqa: S102 - what was exported a line ago
        ours = build_optimizer({"optimizer": optimizer}, model, 0.0314)
        assert type(names["optimizer"]) is type(ours)
        assert names["optimizer"].defaults == ours.defaults


def test_adam_without_decay_is_adamw_without_decay() -> None:
    """Trainer has no Adam: the one case in which both do the same is mapped, the other is not."""
    assert json.loads(export(answer(ADAM), "hf").text)["optim"] == "adamw_torch"
    assert "optim" not in json.loads(export(answer(ADAM_DECAYED), "hf").text)
