"""Small workloads of many architectures, for traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuner.places import Places
from tuner.records import CardModel, Workload

ADAMW = {"kind": "adamw"}
HOST = CardModel(name="host", memory_bytes=2**34, context_bytes=0, device_type="cpu")
CARD = CardModel(
    name="card", memory_bytes=2**34, context_bytes=2**29, device_type="cuda", library_bytes=2**26
)
THIS = "tests.tuner.measuring.tracing.subjects"


def places_of(folder: Path) -> Places:
    """Allow the entry points of the tests."""
    return Places(artifacts=folder, entrypoint_prefixes=("tests",))


def workload_of(
    model: dict[str, Any],
    shape: list[int],
    *,
    high: int | None = None,
    samples: int = 40,
    **training: Any,
) -> Workload:
    """State a workload over generated data; `high` makes them token ids."""
    inputs = {"shape": shape, "dtype": "float32"} if high is None else {}
    inputs = inputs or {"shape": shape, "dtype": "int64", "high": high}
    return Workload(
        model=model,
        dataset={
            "kind": "synthetic",
            "inputs": inputs,
            "num_samples": samples,
            "num_outputs": 10,
            "validation_fraction": 0.4,
        },
        training={
            "task": "classification",
            "optimizer": ADAMW,
            "schedule": {"kind": "constant"},
            "precision": "fp32",
            "gradient_clip_norm": None,
            **training,
        },
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )


def builtin(name: str, **options: Any) -> dict[str, Any]:
    """State a builtin model."""
    return {"kind": "builtin", "name": name, "options": options}


def entrypoint(function: str, **kwargs: Any) -> dict[str, Any]:
    """State a model that a function of this module builds."""
    return {"kind": "entrypoint", "target": f"{THIS}:{function}", "kwargs": kwargs}


def configured(auto_class: str, model_type: str, **config: Any) -> dict[str, Any]:
    """State an architecture of transformers."""
    kwargs = {"auto_class": auto_class, "model_type": model_type, "config": config}
    return entrypoint("transformers_model", **kwargs)


def transformers_model(
    output_size: int,
    auto_class: str,
    model_type: str,
    config: dict[str, Any],
    experts: str | None = None,
) -> nn.Module:
    """Build an architecture of transformers, whether it is on the accepted list or not."""
    import transformers  # noqa: PLC0415 - seconds, only where it is needed

    if auto_class != "AutoModelForCausalLM":
        config = {"num_labels": output_size, **config}
    made = transformers.AutoConfig.for_model(model_type, use_cache=False, **config)
    made.pad_token_id = 0
    if experts is not None:
        made._experts_implementation = experts
    model: nn.Module = getattr(transformers, auto_class).from_config(made, dtype=torch.float32)
    return model


class Lstm(nn.Module):
    """An LSTM over rows of features, with a linear head."""

    def __init__(self, features: int, width: int, output_size: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(features, width, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(width, output_size)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Score samples (N, L, features)."""
        return self.head(self.rnn(inputs)[0][:, -1])


def lstm(input_shape: tuple[int, ...], output_size: int) -> nn.Module:
    """Build an LSTM."""
    return Lstm(input_shape[-1], 24, output_size)


class Undecided(nn.Module):
    """A model whose way depends on what it computes."""

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.head = nn.Linear(8, output_size)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Score samples (N, 8), again while the scores are low."""
        scores = self.head(inputs)
        for _ in range(3):
            if scores.abs().mean().item() > 1.0:
                break
            scores = scores + self.head(inputs)
        return scores


def undecided(output_size: int) -> nn.Module:
    """Build a model that cannot be traced."""
    return Undecided(output_size)


def giant(output_size: int) -> nn.Module:
    """Build a model of a million times a million weights."""
    return nn.Sequential(
        nn.Linear(8, 10**6), nn.Linear(10**6, 10**6), nn.Linear(10**6, output_size)
    )


def sentences(num_samples: int, length: int, high: int) -> dict[str, torch.Tensor]:
    """Make token ids that each end with the one end token, which is 1."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(2, high, (num_samples, length), generator=generator)
    tokens[:, -1] = 1
    return {"x_train": tokens, "y_train": torch.arange(num_samples) % 10}


def ragged(num_samples: int, length: int, high: int) -> dict[str, torch.Tensor]:
    """Make token ids of different lengths, padded at the end."""
    tokens = torch.arange(num_samples * length).reshape(num_samples, length) % high
    lengths = 4 + torch.arange(num_samples) % (length - 3)
    tokens[torch.arange(length) >= lengths[:, None]] = -1
    return {"x_train": tokens}
