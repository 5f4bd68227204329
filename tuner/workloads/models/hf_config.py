"""Architectures of transformers, built from a configuration: no download, no remote code."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, NoReturn

import torch
from torch import nn

from tuner.architectures import accepted_heads, check_config, head_of
from tuner.entrypoints import failure_of
from tuner.errors import InvalidWorkload

if TYPE_CHECKING:
    from tuner.workloads.models.blueprint import Blueprint

POINTER: Final = "/model/config"
AUTO_CLASSES: Final = {
    "causal_lm": "AutoModelForCausalLM",
    "sequence_classification": "AutoModelForSequenceClassification",
    "image_classification": "AutoModelForImageClassification",
}
IMAGE_NDIM: Final = 3


def build_hf_config(blueprint: Blueprint) -> nn.Module:
    """Build an accepted architecture from the keys of its spec.

    `vocab_size`, `num_labels`, and for images `num_channels` and `image_size`, come from the
    data where the spec leaves them out. The cache of keys and values is switched off:
    training has no use for it.

    Args:
        blueprint: Names `model_type` and `config`.

    Returns:
        The model, initialised as its architecture prescribes.

    Raises:
        InvalidWorkload: `model_not_accepted`, `config_key_refused`, `shape_mismatch`, or
            `model_failed` where transformers could not build it.
    """
    model_type = str(blueprint.model["model_type"])
    options = dict(blueprint.model.get("config", {}))
    check_config(model_type, options, blueprint.task)
    head = head_of(blueprint.task, images=len(blueprint.input_shape) == IMAGE_NDIM)
    if head not in accepted_heads(model_type):
        raise InvalidWorkload(
            f"{model_type!r} is not accepted for {head}, which samples of shape "
            f"{blueprint.input_shape} ask for.",
            code="model_not_accepted",
            pointer="/model/model_type",
        )
    transformers = _transformers()
    config = _configuration(transformers, model_type, options, head, blueprint)
    _check_sizes(config, blueprint)
    attention = options.get("attn_implementation")
    if blueprint.attention != "auto":
        attention = blueprint.attention
    # Models without experts take the setting too and do nothing with it.
    experts = {} if blueprint.experts == "auto" else {"experts_implementation": blueprint.experts}
    try:
        auto_class = getattr(transformers, AUTO_CLASSES[head])
        model: nn.Module = auto_class.from_config(
            config, attn_implementation=attention, dtype=torch.float32, **experts
        )
    except InvalidWorkload:
        raise
    except Exception as error:
        raise failure_of(error, POINTER) from error
    return model


def _transformers() -> Any:
    try:
        import transformers  # noqa: PLC0415 - seconds and much memory, only where it is needed
    except ImportError as error:
        raise InvalidWorkload(
            "hf_config needs the package transformers, which is not installed here.",
            pointer="/model/kind",
        ) from error
    return transformers


def _configuration(
    transformers: Any, model_type: str, options: dict[str, Any], head: str, blueprint: Blueprint
) -> Any:
    try:
        usual = transformers.AutoConfig.for_model(model_type)
    except Exception as error:
        raise failure_of(error, POINTER) from error
    unknown = sorted(key for key in options if not hasattr(usual, key))
    if unknown:
        raise InvalidWorkload(
            f"{model_type!r} has no configuration key {', '.join(unknown)}.",
            code="config_key_refused",
            pointer=f"{POINTER}/{unknown[0]}",
        )
    filled = _filled(options, head, usual, blueprint)
    try:
        return transformers.AutoConfig.for_model(model_type, **filled)
    except Exception as error:
        raise failure_of(error, POINTER) from error


def _filled(options: dict[str, Any], head: str, usual: Any, blueprint: Blueprint) -> dict[str, Any]:
    """Add what the data say to what the user said; `attn_implementation` is passed apart."""
    filled = {key: value for key, value in options.items() if key != "attn_implementation"}
    filled["use_cache"] = False
    if head == "image_classification":
        _fill_image(filled, usual, blueprint)
    else:
        _fill_tokens(filled, head, usual, blueprint)
    if head != "causal_lm":
        filled.setdefault("num_labels", blueprint.output_size)
    if blueprint.task == "regression":
        filled["problem_type"] = "regression"
    return filled


def _fill_tokens(filled: dict[str, Any], head: str, usual: Any, blueprint: Blueprint) -> None:
    if blueprint.vocabulary_size is None:
        raise InvalidWorkload(
            "This architecture reads token ids: give integer inputs of shape (N, L), or "
            "images of shape (N, channels, height, width).",
            code="shape_mismatch",
            pointer="/model/model_type",
        )
    highest = blueprint.vocabulary_size
    classifies = head == "sequence_classification"
    spare = 1 if classifies and "pad_token_id" not in filled else 0
    vocabulary = filled.setdefault("vocab_size", highest + spare)
    if type(vocabulary) is not int:
        raise InvalidWorkload(
            f"vocab_size must be an integer, not {vocabulary!r}.",
            code="config_key_refused",
            pointer=f"{POINTER}/vocab_size",
        )
    if classifies and vocabulary > highest:
        # Such heads may read the last token that is not padding: an id that no sample holds.
        filled.setdefault("pad_token_id", vocabulary - 1)
    elif not classifies and _may_be_none(usual, "pad_token_id"):
        # The row of a padding id is never learned, and here every id is a real token.
        filled.setdefault("pad_token_id", None)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        # The usual ids belong to the usual vocabulary, which is not the one of the data.
        # Training from token ids reads none; some configurations do not take None.
        if isinstance(usual_id := getattr(usual, key, None), int) and usual_id >= vocabulary:
            filled.setdefault(key, 0)


def _may_be_none(usual: Any, key: str) -> bool:
    for part in type(usual).__mro__:
        hint = inspect.get_annotations(part).get(key)
        if hint is not None:
            return "None" in str(hint)
    return True


def _fill_image(filled: dict[str, Any], usual: Any, blueprint: Blueprint) -> None:
    channels, height, width = blueprint.input_shape
    if hasattr(usual, "num_channels"):
        filled.setdefault("num_channels", channels)
    if hasattr(usual, "image_size"):
        filled.setdefault("image_size", height if height == width else [height, width])


def _check_sizes(config: Any, blueprint: Blueprint) -> None:
    needed = blueprint.vocabulary_size
    size = getattr(config.get_text_config(), "vocab_size", None)
    if needed is not None and isinstance(size, int) and size < needed:
        _too_small("vocab_size", size, needed, "token ids")
    if blueprint.task == "causal_lm":
        return
    labels = int(config.num_labels)
    exact = blueprint.task == "regression"
    if labels < blueprint.output_size or (exact and labels != blueprint.output_size):
        _too_small("num_labels", labels, blueprint.output_size, "outputs" if exact else "classes")


def _too_small(key: str, size: int, needed: int, what: str) -> NoReturn:
    raise InvalidWorkload(
        f"{key} is {size}, but the data have {needed} {what}. Leave {key} out, or give {needed}.",
        code="shape_mismatch",
        pointer=f"{POINTER}/{key}",
        facts={key: size, "needed": needed},
    )
