"""Tests on a real card. They need Python, torch and pytest, and no data but what they make."""

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a card where there is none, and say so."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="this machine has no CUDA device"))
