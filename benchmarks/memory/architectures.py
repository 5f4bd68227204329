"""The networks of the suite that are not built in, as entry points: random weights, no download.

Those of transformers are imported where they are used: a case of plain torch needs torch alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Lstm(nn.Module):
    """A language model of stacked LSTM layers.

    Args:
        vocabulary: Number of token ids.
        width: Of embedding and state.
        depth: Number of layers.
    """

    def __init__(self, vocabulary: int, width: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.LSTM(width, width, num_layers=depth, batch_first=True)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Score the next token at each place: int64 (N, L) to (N, L, vocabulary)."""
        states, _ = self.layers(self.embedding(tokens))
        scores: torch.Tensor = self.head(states)
        return scores


class PooledEncoder(nn.Module):
    """A classifier over the mean state of an encoder.

    Args:
        encoder: Returns an object with `last_hidden_state`.
        width: Of its states.
        output_size: Number of classes.
    """

    def __init__(self, encoder: nn.Module, width: int, output_size: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, output_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Classify: int64 (N, L) to (N, output_size)."""
        states = self.encoder(input_ids=tokens).last_hidden_state
        scores: torch.Tensor = self.head(states.mean(dim=1))
        return scores


def lstm(*, vocabulary: int, width: int, depth: int) -> nn.Module:
    """Build the LSTM."""
    return Lstm(vocabulary, width, depth)


def image_classifier(
    *,
    name: str,
    config: dict[str, Any],
    output_size: int,
    checkpointing: bool = False,
) -> nn.Module:
    """Build an image classifier of transformers, `ResNet` for example."""
    import transformers  # noqa: PLC0415 - seconds, and only where it is used

    made = getattr(transformers, f"{name}Config")(num_labels=output_size, **config)
    model = getattr(transformers, f"{name}ForImageClassification")(made)
    return _checkpointed(model, checkpointing=checkpointing)


def text_classifier(
    *,
    name: str,
    config: dict[str, Any],
    output_size: int,
    checkpointing: bool = False,
) -> nn.Module:
    """Build a text classifier of transformers, `Bert` for example."""
    import transformers  # noqa: PLC0415 - seconds, and only where it is used

    made = getattr(transformers, f"{name}Config")(num_labels=output_size, **config)
    model = getattr(transformers, f"{name}ForSequenceClassification")(made)
    return _checkpointed(model, checkpointing=checkpointing)


def causal_lm(
    *,
    name: str,
    head: str,
    config: dict[str, Any],
    experts: str | None = None,
    checkpointing: bool = False,
) -> nn.Module:
    """Build a language model of transformers: config class `name`, model class `head`.

    Args:
        name: For example `Llama`.
        head: For example `LlamaForCausalLM`.
        config: Of the configuration.
        experts: How a mixture's experts are computed; `batched_mm` has shapes that do not
            depend on the routing.
        checkpointing: Recompute activations in the backward pass.
    """
    import transformers  # noqa: PLC0415 - seconds, and only where it is used

    made = getattr(transformers, f"{name}Config")(use_cache=False, **config)
    if experts is not None:
        made._experts_implementation = experts  # noqa: SLF001 - the documented switch of a config
    return _checkpointed(getattr(transformers, head)(made), checkpointing=checkpointing)


def t5_encoder(*, config: dict[str, Any], output_size: int) -> nn.Module:
    """Build the encoder of T5, with its relative positions, under a pooled head."""
    import transformers  # noqa: PLC0415 - seconds, and only where it is used

    made = transformers.T5Config(**config)
    return PooledEncoder(transformers.T5EncoderModel(made), int(made.d_model), output_size)


def _checkpointed(model: Any, *, checkpointing: bool) -> nn.Module:
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    built: nn.Module = model
    return built
