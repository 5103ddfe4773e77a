"""Training patients whom the network finds most like a patient, by the pooled embedding of their cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.networks import ImageClassifier, TwoExperts
from shared.saliency.base import evaluation_mode

__all__ = ["patient_embedding", "patient_picture"]

#: rows and columns of cells that stand for a patient
GRID = 3


def patient_embedding(
    network: ImageClassifier | TwoExperts,
) -> Callable[[Sequence[Mapping[str, Any]]], torch.Tensor]:
    """Return what embeds patients by the network's pooled embedding, ``(b, E)``; attributes do not enter it.

    Args:
        network: put into evaluation mode for the call.
    """
    expert = network.image_expert if isinstance(network, TwoExperts) else network

    def embed(items: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        device = next(expert.parameters()).device
        images = [torch.as_tensor(item["image"]) for item in items]
        lengths = torch.tensor([len(image) for image in images], device=device)
        with evaluation_mode(expert):
            return expert.bag_embeddings(torch.cat(images).to(device), lengths)

    return embed


def patient_picture(item: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return the first cells of a patient side by side, in at most three rows of three, ``(H, W, 3)``.

    Args:
        item: the patient, with ``image`` ``(N, 3, H, W)`` uint8.
    """
    images = np.moveaxis(np.asarray(item["image"][: GRID**2]), 1, -1)  # (n, H, W, 3)
    columns = min(GRID, len(images))
    rows = len(images) // columns  # a row that is not full is left out
    cells = images[: rows * columns].reshape(rows, columns, *images.shape[1:])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in cells], axis=0)
