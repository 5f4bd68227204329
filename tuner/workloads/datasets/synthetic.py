"""Generated data, for memory and throughput alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tuner.workloads.datasets.arrays import Arrays

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload


def load_synthetic(workload: Workload, places: Places) -> Arrays:  # noqa: ARG001 - the loaders' signature
    """Draw inputs and targets from the data seed.

    Args:
        workload: Says shape, dtype, number of samples and of outputs.
        places: Not needed.

    Returns:
        Normal or uniform integer inputs with targets that mean nothing.
    """
    dataset = workload.dataset
    inputs, samples = dataset["inputs"], int(dataset["num_samples"])
    outputs = int(dataset.get("num_outputs", 10))
    generator = torch.Generator().manual_seed(workload.data_seed)
    shape = (samples, *inputs["shape"])
    if inputs.get("dtype", "float32") == "int64":
        x = torch.randint(int(inputs["high"]), shape, generator=generator)
    else:
        x = torch.randn(shape, generator=generator)
    task = workload.training["task"]
    if task == "causal_lm":
        high = inputs.get("high")
        return Arrays(x_train=x, y_train=None, output_size=high, synthetic=True)
    if task == "classification":
        y = torch.randint(outputs, (samples,), generator=generator)
    else:
        y = torch.randn((samples, outputs), generator=generator)
    return Arrays(x_train=x, y_train=y, output_size=outputs, synthetic=True)
