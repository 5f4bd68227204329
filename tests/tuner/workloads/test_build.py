"""Models follow from their seed, fit their data, and cannot grow without bounds."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.tuner.workloads.samples import DIGITS, NOWHERE, TOKENS, data_of, workload
from tuner.errors import InvalidWorkload
from tuner.workloads import sizing
from tuner.workloads.build import build_model, device_of
from tuner.workloads.data import load_data
from tuner.workloads.forward import logits_of
from tuner.workloads.losses import build_criterion

IMAGES = data_of(torch.rand(6, 1, 8, 8), torch.arange(6) % 3, 3)
TEXT = data_of(torch.randint(20, (6, 12)), None, 20)
GPT2 = {"n_layer": 2, "n_embd": 16, "n_head": 2, "n_positions": 16}


def _builtin(name: str, **options: Any) -> dict[str, Any]:
    return {"kind": "builtin", "name": name, "options": options}


def _hf(model_type: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "hf_config", "model_type": model_type, "config": config}


def _state(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(
    "model",
    [
        _builtin("mlp"),
        _builtin("cnn"),
        _builtin("transformer", width=16),
        _hf(
            "vit",
            {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "patch_size": 4,
            },
        ),
    ],
    ids=["mlp", "cnn", "transformer", "vit"],
)
def test_weights_follow_from_the_seed_alone(model: dict[str, Any]) -> None:
    """The same seed gives the same weights, whatever was drawn before; another, others."""
    made = workload(model)
    one = build_model(made, IMAGES, seed=5, places=NOWHERE)
    torch.rand(100)
    random.random()
    before = torch.get_rng_state()
    again = build_model(made, IMAGES, seed=5, places=NOWHERE)
    assert torch.equal(torch.get_rng_state(), before)
    other = build_model(made, IMAGES, seed=6, places=NOWHERE)
    assert torch.equal(_state(one), _state(again))
    assert not torch.equal(_state(one), _state(other))
    assert one.training
    assert logits_of(one, IMAGES.train.inputs).shape == (6, 3)


@pytest.mark.parametrize("shape", [(5,), (7, 3), (2, 4, 6)], ids=["numbers", "sequences", "images"])
@pytest.mark.parametrize("name", ["mlp", "transformer"])
def test_builtin_models_read_any_shape(name: str, shape: tuple[int, ...]) -> None:
    """Perceptron and transformer take rows, sequences and images."""
    data = data_of(torch.rand(4, *shape), torch.rand(4, 2), 2)
    model = build_model(workload(name, task="regression"), data, seed=0, places=NOWHERE)
    assert logits_of(model, data.train.inputs).shape == (4, 2)


@pytest.mark.parametrize("sides", [(8, 8), (1, 9), (3, 2)])
def test_the_cnn_takes_more_blocks_than_it_can_halve(sides: tuple[int, int]) -> None:
    """Small images do not run out of pixels."""
    data = data_of(torch.rand(4, 2, *sides), torch.arange(4) % 2, 2)
    made = workload(_builtin("cnn", channels=[4, 4, 4, 4, 4]))
    model = build_model(made, data, seed=0, places=NOWHERE)
    assert logits_of(model, data.train.inputs).shape == (4, 2)


def test_the_cnn_refuses_what_is_no_image() -> None:
    """Rows of numbers have no neighbours to convolve."""
    data = data_of(torch.rand(4, 9), torch.arange(4) % 2, 2)
    with pytest.raises(InvalidWorkload) as caught:
        build_model(workload("cnn"), data, seed=0, places=NOWHERE)
    assert caught.value.problem_code == "shape_mismatch"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "model", [_builtin("transformer", width=16), _hf("gpt2", GPT2)], ids=["own", "gpt2"]
)
def test_language_models_are_causal(model: dict[str, Any], attention: str) -> None:
    """No position sees a later one, with and without a mask."""
    made = workload(model, TOKENS, task="causal_lm", attention=attention)
    built = build_model(made, TEXT, seed=0, places=NOWHERE).eval()
    tokens = TEXT.train.inputs
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 20
    mask = torch.ones_like(tokens)
    mask[0, 9:] = 0
    for given in (None, mask):
        one, two = logits_of(built, tokens, given), logits_of(built, changed, given)
        torch.testing.assert_close(one[:, :7], two[:, :7])
        assert not torch.allclose(one[:, 7:], two[:, 7:])


@pytest.mark.parametrize(
    "model", [_builtin("transformer", width=16), _hf("gpt2", GPT2)], ids=["own", "gpt2"]
)
def test_both_attentions_compute_the_same(model: dict[str, Any]) -> None:
    """Eager and fused attention differ by rounding alone, padding included."""
    mask = torch.ones(6, 12, dtype=torch.int64)
    mask[2, 5:] = 0
    scores = []
    for attention in ("eager", "sdpa"):
        made = workload(model, TOKENS, task="causal_lm", attention=attention)
        built = build_model(made, TEXT, seed=0, places=NOWHERE).eval()
        scores.append(logits_of(built, TEXT.train.inputs, mask)[mask.bool()])
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        _builtin("cnn", batch_norm=True, dropout=0.5),
        _builtin("mlp", hidden=[8, 8], dropout=0.5),
        _builtin("transformer", width=16, dropout=0.5),
    ],
    ids=["cnn", "mlp", "transformer"],
)
def test_checkpointing_changes_neither_gradients_nor_statistics(model: dict[str, Any]) -> None:
    """Activations that are computed again give the same gradients and running statistics."""
    made = [workload(model, activation_checkpointing=on) for on in (False, True)]
    results = []
    for one in made:
        built = build_model(one, IMAGES, seed=0, places=NOWHERE)
        torch.manual_seed(1)
        criterion = build_criterion(one.training, IMAGES)
        criterion.loss_sum(built, IMAGES.train.inputs, IMAGES.train.targets).backward()
        gradients = [p.grad for p in built.parameters() if p.grad is not None]
        buffers = [b for name, b in built.named_buffers() if "running" in name]
        results.append(gradients + buffers)
    torch.testing.assert_close(results[0], results[1])


def test_checkpointing_of_transformers_models() -> None:
    """An architecture of transformers switches to non-reentrant checkpoints."""
    made = workload(_hf("gpt2", GPT2), TOKENS, task="causal_lm", activation_checkpointing=True)
    model = build_model(made, TEXT, seed=0, places=NOWHERE)
    assert model.is_activation_checkpointing
    criterion = build_criterion(made.training, TEXT)
    criterion.loss_sum(model, TEXT.train.inputs, None).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_sizes_of_hf_models_come_from_the_data() -> None:
    """Vocabulary, classes and the cache follow from data and use."""
    model = build_model(
        workload(_hf("gpt2", GPT2), TOKENS, task="causal_lm"), TEXT, seed=0, places=NOWHERE
    )
    assert model.config.vocab_size == 20
    assert model.config.use_cache is False
    data = load_data(workload(dataset=TOKENS), NOWHERE)
    classifier = build_model(workload(_hf("gpt2", GPT2), TOKENS), data, seed=0, places=NOWHERE)
    assert logits_of(classifier, data.train.inputs).shape == (len(data.train), 3)


@pytest.mark.parametrize(
    ("config", "code", "pointer"),
    [
        ({"vocab_size": "many"}, "config_key_refused", "/model/config/vocab_size"),
        ({"vocab_size": 19}, "shape_mismatch", "/model/config/vocab_size"),
        ({"n_layers_": 2}, "config_key_refused", "/model/config/n_layers_"),
        ({"auto_map": {}}, "config_key_refused", "/model/config/auto_map"),
        ({"n_embd": 10, "n_head": 3}, "model_failed", "/model/config"),
        ({"n_embd": 2**16, "n_head": 2, "n_layer": 200}, "model_too_large", "/model"),
    ],
)
def test_hf_configurations_that_cannot_be_built(
    config: dict[str, Any], code: str, pointer: str
) -> None:
    """Each has its code and points at the key; what transformers raised keeps its traceback."""
    made = workload(_hf("gpt2", GPT2 | config), TOKENS, task="causal_lm")
    with pytest.raises(InvalidWorkload) as caught:
        build_model(made, TEXT, seed=0, places=NOWHERE)
    assert caught.value.problem_code == code
    assert caught.value.pointer == pointer
    assert (caught.value.problem.traceback is not None) == (code == "model_failed")


def test_too_few_labels_are_refused() -> None:
    """A head with fewer outputs than the data have classes cannot learn them."""
    data = load_data(workload(dataset=TOKENS), NOWHERE)
    made = workload(_hf("gpt2", GPT2 | {"num_labels": 2}), TOKENS)
    with pytest.raises(InvalidWorkload) as caught:
        build_model(made, data, seed=0, places=NOWHERE)
    assert caught.value.pointer == "/model/config/num_labels"


def test_an_image_architecture_does_not_read_text() -> None:
    """The head follows from the samples, and an architecture without it is not accepted."""
    data = load_data(workload(dataset=TOKENS), NOWHERE)
    with pytest.raises(InvalidWorkload) as caught:
        build_model(workload(_hf("vit", {}), TOKENS), data, seed=0, places=NOWHERE)
    assert caught.value.problem_code == "model_not_accepted"


def test_giants_are_refused_before_they_are_allocated() -> None:
    """A builtin model over the limit, in values or in tensors, is found on the meta device."""
    wide = workload(_builtin("mlp", hidden=[65536, 65536, 65536]))
    with pytest.raises(InvalidWorkload) as caught:
        build_model(wide, IMAGES, seed=0, places=NOWHERE)
    assert caught.value.problem_code == "model_too_large"


def test_building_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of endless depth is cut off while it is built, not afterwards."""
    monkeypatch.setattr(sizing, "MAX_PARAMETER_TENSORS", 100)
    made = []

    def endless() -> nn.Module:
        while True:
            made.append(nn.Linear(1, 1))

    with pytest.raises(InvalidWorkload) as caught:
        sizing.check_size(endless, pointer="/model")
    assert caught.value.problem_code == "model_too_large"
    assert len(made) <= 50
    nn.Linear(1, 1)  # the hook is gone: this would raise


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU is always there; a CUDA device that is not is named."""
    made = workload(dataset=DIGITS)
    assert device_of(made) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidWorkload, match="CUDA"):
        device_of(
            type(made)(**{f: getattr(made, f) for f in made.__slots__} | {"accelerator": "cuda"})
        )


def test_negative_tokens_are_padding_in_language_models_alone() -> None:
    """A classifier of tokens refuses ids below zero."""
    data = data_of(torch.tensor([[1, -1], [2, 3]]), torch.tensor([0, 1]), 2)
    with pytest.raises(InvalidWorkload) as caught:
        build_model(workload("transformer"), data, seed=0, places=NOWHERE)
    assert caught.value.problem_code == "labels_out_of_range"


def test_models_must_return_scores(tmp_path: Path) -> None:
    """A tuple is no scores, and the message says what is."""

    class Pair(nn.Module):
        def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return inputs, inputs

    with pytest.raises(TypeError, match="an object with"):
        logits_of(Pair(), torch.zeros(1, 2))


def test_no_token_of_a_language_model_is_taken_for_padding() -> None:
    """OPT pads with id 1, whose row is not learned; here id 1 is a token like any other."""
    config = {"hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = _hf("opt", config | {"word_embed_proj_dim": 16, "max_position_embeddings": 16})
    made = workload(model, TOKENS, task="causal_lm")
    built = build_model(made, TEXT, seed=0, places=NOWHERE)
    assert built.get_input_embeddings().padding_idx is None
