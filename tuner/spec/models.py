"""Models that can be asked for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator
from typing_extensions import TypeAliasType

from tuner.spec.strict import ENTRYPOINT, Strict


class MlpOptions(Strict):
    """Options of the multi-layer perceptron."""

    hidden: list[Annotated[int, Field(ge=1, le=65536)]] = Field(
        default=[64], max_length=32, description="Width of each hidden layer."
    )
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout after each layer.")


class CnnOptions(Strict):
    """Options of the convolutional network."""

    channels: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default=[16, 32], min_length=1, max_length=16, description="Channels of each block."
    )
    batch_norm: bool = Field(default=False, description="BatchNorm after each convolution.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout before the head.")


class TransformerOptions(Strict):
    """Options of the transformer."""

    width: int = Field(default=64, ge=1, le=16384, description="Width of the residual stream.")
    depth: int = Field(default=2, ge=1, le=256, description="Number of blocks.")
    heads: int = Field(default=4, ge=1, le=256, description="Attention heads; divides `width`.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout in each block.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class BuiltinMlp(Strict):
    """A multi-layer perceptron; sizes of input and output come from the data."""

    kind: Literal["builtin"]
    name: Literal["mlp"]
    options: MlpOptions = MlpOptions()


class BuiltinCnn(Strict):
    """Convolution, ReLU and max-pool blocks with a linear head, for images."""

    kind: Literal["builtin"]
    name: Literal["cnn"]
    options: CnnOptions = CnnOptions()


class BuiltinTransformer(Strict):
    """A pre-norm transformer: causal for language models, pooled for the other tasks."""

    kind: Literal["builtin"]
    name: Literal["transformer"]
    options: TransformerOptions = TransformerOptions()


BuiltinModel = TypeAliasType(
    "BuiltinModel",
    Annotated[BuiltinMlp | BuiltinCnn | BuiltinTransformer, Field(discriminator="name")],
)


class HfConfigModel(Strict):
    """An architecture of transformers, built from its configuration: no download, no code."""

    kind: Literal["hf_config"]
    model_type: str = Field(max_length=64, description="For example `gpt2`; see `/v1/catalog`.")
    config: dict[str, JsonValue] = Field(
        default={}, description="Keys of that architecture's configuration."
    )


class EntrypointModel(Strict):
    """Your own model. The operator has to allow the prefix of its target."""

    kind: Literal["entrypoint"]
    target: str = Field(pattern=ENTRYPOINT, max_length=256, description="`package.module:function`")
    kwargs: dict[str, JsonValue] = Field(default={}, description="Arguments of that function.")


ModelSpec = TypeAliasType(
    "ModelSpec",
    Annotated[BuiltinModel | HfConfigModel | EntrypointModel, Field(discriminator="kind")],
)
