"""What a keeper loads before it forks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workers.preload import worth_loading

from .conftest import workload

SGD = {"optimizer": {"kind": "sgd"}}
SKLEARN = {"kind": "sklearn", "name": "iris"}


def test_libraries_follow_from_the_workload() -> None:
    """Each kind of data and model names what it will load, and nothing else is named."""
    assert worth_loading(workload()) == ()
    bundled = replace(workload(), training=SGD, dataset=SKLEARN)
    assert worth_loading(bundled) == ("torch._dynamo", "sklearn.datasets")
    gpt2 = replace(workload(), model={"kind": "hf_config", "model_type": "gpt2"})
    assert "transformers.models.gpt2.modeling_gpt2" in worth_loading(gpt2)


@pytest.mark.parametrize("model_type", ["../evil", "a.b", "", "A"])
def test_a_strange_model_type_names_no_module(model_type: str) -> None:
    """Nothing of a request that is not a plain name becomes the name of a module."""
    model = {"kind": "hf_config", "model_type": model_type}
    assert all("evil" not in n and n.count(".models.") <= 1 for n in _modelling(model))
    assert len(_modelling(model)) == 2


def test_user_code_is_never_loaded_before() -> None:
    """An entry point runs in a child only."""
    mine = {"kind": "entrypoint", "target": "mine.models:build"}
    both = replace(workload(), model=mine, dataset=mine)
    assert worth_loading(both) == ()


def _modelling(model: dict) -> tuple[str, ...]:
    return worth_loading(replace(workload(), model=model))
