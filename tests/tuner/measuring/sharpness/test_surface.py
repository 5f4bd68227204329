"""The loss surface, and that a model comes back from it as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tuner.measuring.sharpness import on_surface


def test_moves_and_comes_home_bit_for_bit(classifier, mlp):
    """Parameters that were moved are back at their exact bits afterwards."""
    case = classifier(mlp(dtype=torch.float32))
    before = [parameter.detach().clone() for parameter in case.model.parameters()]
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=64) as surface:
        surface.move(surface.position() * 0.37)
        assert not torch.equal(before[0], next(case.model.parameters()))
    assert all(map(torch.equal, before, case.model.parameters()))


def test_comes_home_when_something_raises(classifier, mlp):
    """An exception inside leaves parameters, modes and gradients as they have to be."""
    case = classifier(mlp(dtype=torch.float32))
    before = [parameter.detach().clone() for parameter in case.model.parameters()]

    def move_and_raise():
        with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=64) as surface:
            surface.move(surface.position())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        move_and_raise()
    assert all(map(torch.equal, before, case.model.parameters()))
    assert all(parameter.grad is None for parameter in case.model.parameters())
    assert case.model.training


def test_each_module_gets_its_own_mode_back(classifier, mlp):
    """A module that was in eval mode within a training model stays so; inside all are."""
    case = classifier(mlp())
    case.model[1].eval()
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=64):
        assert not any(module.training for module in case.model.modules())
    assert [module.training for module in case.model] == [True, False, True]


def test_passes_do_not_change_values(classifier, mlp):
    """Loss, gradient and Hessian product are the same however the set is cut."""
    case = classifier(mlp())
    seen = []
    for samples_per_pass in (150, 64, 7):
        with on_surface(
            case.model, case.loss_sum, case.counts, samples_per_pass=samples_per_pass
        ) as surface:
            loss, gradient = surface.gradient(surface.everything)
            assert surface.loss(surface.everything) == pytest.approx(loss)
            seen.append((loss, gradient, surface.hessian_product(surface.position())))
    for loss, gradient, product in seen[1:]:
        assert loss == pytest.approx(seen[0][0])
        torch.testing.assert_close(gradient, seen[0][1])
        torch.testing.assert_close(product, seen[0][2])


def test_the_mean_is_over_counted_items(quadratic):
    """Unequal counts, as of tokens, are the denominator, for a part of the set too."""
    case = quadratic(torch.ones(2), torch.eye(2), torch.zeros(4, 2))
    counts = torch.tensor([1, 2, 3, 4])
    with on_surface(case.model, case.loss_sum, counts, samples_per_pass=3) as surface:
        assert surface.loss(surface.everything) == pytest.approx(4.0 / 10.0)
        assert surface.loss(slice(1, 3)) == pytest.approx(2.0 / 5.0)
        assert surface.gradient(surface.everything)[1].tolist() == pytest.approx([0.4, 0.4])


def test_tied_parameters_count_once_and_frozen_ones_not(classifier):
    """The surface is over distinct trainable parameters."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.head = nn.Linear(4, 3)
            self.second.weight = self.first.weight
            self.head.requires_grad_(requires_grad=False)

        def forward(self, inputs):
            return self.head(torch.tanh(self.second(torch.tanh(self.first(inputs)))))

    torch.manual_seed(0)
    case = classifier(Tied(), steps=5)
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=64) as surface:
        assert surface.size == 16 + 4 + 4
        surface.move(surface.position())
        assert case.model.second.weight is case.model.first.weight


def test_autocast_of_the_caller_does_not_reach_inside(classifier, mlp):
    """Under bf16 autocast the loss is still the one of full precision."""
    case = classifier(mlp(dtype=torch.float32))
    plain = case.loss_sum(slice(0, 150)).item() / 150
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=150) as surface,
    ):
        assert surface.loss(surface.everything) == pytest.approx(plain, rel=1e-6)


def test_switches_of_the_backend_are_put_back(classifier, mlp):
    """The precision switch of convolutions is as it was afterwards."""
    case = classifier(mlp())
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
    with on_surface(case.model, case.loss_sum, case.counts, samples_per_pass=150):
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == before
