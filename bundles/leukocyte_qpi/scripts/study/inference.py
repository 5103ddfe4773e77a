"""From phases to logits, outside of a bundle's evaluator: for images that are changed on the way."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.preprocessing import normalise_phase

__all__ = ["BATCH", "normalised", "predicted_logits"]

BATCH = 128


def normalised(phase: NDArray[np.float32], phase_range: tuple[float, float]) -> torch.Tensor:
    """Return phases ``(N, H, W)`` as the network sees them, ``(N, 1, H, W)``, by what the bundle does to files."""
    return torch.from_numpy(np.ascontiguousarray(normalise_phase(phase, phase_range, clip=False), dtype=np.float32))[
        :, None
    ]


def predicted_logits(network: torch.nn.Module, images: torch.Tensor) -> NDArray[np.float32]:
    """Return single-pass logits ``(N, K)``; the network is in evaluation mode."""
    with torch.no_grad():
        return torch.cat([network(part) for part in images.split(BATCH)]).numpy()
