"""Small networks of every family, cheap enough to be trained on a CPU for comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from benchmarks.memory.subjects import ADAMW, entry
from tuner.records import Workload

VOCABULARY: Final = 64
LENGTH: Final = 16
WIDE: Final = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
STAGES: Final = {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 2, 1]}


def small_workloads() -> dict[str, Workload]:
    """State the networks, in float32, in bfloat16, and checkpointed where they can be."""
    plain = _plain()
    half = {f"{name} bf16": _with(w, precision="bf16") for name, w in plain.items()}
    checkpointed = {
        f"{name} checkpointed": _with(plain[name], activation_checkpointing=True)
        for name in ("transformer", "vit", "bert", "gpt2", "llama", "mixtral")
    }
    return plain | half | checkpointed


def _with(workload: Workload, **training: Any) -> Workload:
    return replace(workload, training={**workload.training, **training})


def _plain() -> dict[str, Workload]:
    gpt2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": 32}
    gpt2 |= {"bos_token_id": 1, "eos_token_id": 1}
    llama = {**WIDE, "num_key_value_heads": 2, "vocab_size": VOCABULARY}
    t5 = {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 64}
    t5 |= {"vocab_size": VOCABULARY}
    mixture = {**llama, "num_local_experts": 4}
    resnet = {**STAGES, "embedding_size": 8, "layer_type": "basic"}
    vit = {**WIDE, "image_size": 32, "patch_size": 8}
    return {
        "mlp": _images({"kind": "builtin", "name": "mlp", "options": {"hidden": [64, 64]}}),
        "cnn": _images({"kind": "builtin", "name": "cnn"}),
        "cnn with BatchNorm": _images(
            {"kind": "builtin", "name": "cnn", "options": {"batch_norm": True}}
        ),
        "transformer": _text({"kind": "builtin", "name": "transformer"}),
        "lstm": _text(entry("lstm", vocabulary=VOCABULARY, width=32, depth=2)),
        "resnet": _images(entry("image_classifier", name="ResNet", config=resnet)),
        "convnext": _images(entry("image_classifier", name="ConvNext", config=STAGES)),
        "vit": _images(entry("image_classifier", name="ViT", config=vit)),
        "bert": _text(
            entry("text_classifier", name="Bert", config={**WIDE, "vocab_size": VOCABULARY}),
            task="classification",
        ),
        "t5 encoder": _text(entry("t5_encoder", config=t5), task="classification"),
        "gpt2": _text(entry("causal_lm", name="GPT2", head="GPT2LMHeadModel", config=gpt2)),
        "llama, grouped keys": _text(
            entry("causal_lm", name="Llama", head="LlamaForCausalLM", config=llama)
        ),
        "llama": _text(
            entry(
                "causal_lm",
                name="Llama",
                head="LlamaForCausalLM",
                config={**llama, "num_key_value_heads": 4},
            )
        ),
        "mixtral": _text(
            entry("causal_lm", name="Mixtral", head="MixtralForCausalLM", config=mixture)
        ),
        "mixtral, batched experts": _text(
            entry(
                "causal_lm",
                name="Mixtral",
                head="MixtralForCausalLM",
                config=mixture,
                experts="batched_mm",
            )
        ),
    }


def _images(model: dict[str, Any]) -> Workload:
    return _workload(model, {"shape": [3, 32, 32], "dtype": "float32"}, "classification")


def _text(model: dict[str, Any], task: str = "causal_lm") -> Workload:
    inputs = {"shape": [LENGTH], "dtype": "int64", "high": VOCABULARY}
    return _workload(model, inputs, task)


def _workload(model: dict[str, Any], inputs: dict[str, Any], task: str) -> Workload:
    return Workload(
        model=model,
        dataset={
            "kind": "synthetic",
            "inputs": inputs,
            "num_samples": 40,
            "num_outputs": 10,
            "validation_fraction": 0.4,
        },
        training={
            "task": task,
            "optimizer": ADAMW,
            "schedule": {"kind": "constant"},
            "precision": "fp32",
            "gradient_clip_norm": 1.0,
        },
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )
