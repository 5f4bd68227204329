"""Predictions for cards: what they promise, and what cannot be predicted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tuner.measuring.subjects import nobody
from tests.tuner.measuring.tracing.cases import ARCHITECTURES
from tests.tuner.measuring.tracing.subjects import (
    CARD,
    HOST,
    builtin,
    entrypoint,
    places_of,
    workload_of,
)
from tuner import architectures
from tuner.errors import InvalidWorkload
from tuner.measuring.allocating.allocator import CachingAllocator
from tuner.measuring.dispatch import Measuring
from tuner.measuring.tracing import predict
from tuner.measuring.tracing.trace import Tracer
from tuner.records import MemoryTrace, decode, encode

SIZES = [1, 2, 4, 8, 16, 32]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Places that allow the entry points of the tests."""
    return places_of(tmp_path_factory.mktemp("artifacts"))


@pytest.mark.parametrize("name", ["mlp", "cnn_batch_norm", "transformer", "mixtral"])
@pytest.mark.parametrize("card", [HOST, CARD], ids=["host", "card"])
def test_more_samples_never_take_less(name, card, places):
    """Live bytes grow with the micro-batch; reserved and total bytes lie above them."""
    predicted = predict(ARCHITECTURES[name], places, SIZES, 1, card)
    assert [point.micro_batch_size for point in predicted.points] == SIZES
    live = [point.live_bytes for point in predicted.points]
    assert live == sorted(live)
    for point in predicted.points:
        assert point.reserved_bytes >= point.live_bytes
        outside = card.context_bytes + card.library_bytes
        assert point.total_bytes == point.reserved_bytes + outside


def test_the_parts_add_up(places):
    """Parameters, gradients, state and data are told apart, and activations per sample."""
    workload = workload_of(builtin("mlp", hidden=[256, 256]), [64], samples=400)
    predicted = predict(workload, places, [512, 1024], 1, CARD)
    values = 64 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10
    assert predicted.parameter_bytes == predicted.gradient_bytes == 4 * values
    assert predicted.optimizer_state_bytes == 2 * 4 * values
    assert predicted.data_bytes == 400 * (64 * 4 + 8)
    # Inputs, two linear layers and two rectified ones at least are kept of every sample.
    assert predicted.activation_bytes_per_sample >= 4 * (64 + 2 * 256)
    one = predict(workload, places, [1024], 1, CARD)
    assert one.activation_bytes_per_sample == pytest.approx(
        predicted.activation_bytes_per_sample, rel=0.2
    )


def test_accumulation_holds_gradients(places):
    """With several passes a gradient is alive while the next one is computed."""
    workload = workload_of(builtin("mlp", hidden=[512, 512]), [16])
    once = predict(workload, places, [4], 1, HOST)
    twice = predict(workload, places, [4], 2, HOST)
    grown = twice.points[0].forward_backward_bytes - once.points[0].forward_backward_bytes
    assert grown > 0
    assert twice.points[0].optimizer_bytes == pytest.approx(
        once.points[0].optimizer_bytes, rel=0.01
    )


def test_multi_tensor_updates_take_more_than_a_loop(places):
    """A card updates all weights at once, with temporaries for all of them."""
    workload = workload_of(builtin("mlp", hidden=[256] * 10), [16])
    loop = predict(workload, places, [1], 1, HOST).points[0]
    at_once = predict(workload, places, [1], 1, CARD).points[0]
    weights = predict(workload, places, [1], 1, HOST).parameter_bytes
    assert at_once.optimizer_bytes > loop.optimizer_bytes + 0.5 * weights


def test_checkpointing_and_half_precision_save_activations(places):
    """Both take less per sample than keeping all activations in float32, on a card too."""
    workload = workload_of(
        builtin("transformer", width=64, depth=4), [64], high=64, task="causal_lm"
    )
    plain = predict(workload, places, [64, 128], 1, CARD)
    for option in ({"activation_checkpointing": True}, {"precision": "bf16"}):
        changed = replace(workload, training={**workload.training, **option})
        saved = predict(changed, places, [64, 128], 1, CARD)
        assert saved.activation_bytes_per_sample < 0.9 * plain.activation_bytes_per_sample


def test_large_data_stay_on_the_host_of_a_card(places):
    """Data beyond half of a card do not lie on it; on the CPU everything counts."""
    workload = workload_of(builtin("cnn"), [3, 16, 16], samples=50_000)
    small = replace(CARD, memory_bytes=2**26)
    assert predict(workload, places, [4], 1, small).data_bytes == 0
    assert predict(workload, places, [4], 1, small).points[0].live_bytes < 2**24
    assert predict(workload, places, [4], 1, CARD).data_bytes == 50_000 * (3 * 256 * 4 + 8)


def test_control_flow_on_values_is_told_not_raised(places):
    """A model that reads its own results gives no points, and the reason names what it did."""
    workload = workload_of(entrypoint("undecided"), [8])
    predicted = predict(workload, places, [4], 1, CARD)
    assert not predicted.traced
    assert predicted.points == ()
    assert "_local_scalar_dense" in predicted.reason
    # The process is as good as before.
    assert predict(ARCHITECTURES["mlp"], places, [4], 1, CARD).traced


@pytest.mark.parametrize(
    "model",
    [
        entrypoint("giant"),
        builtin("mlp", hidden=[1_000_000, 1_000_000]),
        {
            "kind": "hf_config",
            "model_type": "gpt2",
            "config": {"n_embd": 65536, "n_layer": 24, "n_head": 16},
        },
    ],
    ids=["entrypoint", "builtin", "transformers"],
)
def test_a_giant_is_refused_before_it_is_built(model, places):
    """A million times a million weights: a clear problem, and nothing was allocated."""
    tokens = model["kind"] == "hf_config"
    options = {"high": 64, "task": "causal_lm"} if tokens else {}
    with pytest.raises(InvalidWorkload) as raised:
        predict(workload_of(model, [8], **options), places, [4], 1, CARD)
    assert raised.value.problem_code == "model_too_large"


@pytest.mark.parametrize(("sizes", "accumulation"), [([0], 1), ([4, -1], 1), ([4], 0), ([], 1)])
def test_sizes_below_one_are_refused(sizes, accumulation, places):
    """A batch of nothing is the caller's mistake."""
    with pytest.raises(InvalidWorkload):
        predict(ARCHITECTURES["mlp"], places, sizes, accumulation, CARD)


def test_a_request_needs_no_device(places):
    """A prediction for a card is measured where there is none, and survives the codec."""
    workload = replace(ARCHITECTURES["cnn"], accelerator="cuda")
    request = MemoryTrace(
        id="trace", workload=workload, micro_batch_sizes=(2, 4), accumulation=1, card=CARD
    )
    assert decode(encode(request)) == request
    predicted = Measuring(places).measure(request, tightened=nobody)
    assert predicted.traced
    assert predicted.device_seconds > 0
    assert decode(encode(predicted)) == predicted


def test_events_replay_under_a_limit(places):
    """A trace's events run out of memory below the live peak, and never above the reserved."""
    tracer = Tracer(ARCHITECTURES["transformer"], places, CARD)
    events = tracer.trace(64, 1).events
    free = CachingAllocator().replay(events)
    assert not free.out_of_memory
    assert CachingAllocator(free.live_bytes // 2).replay(events).out_of_memory
    exactly = CachingAllocator(free.reserved_bytes).replay(events)
    assert (exactly.out_of_memory, exactly.retries) == (False, 0)
    assert exactly.peaks == free.peaks


@pytest.mark.parametrize("experts", ["auto", "eager", "batched_mm", "grouped_mm"])
def test_experts_multiply_as_the_training_says(experts, places, monkeypatch):
    """The setting reaches the architecture, and what depends on the values is not traced."""
    accepted = {"transformers_version": "any", "architectures": {"mixtral": ["causal_lm"]}}
    monkeypatch.setattr(architectures, "_table", lambda: accepted)
    config = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_local_experts": 4,
    }
    workload = workload_of(
        {"kind": "hf_config", "model_type": "mixtral", "config": config},
        [16],
        high=64,
        task="causal_lm",
        experts=experts,
    )
    tracer = Tracer(workload, places, HOST)
    if experts != "auto":
        assert tracer.material.model.config._experts_implementation == experts
    assert predict(workload, places, [4], 1, CARD).traced is (experts != "eager")
