"""Models and losses whose sharpness is known or can be found another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with its loss over a fixed set."""

    model: nn.Module
    loss_sum: Callable[[slice], Tensor]
    counts: Tensor


class Point(nn.Module):
    """A point in space, the parameter of an analytic loss."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)


@pytest.fixture
def quadratic():
    """Build the loss (x - c_i)^T H (x - c_i) / 2 + level of samples i."""

    def build(point: Tensor, hessian: Tensor, centres: Tensor, level: float = 0.0) -> Case:
        model = Point(point.clone())

        def loss_sum(samples: slice) -> Tensor:
            away = model.values - centres[samples]
            return ((away @ hessian) * away / 2).sum() + level * len(away)

        return Case(model=model, loss_sum=loss_sum, counts=torch.ones(len(centres)))

    return build


@pytest.fixture
def iris():
    """Give standardised features (150, 4) of a dtype and labels (150,)."""
    data = load_iris()
    inputs = torch.tensor(data.data, dtype=torch.float64)
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    return lambda dtype: (inputs.to(dtype), torch.tensor(data.target))


@pytest.fixture
def classifier(iris):
    """Build a case from a model: cross-entropy on iris, after some training."""

    def build(model: nn.Module, steps: int = 60) -> Case:
        features, labels = iris(next(model.parameters()).dtype)

        def loss_sum(samples: slice) -> Tensor:
            return cross_entropy(model(features[samples]), labels[samples], reduction="sum")

        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.2, momentum=0.9)
        for _ in range(steps):
            optimizer.zero_grad()
            (loss_sum(slice(0, 150)) / 150).backward()
            optimizer.step()
        return Case(model=model, loss_sum=loss_sum, counts=torch.ones(150))

    return build


@pytest.fixture
def mlp():
    """Build a small perceptron for iris."""

    def build(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)

    return build
