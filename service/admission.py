"""Cheap refusals, before anything is queued: no device, no import, a few kilobytes of file.

What is refused here would fail on a device minutes later; what needs the data itself (NaN, a
label out of range, a model that raises) is found there, and ends the job with the same kind
of problem.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias

from service.settings import Settings
from service.violations import parse, parse_spec
from tuner.architectures import check_config
from tuner.cards import Card, card_named
from tuner.entrypoints import check_code_root, check_entrypoint
from tuner.errors import InvalidWorkload
from tuner.estimate_spec import MemoryEstimateSpec
from tuner.headers import check_arrays, read_header, resolve_under
from tuner.spec import (
    EntrypointDataset,
    EntrypointModel,
    FilesDataset,
    HfConfigModel,
    StudySpec,
    TuningSpec,
)

SKLEARN_SIZES: Final[Mapping[str, int]] = {
    "digits": 1797,
    "breast_cancer": 569,
    "wine": 178,
    "iris": 150,
    "diabetes": 442,
}
"""Samples in the data sets that ship with scikit-learn."""


MAX_STUDY_RUNS: Final = 2000
"""Trainings of one study at most: batches times rates times seeds."""


def admit(body: Any, *, settings: Settings, accelerators: Collection[str]) -> TuningSpec:
    """Refuse a request that cannot be answered here, and read it otherwise.

    Args:
        body: Plain JSON values, as the user wrote them.
        settings: File roots and allowed entry points.
        accelerators: What the executor has; empty as long as nobody knows.

    Returns:
        The request, defaults filled in.

    Raises:
        ProblemError: The body does not fit the schema.
        InvalidWorkload: It does, and still cannot be used here.
    """
    spec = parse_spec(body)
    _check_model(spec, settings)
    _check_accelerator(spec, accelerators)
    _check_data_cap(spec, _train_samples(spec, settings))
    return spec


def admit_study(body: Any, *, settings: Settings, accelerators: Collection[str]) -> StudySpec:
    """Refuse a study that cannot be made here, and read it otherwise.

    Args:
        body: Plain JSON values, as the user wrote them.
        settings: File roots and allowed entry points.
        accelerators: What the executor has; empty as long as nobody knows.

    Returns:
        The request, defaults filled in.

    Raises:
        ProblemError: The body does not fit the schema.
        InvalidWorkload: It does, and still cannot be used here.
    """
    spec = parse(StudySpec, body)
    _check_runs(spec)
    _check_model(spec, settings)
    _check_accelerator(spec, accelerators)
    _check_batches(spec, _train_samples(spec, settings))
    return spec


def admit_estimate(
    body: Any, *, settings: Settings
) -> tuple[MemoryEstimateSpec, tuple[Card, ...], int | None]:
    """Refuse an estimate that cannot be made here, and read it otherwise.

    Args:
        body: Plain JSON values, as the user wrote them.
        settings: File roots and allowed entry points.

    Returns:
        The request with defaults filled in, its cards, and the samples that are left to train
        on, None where nobody knows yet.

    Raises:
        ProblemError: The body does not fit the schema.
        InvalidWorkload: It does, and still cannot be used here; `card_unknown` among others.
    """
    spec = parse(MemoryEstimateSpec, body)
    found = tuple(_card(name, index) for index, name in enumerate(spec.gpus))
    _check_model(spec, settings)
    return spec, found, _train_samples(spec, settings)


_Request: TypeAlias = TuningSpec | StudySpec | MemoryEstimateSpec


def _card(name: str, index: int) -> Card:
    try:
        return card_named(name)
    except InvalidWorkload as error:
        raise InvalidWorkload(
            error.detail, code=error.problem_code, pointer=f"/gpus/{index}", facts=error.facts
        ) from error


def _check_model(spec: _Request, settings: Settings) -> None:
    _check_code(spec, settings)
    if isinstance(spec.model, HfConfigModel):
        check_config(spec.model.model_type, spec.model.config, spec.training.task)


def _check_code(spec: _Request, settings: Settings) -> None:
    for part, pointer in ((spec.model, "/model/target"), (spec.dataset, "/dataset/target")):
        if isinstance(part, EntrypointModel | EntrypointDataset):
            check_entrypoint(part.target, settings.entrypoint_prefixes, pointer=pointer)
            if settings.code_root is not None:
                check_code_root(settings.code_root, pointer=pointer)


def _check_accelerator(spec: TuningSpec | StudySpec, accelerators: Collection[str]) -> None:
    wanted = spec.hardware.accelerator
    if accelerators and wanted not in {"auto", *accelerators}:
        raise InvalidWorkload(
            f"This service has no {wanted} device, only {', '.join(sorted(accelerators))}: "
            "choose one of these, or auto.",
            code="accelerator_unavailable",
            pointer="/hardware/accelerator",
        )


def _train_samples(spec: _Request, settings: Settings) -> int | None:
    """Count the samples that are left to train on, at most; None where nobody knows yet."""
    dataset = spec.dataset
    if isinstance(dataset, EntrypointDataset):
        return None
    if isinstance(dataset, FilesDataset):
        file = resolve_under(settings.file_roots, dataset.path)
        header = read_header(file, dataset.format)
        check_arrays(header, spec.training.task)
        samples = header["x_train"].shape[0]
        if "x_val" in header:
            return samples
    elif dataset.kind == "sklearn":
        samples = SKLEARN_SIZES[dataset.name]
    else:
        samples = dataset.num_samples
    return samples - max(1, round(samples * dataset.validation_fraction))


def _check_data_cap(spec: TuningSpec, train_samples: int | None) -> None:
    if train_samples is None:
        return
    space = spec.search_space
    cap = math.floor(space.max_data_fraction * train_samples)
    if space.global_batch_size.low > cap:
        raise InvalidWorkload(
            f"The smallest batch, {space.global_batch_size.low}, is above the {cap} samples that "
            f"may be in one: {space.max_data_fraction:g} of {train_samples} training samples. "
            "Lower it, raise search_space.max_data_fraction, or bring more data.",
            code="batch_above_data_cap",
            pointer="/search_space/global_batch_size/low",
            facts={"low": space.global_batch_size.low, "cap": cap, "num_train": train_samples},
        )


def _check_runs(spec: StudySpec) -> None:
    arms = sum(len(spec.rates(batch)) for batch in spec.batch_sizes)
    runs = (arms + (spec.full_batch is not None)) * spec.seeds
    if runs > MAX_STUDY_RUNS:
        raise InvalidWorkload(
            f"These are {runs} trainings, batches times rates times seeds, and a study may have "
            f"{MAX_STUDY_RUNS}: lower seeds, or name fewer batches or rates.",
            code="study_too_large",
            pointer="/seeds",
            facts={"runs": runs, "most": MAX_STUDY_RUNS},
        )


def _check_batches(spec: StudySpec, train_samples: int | None) -> None:
    """Refuse a batch beyond the data; no share of them is a limit, extremes are the subject."""
    if train_samples is None:
        return
    for index, batch in enumerate(spec.batch_sizes):
        if batch > train_samples:
            raise InvalidWorkload(
                f"The batch of {batch} is larger than the {train_samples} training samples. "
                "Leave it out, or ask for full_batch to train with all samples in every step.",
                code="batch_above_data_cap",
                pointer=f"/batch_sizes/{index}",
                facts={"batch_size": batch, "num_train": train_samples},
            )
