"""The cases of the memory suite: a model with its data and precision, on a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tuner.records import Workload

HERE: Final = "benchmarks.memory.architectures"
ADAMW: Final = {
    "kind": "adamw",
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.01,
}
SGD: Final = {"kind": "sgd", "momentum": 0.9}
SAMPLES: Final = 200_000
"""Of every data set, so that no search is ended by its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A workload of the suite.

    Args:
        name: Unique.
        family: Its architecture, for counting them.
        workload: What is trained.
        upper: The largest micro-batch that is of use.
    """

    name: str
    family: str
    workload: Workload
    upper: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A subject on a card."""

    subject: Subject
    card: str

    @property
    def name(self) -> str:
        """Unique in the suite."""
        return f"{self.subject.name} on {self.card}"


def images(size: int, channels: int = 3) -> dict[str, Any]:
    """Describe generated images of 1,000 classes."""
    shape = [channels, size, size]
    return {
        "kind": "synthetic",
        "inputs": {"shape": shape, "dtype": "float32"},
        "num_samples": SAMPLES,
        "num_outputs": 1000,
        "validation_fraction": 0.2,
    }


def vectors(width: int) -> dict[str, Any]:
    """Describe generated vectors of 1,000 classes."""
    inputs = {"shape": [width], "dtype": "float32"}
    return {**images(1), "inputs": inputs, "num_samples": 5 * SAMPLES}


def tokens(length: int, vocabulary: int) -> dict[str, Any]:
    """Describe generated token ids."""
    return {**images(1), "inputs": {"shape": [length], "dtype": "int64", "high": vocabulary}}


def entry(function: str, **arguments: Any) -> dict[str, Any]:
    """Name a model of `architectures.py`."""
    return {"kind": "entrypoint", "target": f"{HERE}:{function}", "kwargs": arguments}


def subject(
    name: str,
    family: str,
    model: dict[str, Any],
    dataset: dict[str, Any],
    *,
    upper: int = 4096,
    **training: Any,
) -> Subject:
    """State a subject; classification by AdamW in float32 unless told otherwise."""
    stated = {
        "task": "classification",
        "optimizer": ADAMW,
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": None,
        "activation_checkpointing": False,
        "attention": "auto",
        "compile": False,
        **training,
    }
    workload = Workload(
        model=model,
        dataset=dataset,
        training=stated,
        metric="validation_loss",
        accelerator="cuda",
        data_seed=0,
    )
    return Subject(name=name, family=family, workload=workload, upper=upper)


def _cnn(channels: list[int], *, batch_norm: bool) -> dict[str, Any]:
    options = {"channels": channels, "batch_norm": batch_norm, "dropout": 0.0}
    return {"kind": "builtin", "name": "cnn", "options": options}


def _mlp(hidden: list[int]) -> dict[str, Any]:
    return {"kind": "builtin", "name": "mlp", "options": {"hidden": hidden, "dropout": 0.0}}


GPT2 = {"name": "GPT2", "head": "GPT2LMHeadModel", "config": {}}
LLAMA = {
    "name": "Llama",
    "head": "LlamaForCausalLM",
    "config": {
        "vocab_size": 32_000,
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_hidden_layers": 16,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 1024,
    },
}
MIXTURE = {
    "name": "Mixtral",
    "head": "MixtralForCausalLM",
    "experts": "batched_mm",
    "config": {
        "vocab_size": 32_000,
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 128,
    },
}
CLIP: Final = {"task": "causal_lm", "gradient_clip_norm": 1.0}

SUBJECTS: Final = {
    one.name: one
    for one in (
        subject("cnn", "cnn", _cnn([64, 128, 256], batch_norm=False), images(160)),
        subject(
            "resnet50",
            "cnn with BatchNorm",
            entry("image_classifier", name="ResNet", config={}),
            images(224),
            optimizer=SGD,
        ),
        subject(
            "resnet50-bf16",
            "cnn with BatchNorm",
            entry("image_classifier", name="ResNet", config={}),
            images(224),
            optimizer=SGD,
            precision="bf16",
        ),
        subject("vit-b", "vit", entry("image_classifier", name="ViT", config={}), images(224)),
        subject(
            "vit-b-bf16",
            "vit",
            entry("image_classifier", name="ViT", config={}),
            images(224),
            precision="bf16",
        ),
        subject(
            "convnext-t",
            "convnext",
            entry("image_classifier", name="ConvNext", config={}),
            images(224),
        ),
        subject(
            "bert-base",
            "bert",
            entry("text_classifier", name="Bert", config={}),
            tokens(512, 30_522),
        ),
        subject(
            "bert-base-bf16",
            "bert",
            entry("text_classifier", name="Bert", config={}),
            tokens(512, 30_522),
            precision="bf16",
        ),
        subject("gpt2", "gpt2", entry("causal_lm", **GPT2), tokens(512, 50_257), **CLIP),
        subject(
            "gpt2-checkpointed",
            "gpt2",
            entry("causal_lm", **GPT2, checkpointing=True),
            tokens(1024, 50_257),
            **CLIP,
        ),
        subject(
            "llama-bf16",
            "llama with GQA",
            entry("causal_lm", **LLAMA),
            tokens(1024, 32_000),
            precision="bf16",
            **CLIP,
        ),
        subject(
            "llama-checkpointed",
            "llama with GQA",
            entry("causal_lm", **LLAMA, checkpointing=True),
            tokens(1024, 32_000),
            **CLIP,
        ),
        subject("t5-encoder", "t5", entry("t5_encoder", config={}), tokens(512, 32_128)),
        subject(
            "mlp",
            "mlp",
            _mlp([4096] * 6),
            vectors(4096),
            upper=65_536,
        ),
        subject(
            "mlp-wide",
            "mlp",
            _mlp([8192] * 6),
            vectors(4096),
            upper=65_536,
        ),
        subject(
            "lstm",
            "lstm",
            entry("lstm", vocabulary=10_000, width=1024, depth=2),
            tokens(128, 10_000),
            **CLIP,
        ),
        subject(
            "mixture-bf16",
            "mixture of experts",
            entry("causal_lm", **MIXTURE),
            tokens(64, 32_000),
            precision="bf16",
            **CLIP,
        ),
        subject(
            "transformer",
            "pre-norm transformer",
            {
                "kind": "builtin",
                "name": "transformer",
                "options": {"width": 512, "depth": 8, "heads": 8, "dropout": 0.1},
            },
            tokens(256, 8192),
            activation_checkpointing=True,
            **CLIP,
        ),
    )
}
"""Every subject, by name."""

CARDS: Final = {
    "cnn": ("T4-16GB", "A10-24GB"),
    "resnet50": ("RTX3080-10GB", "A10-24GB"),
    "resnet50-bf16": ("A10-24GB",),
    "vit-b": ("A10-24GB", "A100-80GB"),
    "vit-b-bf16": ("RTX4090-24GB",),
    "convnext-t": ("T4-16GB", "A100-40GB"),
    "bert-base": ("A10-24GB", "A100-40GB"),
    "bert-base-bf16": ("A10-24GB",),
    "gpt2": ("A10-24GB", "A100-80GB"),
    "gpt2-checkpointed": ("A100-40GB", "H100-80GB"),
    "llama-bf16": ("A100-40GB", "H100-80GB"),
    "llama-checkpointed": ("A100-80GB",),
    "t5-encoder": ("T4-16GB", "A10-24GB"),
    "mlp": ("RTX3080-10GB", "T4-16GB"),
    "mlp-wide": ("A10-24GB",),
    "lstm": ("RTX3080-10GB", "A10-24GB"),
    "mixture-bf16": ("A10-24GB", "A100-80GB"),
    "transformer": ("RTX3080-10GB", "V100-32GB"),
}
"""The cards that each subject is tried on."""


def cases(subject_name: str) -> list[Case]:
    """List the cases of one subject."""
    return [Case(subject=SUBJECTS[subject_name], card=card) for card in CARDS[subject_name]]
