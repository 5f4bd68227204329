"""A row of blocks that can trade time for memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Blocks(nn.ModuleList):
    """Blocks that run one after the other, kept or computed again in the backward pass.

    Args:
        blocks: Modules whose first argument is the output of the one before.
        checkpointing: Keep the inputs of blocks alone (Chen et al. 2016,
            arXiv:1604.06174). Dropout draws the same numbers again.
    """

    def __init__(self, blocks: Iterable[nn.Module], *, checkpointing: bool) -> None:
        super().__init__(blocks)
        self.checkpointing = checkpointing

    def forward(self, hidden: torch.Tensor, *others: Any) -> torch.Tensor:
        """Run all blocks.

        Args:
            hidden: Input of the first block.
            others: Passed to every block as they are.

        Returns:
            Output of the last block.
        """
        for block in self:
            if self.checkpointing and self.training:
                hidden = checkpoint(block, hidden, *others, use_reentrant=False)
            else:
                hidden = block(hidden, *others)
        return hidden
