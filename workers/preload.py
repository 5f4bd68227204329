"""What a keeper loads before it forks, so that not every fresh child loads it again.

Libraries alone, never code of a user: that runs in children only. On two cores these imports
cost seconds, and a job has half a dozen fresh children.
"""

from __future__ import annotations

import re
from typing import Final

from tuner.records import Workload

MODEL_TYPE: Final = re.compile(r"[a-z0-9_]+")


def worth_loading(workload: Workload) -> tuple[str, ...]:
    """Name the library modules that measuring a workload loads anyway.

    Args:
        workload: What the next child builds.

    Returns:
        Names of modules; one that does not exist does no harm.
    """
    names: list[str] = []
    if "optimizer" in workload.training:
        names.append("torch._dynamo")  # every optimizer of torch loads it when it is made
    if workload.dataset.get("kind") == "sklearn":
        names.append("sklearn.datasets")
    if workload.model.get("kind") == "hf_config":
        names += ["transformers.modeling_utils", "transformers.models.auto.modeling_auto"]
        model_type = str(workload.model.get("model_type", "")).replace("-", "_")
        if MODEL_TYPE.fullmatch(model_type):
            names.append(f"transformers.models.{model_type}.modeling_{model_type}")
    return tuple(names)
