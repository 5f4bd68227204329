"""Architectures come from a committed table; configurations cannot load code or weights."""

from __future__ import annotations

from typing import Any

import pytest

from tuner.architectures import accepted, accepted_heads, check_config, head_of, verified_with
from tuner.errors import InvalidWorkload


def test_the_table_says_what_it_was_verified_with() -> None:
    """The table names a version, known architectures and nothing that is not causal."""
    assert verified_with().startswith("5.")
    table = accepted()
    assert {"causal_lm", "sequence_classification"} <= set(table["gpt2"])
    assert "image_classification" in table["vit"]
    assert "causal_lm" not in accepted_heads("bert")
    assert list(table) == sorted(table)


def test_heads_follow_from_task_and_inputs() -> None:
    """Images ask for another head than tokens; language models have their own."""
    assert head_of("causal_lm", images=False) == "causal_lm"
    assert head_of("regression", images=True) == "image_classification"
    assert head_of("classification", images=False) == "sequence_classification"


@pytest.mark.parametrize(
    ("model_type", "task"),
    [("gpt2", "causal_lm"), ("bert", "classification"), ("vit", "regression")],
)
def test_accepted_configurations(model_type: str, task: str) -> None:
    """Sizes, activations and an attention from the list pass."""
    config = {"n_layer": 2, "activation_function": "gelu_new", "attn_implementation": "sdpa"}
    check_config(model_type, config, task)


@pytest.mark.parametrize(
    ("model_type", "task"),
    [("gpt2x", "causal_lm"), ("", "causal_lm"), ("vit", "causal_lm"), ("../gpt2", "causal_lm")],
)
def test_other_architectures_are_refused(model_type: str, task: str) -> None:
    """A name off the list, or for another task, is refused where it stands."""
    with pytest.raises(InvalidWorkload) as caught:
        check_config(model_type, {}, task)
    assert caught.value.problem_code == "model_not_accepted"
    assert caught.value.pointer == "/model/model_type"


def _nested(depth: int) -> dict[str, Any]:
    return {"inner": _nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"_attn_implementation_internal": "x"}, "/_attn_implementation_internal"),
        ({"_name_or_path": "x"}, "/_name_or_path"),
        ({"auto_map": {}}, "/auto_map"),
        ({"trust_remote_code": True}, "/trust_remote_code"),
        ({"quantization_config": {}}, "/quantization_config"),
        ({"dtype": "bfloat16"}, "/dtype"),
        ({"text_config": {"auto_map": {}}}, "/text_config/auto_map"),
        ({"parts": [{}, {"trust_remote_code": False}]}, "/parts/1/trust_remote_code"),
        ({"attn_implementation": "evil/kernels"}, "/attn_implementation"),
        ({"attn_implementation": {"": "sdpa"}}, "/attn_implementation"),
        ({"experts_implementation": "eager"}, "/experts_implementation"),
        ({"text_config": {"attn_implementation": "paged"}}, "/text_config/attn_implementation"),
        ({"backbone": "resnet50"}, "/backbone"),
        ({"anything": "someone/repository"}, "/anything"),
        ({"a/b": {"_x": 1}}, "/a~1b/_x"),
    ],
)
def test_keys_that_could_load_code_are_refused(config: dict[str, Any], pointer: str) -> None:
    """At any depth, and the problem points at the key."""
    with pytest.raises(InvalidWorkload) as caught:
        check_config("gpt2", config, "causal_lm")
    assert caught.value.problem_code == "config_key_refused"
    assert caught.value.pointer == f"/model/config{pointer}"


def test_deep_nesting_is_refused() -> None:
    """A configuration cannot exhaust the stack."""
    with pytest.raises(InvalidWorkload, match="levels deep"):
        check_config("gpt2", _nested(20), "causal_lm")


@pytest.mark.parametrize("config", [{"n_layer": 10**6}, {"vocab_size": 10**12}, {"a": [2**40]}])
def test_wild_integers_are_refused(config: dict[str, Any]) -> None:
    """Depths and sizes that would fill memory before anything is built are refused."""
    with pytest.raises(InvalidWorkload) as caught:
        check_config("gpt2", config, "causal_lm")
    assert caught.value.problem_code == "model_too_large"
