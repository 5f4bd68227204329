"""Products from kept graphs: the same values, fewer passes, and nothing left behind."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager, suppress

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tuner.measuring.sharpness import graphs, on_surface
from tuner.measuring.sharpness.graphs import GradientGraphs, graph_bytes
from tuner.measuring.sharpness.hessian import HessianProduct

PASSES = 3


class Counted:
    """A loss that counts its calls, and can raise at one of them."""

    def __init__(self, case) -> None:
        self.case = case
        self.calls = 0
        self.raises: dict[int, BaseException] = {}

    def __call__(self, samples):
        """Return the loss's sum over the slice."""
        self.calls += 1
        if self.calls in self.raises:
            raise self.raises[self.calls]
        return self.case.loss_sum(samples)


@pytest.fixture
def case(classifier, mlp):
    """Give a trained perceptron on 150 samples."""
    return classifier(mlp())


@contextmanager
def surface_of(case, loss):
    """Look at a loss in three passes."""
    with on_surface(case.model, loss, case.counts, samples_per_pass=50) as surface:
        yield surface


def vectors(surface, number=3):
    """Draw vectors to multiply."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(number, surface.size, generator=generator, dtype=surface.dtype)


def bytes_of_a_pass(case):
    """Say what the graph of one pass takes."""
    with surface_of(case, case.loss_sum) as surface:
        return graph_bytes(surface.gradient_graph(slice(0, 50)), surface.parameters)


@pytest.mark.parametrize("kept", [0, 1, 2, PASSES])
def test_products_are_the_same_however_many_graphs_are_kept(case, monkeypatch, kept):
    """A limit keeps what fits below it, each pass that is kept runs once, and values agree."""
    monkeypatch.setattr(graphs, "GRAPH_BYTES", int((kept + 0.5) * bytes_of_a_pass(case)))
    loss = Counted(case)
    with surface_of(case, loss) as surface, GradientGraphs(surface) as together:
        given = vectors(surface)
        products = [together.product(vector) for vector in given]
        assert together.kept == kept
        assert loss.calls == kept + len(given) * (PASSES - kept)
        for vector, product in zip(given, products, strict=True):
            torch.testing.assert_close(product, surface.hessian_product(vector))


def test_no_more_is_kept_than_a_share_of_free_memory(case, monkeypatch):
    """On a machine with little left the graphs of one pass are all that is kept."""
    free = int(1.5 * bytes_of_a_pass(case) / graphs.FREE_SHARE)
    monkeypatch.setattr(graphs, "available_memory_bytes", lambda: free)
    with surface_of(case, case.loss_sum) as surface, GradientGraphs(surface) as together:
        together.product(vectors(surface)[0])
        assert together.kept == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(), MemoryError()])
def test_when_memory_runs_out_nothing_is_kept_any_more(case, error):
    """The product is taken again without kept graphs, and so are all that follow."""
    loss = Counted(case)
    loss.raises[PASSES] = error
    with surface_of(case, loss) as surface, GradientGraphs(surface) as together:
        first, second, _ = vectors(surface)
        product = together.product(first)
        assert together.kept == 0
        assert loss.calls == PASSES + PASSES
        together.product(second)
        assert loss.calls == 3 * PASSES
        torch.testing.assert_close(product, surface.hessian_product(first))


def test_without_anything_kept_out_of_memory_is_raised(case, monkeypatch):
    """Passes that do not fit on their own are for the caller to make smaller."""
    monkeypatch.setattr(graphs, "GRAPH_BYTES", 0)
    loss = Counted(case)
    loss.raises[2] = torch.OutOfMemoryError()
    with surface_of(case, loss) as surface, GradientGraphs(surface) as together:
        with pytest.raises(torch.OutOfMemoryError):
            together.product(vectors(surface)[0])
        assert loss.calls == 2


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_graphs_are_let_go_at_the_end(case, ends):
    """What a forward pass has left for its graph is gone when the context is left."""
    seen = []

    def fail():
        raise KeyError(ends)

    hook = case.model[1].register_forward_hook(lambda *call: seen.append(weakref.ref(call[2])))
    with surface_of(case, case.loss_sum) as surface:
        with suppress(KeyError), HessianProduct(surface) as product:
            product(vectors(surface)[0])
            assert sum(tensor() is not None for tensor in seen) == PASSES
            if ends == "badly":
                fail()
        gc.collect()
        assert not any(tensor() is not None for tensor in seen)
    hook.remove()


def test_graphs_are_let_go_before_gradients_are_differenced(case):
    """Where a later pass has no second derivative, all products are of differences."""
    loss = Counted(case)
    loss.raises[3] = RuntimeError("derivative for the operation is not implemented")
    with surface_of(case, case.loss_sum) as surface:
        expected = surface.hessian_product(vectors(surface)[0])
    with surface_of(case, loss) as surface, HessianProduct(surface) as product:
        loss.calls = 0
        unit = vectors(surface)[0]
        norm = unit.norm()
        for _ in range(2):
            found = product(unit / norm) * norm
            torch.testing.assert_close(found, expected, rtol=0.05, atol=1e-3)
        assert product.step is not None


def test_a_graph_is_as_large_as_what_it_saved():
    """Bytes grow with the samples; neither parameters nor the set that is sliced are counted."""
    weight = nn.Parameter(torch.ones(1000, dtype=torch.float64))
    everything = torch.ones(100_000, 4, dtype=torch.float64)

    def taken(samples):
        value = torch.outer(everything[:samples].sum(1), weight).tanh().square().sum()
        return graph_bytes(torch.autograd.grad(value, weight, create_graph=True), [weight])

    one, two = taken(100), taken(200)
    assert 100 * 1000 * 8 < one < everything.untyped_storage().nbytes()
    assert two == pytest.approx(2 * one, rel=0.02)


def test_a_graph_that_hides_what_it_saved_is_not_kept(case):
    """Where tensors come back only during a backward pass, every product computes its own."""

    def unpack(tensor):
        if torch._C._current_graph_task_id() == -1:
            raise RuntimeError("not outside of a backward pass")
        return tensor

    def loss_sum(samples):
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
            return case.loss_sum(samples)

    with surface_of(case, loss_sum) as surface, HessianProduct(surface) as product:
        first = vectors(surface)[0]
        found = product(first)
        assert product.step is None
        assert product.kept == 0
    with surface_of(case, case.loss_sum) as surface:
        torch.testing.assert_close(found, surface.hessian_product(first))


def test_a_model_that_computes_activations_again_gives_the_same(case):
    """Checkpointed activations change nothing in a product, nor in the next one."""

    class Again(nn.Module):
        def __init__(self, inner) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, inputs):
            return checkpoint(self.inner, inputs, use_reentrant=False)

    with surface_of(case, case.loss_sum) as surface:
        given = vectors(surface)
        expected = [surface.hessian_product(vector) for vector in given]
    case.model[1] = Again(case.model[1])
    with surface_of(case, case.loss_sum) as surface, HessianProduct(surface) as product:
        found = [product(vector) for vector in given]
        assert product.step is None
    torch.testing.assert_close(found, expected)
