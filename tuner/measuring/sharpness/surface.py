"""The mean loss over a fixed set, as a function of all trainable parameters at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LossSum = Callable[[slice], Tensor]
"""Differentiable sum of the loss over the samples of a slice, a tensor with one element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSurface:
    """Mean loss over slices of a fixed set, at the origin or a given offset from it.

    A *vector* is a flat tensor (n,) over all trainable parameters, tied ones once. The
    parameters stay where `move` put them; `on_surface` brings them home.

    Memory: the origin is a copy of the parameters; a gradient is one vector more.

    Args:
        parameters: The trainable parameters, in the order in which vectors hold them.
        origin: Copies of their values, in the same order.
        loss_sum: Sum of the loss over the samples of a slice.
        cumulative_counts: Counted items before each sample (N + 1 numbers).
        samples_per_pass: Samples of one forward or backward pass at most.
    """

    parameters: tuple[nn.Parameter, ...]
    origin: tuple[Tensor, ...]
    loss_sum: LossSum
    cumulative_counts: tuple[float, ...]
    samples_per_pass: int

    @property
    def num_samples(self) -> int:
        """Samples of the fixed set, N."""
        return len(self.cumulative_counts) - 1

    @property
    def everything(self) -> slice:
        """The whole set."""
        return slice(0, self.num_samples)

    @property
    def size(self) -> int:
        """Trainable parameters, n."""
        return sum(parameter.numel() for parameter in self.parameters)

    @property
    def device(self) -> torch.device:
        """Where parameters and vectors live."""
        return self.parameters[0].device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of vectors: float32, or float64 where a parameter is of that."""
        doubles = any(parameter.dtype == torch.float64 for parameter in self.parameters)
        return torch.float64 if doubles else torch.float32

    def count(self, samples: slice) -> float:
        """Counted items among the samples of a slice."""
        before, after = (self.cumulative_counts[end] for end in (samples.start, samples.stop))
        return float(after - before)

    def zeros(self) -> Tensor:
        """A new vector of zeros."""
        return torch.zeros(self.size, device=self.device, dtype=self.dtype)

    def views(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector (n,) into views of the shapes of the parameters."""
        sizes = [parameter.numel() for parameter in self.parameters]
        parts = torch.functional.split(vector, sizes)
        return [
            part.view(parameter.shape)
            for part, parameter in zip(parts, self.parameters, strict=True)
        ]

    def position(self) -> Tensor:
        """The origin as a new vector (n,)."""
        vector = self.zeros()
        for view, start in zip(self.views(vector), self.origin, strict=True):
            view.copy_(start)
        return vector

    @torch.no_grad()
    def move(self, offset: Tensor) -> None:
        """Put the parameters at the origin plus `offset` (n,)."""
        steps = self.views(offset)
        for parameter, start, step in zip(self.parameters, self.origin, steps, strict=True):
            parameter.copy_(start)
            parameter.add_(step)

    @torch.no_grad()
    def move_home(self) -> None:
        """Put the parameters at the origin, bit for bit."""
        for parameter, start in zip(self.parameters, self.origin, strict=True):
            parameter.copy_(start)

    def passes(self, samples: slice) -> Iterator[slice]:
        """Cut a slice into slices of at most `samples_per_pass` samples."""
        for start in range(samples.start, samples.stop, self.samples_per_pass):
            yield slice(start, min(start + self.samples_per_pass, samples.stop))

    @torch.no_grad()
    def loss(self, samples: slice) -> float:
        """Mean loss over a slice where the parameters are: forward passes only."""
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        for part in self.passes(samples):
            total += self.loss_sum(part).detach().reshape(())
        return _ratio(total, self.count(samples))

    def gradient(self, samples: slice) -> tuple[float, Tensor]:
        """Mean loss and its gradient (n,) over a slice: one gradient evaluation."""
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        vector = self.zeros()
        for part in self.passes(samples):
            loss = self.loss_sum(part)
            total += loss.detach().reshape(())
            self._accumulate(vector, self._derivatives(loss, create_graph=False))
        count = self.count(samples)
        return _ratio(total, count), vector.div_(count)

    def hessian_product(self, vector: Tensor) -> Tensor:
        """Product (n,) of the mean loss's Hessian with a vector, by double backward.

        Costs about 2.5 gradient evaluations (Pearlmutter 1994); where many products are taken,
        `GradientGraphs` spares one of them.

        Args:
            vector: Of shape (n,).

        Returns:
            The product, over the whole set, where the parameters are.

        Raises:
            RuntimeError: An operation of the model has no second derivative.
        """
        along = self.views(vector)
        product = self.zeros()
        for part in self.passes(self.everything):
            self.add_product(product, self.gradient_graph(part), along, keep_graph=False)
        return product.div_(self.count(self.everything))

    def gradient_graph(self, part: slice) -> tuple[Tensor, ...]:
        """Gradient of the loss's sum over one pass, by parameters, with its graph.

        The graph serves as long as the parameters stay where they are, and takes the memory of
        about two passes until the gradient is let go.
        """
        return self._derivatives(self.loss_sum(part), create_graph=True)

    def add_product(
        self,
        total: Tensor,
        gradients: tuple[Tensor, ...],
        along: Sequence[Tensor],
        *,
        keep_graph: bool,
    ) -> None:
        """Add what one pass has to a Hessian-vector product: about 1.5 gradient evaluations.

        Args:
            total: The sum so far, shape (n,), changed in place.
            gradients: Of the pass, from `gradient_graph`.
            along: The vector in views.
            keep_graph: Whether the graph is differentiated again.
        """
        self._accumulate(total, self._second_derivatives(gradients, along, keep_graph=keep_graph))

    def curvatures(self, vectors: Tensor) -> Tensor:
        """Curvature v^T H v of the mean loss along several vectors v, by double backward.

        The gradient of a pass, with its graph, serves all vectors: each costs about 1.5
        gradient evaluations, and the graph one more for all of them.

        Args:
            vectors: Of shape (k, n).

        Returns:
            Shape (k,) in float64, over the whole set, where the parameters are.

        Raises:
            RuntimeError: An operation of the model has no second derivative.
        """
        totals = torch.zeros(len(vectors), device=self.device, dtype=torch.float64)
        for part in self.passes(self.everything):
            gradients = self.gradient_graph(part)
            for number, vector in enumerate(vectors):
                along = self.views(vector)
                products = self._second_derivatives(
                    gradients, along, keep_graph=number + 1 < len(vectors)
                )
                for direction, product in zip(along, products, strict=True):
                    totals[number] += (direction * product).sum(dtype=torch.float64)
        return totals.div_(self.count(self.everything))

    def _second_derivatives(
        self, gradients: tuple[Tensor, ...], along: Sequence[Tensor], *, keep_graph: bool
    ) -> tuple[Tensor, ...]:
        # A gradient that does not depend on the parameters has no graph: a zero Hessian.
        curved = [place for place, gradient in enumerate(gradients) if gradient.requires_grad]
        if not curved:
            return tuple(torch.zeros_like(parameter) for parameter in self.parameters)
        return torch.autograd.grad(
            [gradients[place] for place in curved],
            self.parameters,
            [along[place].to(gradients[place]) for place in curved],
            retain_graph=keep_graph,
            materialize_grads=True,
        )

    def _derivatives(self, value: Tensor, *, create_graph: bool) -> tuple[Tensor, ...]:
        return torch.autograd.grad(
            value.reshape(()),
            self.parameters,
            create_graph=create_graph,
            materialize_grads=True,
        )

    @torch.no_grad()
    def _accumulate(self, vector: Tensor, parts: tuple[Tensor, ...]) -> None:
        for view, part in zip(self.views(vector), parts, strict=True):
            view.add_(part)


@contextmanager
def on_surface(
    model: nn.Module, loss_sum: LossSum, counts: Tensor, *, samples_per_pass: int
) -> Iterator[LossSurface]:
    """Look at a model's loss surface and leave the model as it was.

    Inside, the model is in eval mode and computes in full fp32 (no autocast, no TF32 in
    convolutions). On the way out, also by an exception, parameters are the same bit for bit,
    each module has its mode back, and gradients are None.

    Args:
        model: Its trainable parameters, at least one, span the surface.
        loss_sum: Sum of the loss over a slice of the fixed set, with the parameters of now.
        counts: Counted items of each sample, shape (N,).
        samples_per_pass: Samples of one pass at most.

    Yields:
        The surface, its parameters at the origin.
    """
    parameters = tuple(parameter for parameter in model.parameters() if parameter.requires_grad)
    modes = [(module, module.training) for module in model.modules()]
    surface = LossSurface(
        parameters=parameters,
        origin=tuple(parameter.detach().clone() for parameter in parameters),
        loss_sum=loss_sum,
        cumulative_counts=_cumulative(counts),
        samples_per_pass=samples_per_pass,
    )
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.autocast(surface.device.type, enabled=False))
            stack.enter_context(
                torch.backends.cudnn.flags(enabled=_takes_cudnn(model), allow_tf32=False)
            )
            model.eval()
            model.zero_grad(set_to_none=True)
            yield surface
    finally:
        surface.move_home()
        model.zero_grad(set_to_none=True)
        for module, training in modes:
            module.training = training


def _takes_cudnn(model: nn.Module) -> bool:
    # cuDNN differentiates recurrent layers in training mode only, and never twice.
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    return bool(torch.backends.cudnn.enabled) and not recurrent


def _cumulative(counts: Tensor) -> tuple[float, ...]:
    sums: list[float] = counts.detach().to("cpu", torch.float64).cumsum(0).tolist()
    return (0.0, *sums)


def _ratio(total: Tensor, count: float) -> float:
    return float(total) / count if count else float("nan")
