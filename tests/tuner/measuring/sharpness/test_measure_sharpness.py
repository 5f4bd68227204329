"""The three measures together, on models of many kinds."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tuner.measuring.sharpness import measure_sharpness
from tuner.records import Sharpness


class Attention(nn.Module):
    """PyTorch's own attention layer over the four features as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(8, 3)

    def forward(self, inputs):
        """Return logits (N, 3) of inputs (N, 4)."""
        tokens = self.embed(inputs.unsqueeze(-1))
        return self.head(self.attend(tokens, tokens, tokens, need_weights=False)[0].mean(1))


class Recurrent(nn.Module):
    """A recurrent net over the four features in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.walk = nn.GRU(1, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, inputs):
        """Return logits (N, 3) of inputs (N, 4)."""
        return self.head(self.walk(inputs.unsqueeze(-1))[0][:, -1])


MODELS = {
    "dropout and batch norm": lambda: nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    ),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
    ),
    "attention": Attention,
    "recurrent": Recurrent,
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_is_measured_and_comes_back(classifier, name):
    """All three values are there, and weights, buffers and modes are bit for bit the same."""
    torch.manual_seed(0)
    case = classifier(MODELS[name](), steps=20)
    before = {key: value.clone() for key, value in case.model.state_dict().items()}
    sharpness = measure_sharpness(case.model, case.loss_sum, case.counts, seed=0)
    assert sharpness.num_samples == 150
    assert sharpness.asam > 0.0
    assert sharpness.keskar > 0.0
    assert sharpness.hessian_top_eigenvalue > 0.0
    after = case.model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(module.training for module in case.model.modules())
    assert all(parameter.grad is None for parameter in case.model.parameters())


def test_the_same_seed_gives_the_same_record(classifier, mlp):
    """Determinism in the seed, and torch's own random state is left alone."""
    case = classifier(mlp(dtype=torch.float32))
    state = torch.get_rng_state()
    first = measure_sharpness(case.model, case.loss_sum, case.counts, seed=7)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert measure_sharpness(case.model, case.loss_sum, case.counts, seed=7) == first


def test_passes_do_not_change_the_record(classifier, mlp):
    """Cut into other passes the values are the same up to rounding."""
    case = classifier(mlp())
    whole, cut = (
        measure_sharpness(
            case.model, case.loss_sum, case.counts, seed=0, samples_per_pass=samples_per_pass
        )
        for samples_per_pass in (150, 11)
    )
    assert cut.asam == pytest.approx(whole.asam, rel=1e-6)
    assert cut.keskar == pytest.approx(whole.keskar, rel=1e-6)
    assert cut.hessian_top_eigenvalue == pytest.approx(whole.hessian_top_eigenvalue, rel=1e-6)


def test_an_error_of_the_model_passes_through(classifier, mlp):
    """A loss that raises midway raises here, and the model is as before."""
    case = classifier(mlp(dtype=torch.float32))
    before = [parameter.detach().clone() for parameter in case.model.parameters()]
    calls = iter(range(9))

    def loss_sum(samples):
        if next(calls) == 5:
            raise KeyError("no such sample")
        return case.loss_sum(samples)

    with pytest.raises(KeyError, match="no such sample"):
        measure_sharpness(case.model, loss_sum, case.counts, seed=0, samples_per_pass=50)
    assert all(map(torch.equal, before, case.model.parameters()))
    assert case.model.training


def test_a_loss_that_is_not_finite_is_none(classifier, mlp):
    """A diverged model has no sharpness, and that is said rather than raised."""
    case = classifier(mlp(dtype=torch.float32))
    with torch.no_grad():
        case.model[0].weight[0, 0] = float("nan")
    sharpness = measure_sharpness(case.model, case.loss_sum, case.counts, seed=0)
    assert sharpness == Sharpness(
        asam=None, keskar=None, hessian_top_eigenvalue=None, num_samples=150
    )
    assert case.model[0].weight.isnan().sum() == 1


def test_nothing_to_perturb_is_none(classifier, mlp):
    """A model without trainable parameters has no measure."""
    case = classifier(mlp())
    case.model.requires_grad_(requires_grad=False)
    sharpness = measure_sharpness(case.model, case.loss_sum, case.counts, seed=0)
    assert (sharpness.asam, sharpness.keskar, sharpness.hessian_top_eigenvalue) == (None,) * 3


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError(), MemoryError(), RuntimeError("DefaultCPUAllocator: out of memory")],
)
def test_passes_shrink_until_they_fit(classifier, mlp, error):
    """Where only 20 samples fit into memory the values are those of a larger machine."""
    case = classifier(mlp())
    roomy = measure_sharpness(case.model, case.loss_sum, case.counts, seed=0)

    def loss_sum(samples):
        if samples.stop - samples.start > 20:
            raise error
        return case.loss_sum(samples)

    tight = measure_sharpness(case.model, loss_sum, case.counts, seed=0)
    assert tight.asam == pytest.approx(roomy.asam, rel=1e-6)
    assert tight.keskar == pytest.approx(roomy.keskar, rel=1e-6)
    assert tight.hessian_top_eigenvalue == pytest.approx(roomy.hessian_top_eigenvalue, rel=1e-6)


def test_what_never_fits_is_none(classifier, mlp):
    """Where not even one sample fits the measures are None, and nothing is raised."""
    case = classifier(mlp())

    def loss_sum(samples):
        raise torch.OutOfMemoryError

    sharpness = measure_sharpness(case.model, loss_sum, case.counts, seed=0)
    assert (sharpness.asam, sharpness.keskar, sharpness.hessian_top_eigenvalue) == (None,) * 3


def test_one_measure_that_never_fits_leaves_the_others(classifier, mlp):
    """Where Hessian products alone do not fit, ASAM and phi are still there."""
    case = classifier(mlp())

    def exhausted(gradient):
        if torch.is_grad_enabled():
            raise torch.OutOfMemoryError
        return gradient

    def loss_sum(samples):
        loss = case.loss_sum(samples)
        if loss.requires_grad:
            loss.register_hook(exhausted)
        return loss

    sharpness = measure_sharpness(case.model, loss_sum, case.counts, seed=0)
    assert sharpness.hessian_top_eigenvalue is None
    assert sharpness.asam > 0.0
    assert sharpness.keskar > 0.0


def test_frozen_parameters_are_not_perturbed(classifier, mlp):
    """Freezing a layer leaves it out: the eigenvalue can only become smaller."""
    case = classifier(mlp())
    free = measure_sharpness(case.model, case.loss_sum, case.counts, seed=0)
    case.model[0].requires_grad_(requires_grad=False)
    part = measure_sharpness(case.model, case.loss_sum, case.counts, seed=0)
    assert part.hessian_top_eigenvalue <= free.hessian_top_eigenvalue * 1.001
    assert part.keskar < free.keskar


def test_token_counts_are_the_denominator(classifier):
    """A causal loss over sequences of unequal length is a mean over tokens."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))
    tokens = torch.randint(0, 5, (40, 6))
    targets = tokens.roll(-1, 1)
    targets[::2, 3:] = -100

    def loss_sum(samples):
        return cross_entropy(
            model(tokens[samples]).flatten(0, 1), targets[samples].flatten(), reduction="sum"
        )

    counts = (targets != -100).sum(1)
    plain = measure_sharpness(model, loss_sum, counts, seed=0)
    doubled = measure_sharpness(model, loss_sum, counts * 2, seed=0)
    assert doubled.asam == pytest.approx(plain.asam / 2, rel=1e-4)
    assert doubled.hessian_top_eigenvalue == pytest.approx(
        plain.hessian_top_eigenvalue / 2, rel=1e-3
    )
