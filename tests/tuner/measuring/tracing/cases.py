"""The workloads whose predicted bytes are held against the bytes of a real trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.tuner.measuring.tracing.subjects import (
    THIS,
    builtin,
    configured,
    entrypoint,
    workload_of,
)
from tuner.records import Workload

TOKENS: dict[str, Any] = {"high": 64}
LANGUAGE: dict[str, Any] = {"high": 64, "task": "causal_lm"}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
WIDE = {**SMALL, "intermediate_size": 64}
STAGES = {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 2, 1]}
LANGUAGES, SEQUENCES, IMAGES = (
    f"AutoModelFor{head}" for head in ("CausalLM", "SequenceClassification", "ImageClassification")
)
IMAGE = [3, 32, 32]


def _with(workload: Workload, **training: Any) -> Workload:
    return replace(workload, training={**workload.training, **training})


def _architectures() -> dict[str, Workload]:
    gpt2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64, "n_positions": 32}
    special = {"bos_token_id": 1, "eos_token_id": 1}
    llama = {**WIDE, "num_key_value_heads": 2, "vocab_size": 64}
    t5 = {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 64}
    t5 |= {"vocab_size": 64, "decoder_start_token_id": 0, "eos_token_id": 1}
    mixture = {**llama, "num_local_experts": 4}
    batched = configured(LANGUAGES, "mixtral", **mixture)
    batched["kwargs"]["experts"] = "batched_mm"
    return {
        "mlp": workload_of(builtin("mlp", hidden=[64, 64]), [20], gradient_clip_norm=1.0),
        "cnn": workload_of(builtin("cnn", dropout=0.1), [3, 16, 16]),
        "cnn_batch_norm": workload_of(builtin("cnn", batch_norm=True), [3, 16, 16]),
        "transformer": workload_of(builtin("transformer", dropout=0.1), [32], **LANGUAGE),
        "lstm": workload_of(entrypoint("lstm"), [12, 6]),
        "resnet": workload_of(
            configured(IMAGES, "resnet", **STAGES, embedding_size=8, layer_type="basic"), IMAGE
        ),
        "convnext": workload_of(configured(IMAGES, "convnext", **STAGES), IMAGE),
        "vit": workload_of(configured(IMAGES, "vit", **WIDE, image_size=32, patch_size=8), IMAGE),
        "bert": workload_of(configured(SEQUENCES, "bert", **WIDE, vocab_size=64), [16], **TOKENS),
        "gpt2": workload_of(configured(LANGUAGES, "gpt2", **gpt2, **special), [16], **LANGUAGE),
        "llama": workload_of(configured(LANGUAGES, "llama", **llama), [16], **LANGUAGE),
        "mixtral": workload_of(configured(LANGUAGES, "mixtral", **mixture), [16], **LANGUAGE),
        "mixtral_batched": workload_of(batched, [16], **LANGUAGE),
        "t5": replace(
            workload_of(configured(SEQUENCES, "t5", **t5), [16], **TOKENS),
            dataset={
                "kind": "entrypoint",
                "target": f"{THIS}:sentences",
                "kwargs": {"num_samples": 40, "length": 16, "high": 64},
                "validation_fraction": 0.4,
            },
        ),
    }


ARCHITECTURES = _architectures()
CHECKPOINTED = {
    "transformer_checkpointed": _with(ARCHITECTURES["transformer"], activation_checkpointing=True),
    "gpt2_checkpointed": _with(ARCHITECTURES["gpt2"], activation_checkpointing=True),
    "t5_checkpointed": _with(ARCHITECTURES["t5"], activation_checkpointing=True),
}
HALF = {
    f"{name}_bf16": _with(ARCHITECTURES[name], precision="bf16")
    for name in ("cnn_batch_norm", "lstm", "convnext", "llama")
}
CASES = ARCHITECTURES | CHECKPOINTED | HALF
