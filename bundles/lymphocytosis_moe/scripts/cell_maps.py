"""Maps of what in a single cell the expert on images responds to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.one_cell import OneCell
from shared.saliency.base import Attribution

__all__ = ["CellMaps"]


class CellMaps:
    """Attribution maps of cells, by method.

    Args:
        one_cell: what is explained.
        methods: attribution methods of it, by name.
        batch_size: cells that are explained at once.
    """

    def __init__(self, one_cell: OneCell, methods: Mapping[str, Attribution], batch_size: int = 64) -> None:
        self.one_cell = one_cell
        self.methods = dict(methods)
        self.batch_size = batch_size

    def __call__(self, method: str, image: torch.Tensor, target: int) -> NDArray[np.float64]:
        """Return maps ``(n, H, W)``, the colours added up.

        Args:
            method: its name.
            image: cells as the network takes them, ``(n, 3, H, W)``.
            target: 0 (reactive) or 1 (tumoral).
        """
        device = next(self.one_cell.parameters()).device
        parts = [self.one_cell.centred(part.to(device)) for part in image.split(self.batch_size)]
        return np.concatenate(
            [self.methods[method].attribute(part, target).sum(dim=1).double().cpu().numpy() for part in parts]
        )
