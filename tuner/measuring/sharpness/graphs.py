"""Many Hessian-vector products at one place, from gradients whose graphs are kept."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

import torch

from tuner.machine import available_memory_bytes
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from torch import Tensor
    from torch.autograd.graph import Node

    from tuner.measuring.sharpness.surface import LossSurface

GRAPH_BYTES: Final = 2**31
"""Memory that kept graphs may take."""

FREE_SHARE: Final = 0.25
"""Share of the memory free at the start that kept graphs may take: products need the rest."""


class GradientGraphs(AbstractContextManager["GradientGraphs"]):
    """Hessian-vector products that differentiate the gradient of each pass only once more.

    The first product keeps the gradients of as many passes as memory may hold, with their
    graphs; those of the other passes are computed again for every product, and all of them once
    memory ran out. A product from kept graphs costs about 1.5 gradient evaluations, not 2.5.
    Leaving the context lets go of all graphs.

    Args:
        surface: Its parameters stay where they are between products.
    """

    def __init__(self, surface: LossSurface) -> None:
        self._surface = surface
        self._kept: dict[int, tuple[Tensor, ...]] = {}
        self._places: int | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of all graphs."""
        self.drop()

    @property
    def kept(self) -> int:
        """Passes whose graphs are in memory."""
        return len(self._kept)

    def drop(self) -> None:
        """Let go of all graphs and keep no more."""
        self._kept.clear()
        self._places = 0

    def product(self, vector: Tensor) -> Tensor:
        """Multiply a vector (n,) by the Hessian of the mean loss, as `hessian_product` does.

        Raises:
            RuntimeError: An operation of the model has no second derivative.
            Exception: Memory ran out though nothing was kept.
        """
        try:
            return self._product(vector)
        except Exception as error:
            if self._places == 0 or not is_out_of_memory(error):
                raise
            forget(error)
        self.drop()
        release(self._surface.device)
        return self._product(vector)

    def _product(self, vector: Tensor) -> Tensor:
        surface = self._surface
        along = surface.views(vector)
        total = surface.zeros()
        for part in surface.passes(surface.everything):
            gradients = self._kept.get(part.start)
            if gradients is None:
                gradients = surface.gradient_graph(part)
                self._offer(part, gradients)
            surface.add_product(total, gradients, along, keep_graph=part.start in self._kept)
        return total.div_(surface.count(surface.everything))

    def _offer(self, part: slice, gradients: tuple[Tensor, ...]) -> None:
        if self._places is None:
            # Passes are of one size, so the first one speaks for all.
            each = graph_bytes(gradients, self._surface.parameters)
            room = min(GRAPH_BYTES, int(FREE_SHARE * _free_bytes(self._surface.device)))
            self._places = 0 if each is None else room // max(1, each)
        if len(self._kept) < self._places:
            self._kept[part.start] = gradients


def graph_bytes(gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> int | None:
    """Count the bytes that gradients and what their graph has saved take in memory.

    Args:
        gradients: With their graph.
        parameters: Not counted, since they are there anyway.

    Returns:
        The bytes, those of a shared storage once; None where a node does not show what it saved.
    """
    ours = {_storage(parameter) for parameter in parameters}
    seen: dict[int, int] = defaultdict(int)
    sizes: dict[int, int] = {}
    try:
        for tensor in (*gradients, *_saved(gradients)):
            place = _storage(tensor)
            seen[place] += tensor.numel() * tensor.element_size()
            sizes[place] = tensor.untyped_storage().nbytes()
    except RuntimeError:
        return None
    # A view holds its whole storage, but a slice of the samples adds none to what is there.
    return sum(min(size, seen[place]) for place, size in sizes.items() if place not in ours)


def _saved(gradients: Sequence[Tensor]) -> Iterator[Tensor]:
    seen: set[Node] = set()
    ahead = [gradient.grad_fn for gradient in gradients]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        ahead.extend(following for following, _ in node.next_functions)
        for name in dir(node):
            if name.startswith("_saved_"):
                value = getattr(node, name)
                values = value if isinstance(value, tuple | list) else (value,)
                yield from (one for one in values if isinstance(one, torch.Tensor))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_memory_bytes()
