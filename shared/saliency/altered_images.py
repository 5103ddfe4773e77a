"""Images drawn again with their cause alone altered, and how a network and its maps respond to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import tqdm

from shared.saliency.base import Attribution, evaluation_mode
from shared.saliency.intervention import rank_response, response_rows, share_in_cause

__all__ = ["AlteredImages", "image_response_rows"]


@dataclass(frozen=True)
class AlteredImages:
    """P samples of one class at S strengths of one property of their cause.

    Args:
        of: what is altered, in words.
        label: name of the class.
        target: its index among the logits.
        strengths: rising, S of them.
        images: the network's inputs ``(P, S, C, H, W)``.
        causes: where the cause is ``(P, S, H, W)``.

    Raises:
        ValueError: if shapes differ.
    """

    of: str
    label: str
    target: int
    strengths: tuple[float, ...]
    images: torch.Tensor
    causes: NDArray[np.bool_]

    def __post_init__(self) -> None:
        p, s, _, h, w = self.images.shape
        if self.causes.shape != (p, s, h, w) or len(self.strengths) != s:
            raise ValueError(
                f"found images {tuple(self.images.shape)}, causes {self.causes.shape} and {len(self.strengths)} "
                "strengths; expected (P, S, C, H, W), (P, S, H, W) and S"
            )


def image_response_rows(
    altered: Sequence[AlteredImages],
    methods: Mapping[str, Attribution],
    network: nn.Module,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
) -> list[dict[str, Any]]:
    """Return the rows of ``output_response`` and of every method's ``map_response``.

    The images of all alterations go through the network, and through each method, together. Of images that two
    alterations share nothing is computed twice.

    Args:
        altered: at least one, all of the same image size.
        methods: explanation methods by their keys.
        network: classifier.
        device: of the network.
        batch_size: images at once.
    """
    images, index = torch.unique(torch.cat([part.images.flatten(0, 1) for part in altered]), dim=0, return_inverse=True)
    targets = torch.cat([torch.full(part.causes.shape[:2], part.target).flatten() for part in altered])
    # what is explained: an image for a class
    pairs, own = torch.unique(torch.stack([index, targets], dim=1), dim=0, return_inverse=True)
    images, explained = images[pairs[:, 0]].to(device), pairs[:, 1]
    batches = list(zip(images.split(batch_size), explained.split(batch_size), strict=True))

    def per_sample(values: NDArray[np.floating]) -> list[NDArray[np.floating]]:
        """Return values of the pairs ``(M, …)`` as ``(P, S, …)`` of each alteration."""
        lengths = [part.causes.shape[0] * part.causes.shape[1] for part in altered]
        parts = np.split(values[own.numpy()], np.cumsum(lengths)[:-1])
        return [
            of_part.reshape(*part.causes.shape[:2], *values.shape[1:])
            for part, of_part in zip(altered, parts, strict=True)
        ]

    strengths = {part.of: part.strengths for part in altered}
    places = [(part.of, part.label) for part in altered]

    with torch.no_grad(), evaluation_mode(network):
        logits = torch.cat([network(batch).gather(1, to[:, None].to(device))[:, 0] for batch, to in batches])
    outputs = per_sample(logits.cpu().numpy())
    responses = [rank_response(values, part.strengths) for values, part in zip(outputs, altered, strict=True)]
    rows = response_rows("output_response", dict(zip(places, responses, strict=True)), None, strengths)
    for name, method in tqdm(methods.items(), desc="altering", unit="method"):
        maps = torch.cat([method.attribute(batch, to).sum(dim=1) for batch, to in batches])
        shares = [
            share_in_cause(values, part.causes, method.sign)
            for values, part in zip(per_sample(maps.cpu().numpy()), altered, strict=True)
        ]
        responses = [rank_response(values, part.strengths) for values, part in zip(shares, altered, strict=True)]
        rows += response_rows("map_response", dict(zip(places, responses, strict=True)), name, strengths)
    return rows
