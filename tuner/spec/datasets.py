"""Data sets that can be asked for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, PositiveInt, model_validator
from typing_extensions import TypeAliasType

from tuner.spec.strict import ENTRYPOINT, Strict

ValidationFraction = Annotated[
    float, Field(gt=0.0, lt=1.0, description="Share of the samples held out for validation.")
]


class SklearnDataset(Strict):
    """Real data that ships with scikit-learn."""

    kind: Literal["sklearn"]
    name: Literal["digits", "breast_cancer", "wine", "iris", "diabetes"]
    validation_fraction: ValidationFraction = 0.2


class FilesDataset(Strict):
    """Arrays in one file under a root that the operator configured."""

    kind: Literal["files"]
    format: Literal["npz", "safetensors"]
    path: str = Field(min_length=1, max_length=1024, description="Relative to the file root.")
    validation_fraction: ValidationFraction = 0.2


class SyntheticInput(Strict):
    """The shape of one generated sample."""

    shape: list[PositiveInt] = Field(max_length=6, description="Without the batch axis.")
    dtype: Literal["float32", "int64"] = "float32"
    high: PositiveInt | None = Field(default=None, description="Upper bound of integer inputs.")

    @model_validator(mode="after")
    def _integers_have_a_bound(self) -> Self:
        if self.dtype == "int64" and self.high is None:
            raise ValueError("an int64 input needs `high`, for example the vocabulary size")
        return self


class SyntheticDataset(Strict):
    """Generated inputs. They tune memory and throughput only: the rate stays null."""

    kind: Literal["synthetic"]
    inputs: SyntheticInput
    num_samples: int = Field(ge=2, le=10**8)
    num_outputs: PositiveInt = Field(default=10, description="Classes or regression outputs.")
    validation_fraction: ValidationFraction = 0.2


class EntrypointDataset(Strict):
    """Your own data. The operator has to allow the prefix of its target."""

    kind: Literal["entrypoint"]
    target: str = Field(pattern=ENTRYPOINT, max_length=256, description="`package.module:function`")
    kwargs: dict[str, JsonValue] = Field(default={}, description="Arguments of that function.")
    validation_fraction: ValidationFraction = 0.2


DatasetSpec = TypeAliasType(
    "DatasetSpec",
    Annotated[
        SklearnDataset | FilesDataset | SyntheticDataset | EntrypointDataset,
        Field(discriminator="kind"),
    ],
)
