"""Training slides that the network finds most like a slide, by its pooled embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.explained_slide import ExplainedSlide
from scripts.feature_file import FeatureBag
from scripts.networks import BagClassifier
from shared.saliency.base import evaluation_mode

__all__ = ["SlideItem", "SlideItems", "slide_embedding", "slide_picture"]

Record = Mapping[str, Any]
#: a slide's record and its tiles
SlideItem = tuple[Record, FeatureBag]


class SlideItems(Sequence[SlideItem]):
    """Slides with their tiles, read when they are asked for.

    Args:
        records: of the slides.
        read: returns the tiles of a record.
    """

    def __init__(self, records: Sequence[Record], read: Callable[[Record], FeatureBag]) -> None:
        self.records = records
        self.read = read

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, place: int) -> SlideItem:  # type: ignore[override]
        """Return the record at a place and its tiles."""
        return self.records[place], self.read(self.records[place])


def slide_embedding(network: BagClassifier) -> Callable[[Sequence[SlideItem]], torch.Tensor]:
    """Return what embeds slides by the network's pooled embedding, ``(b, D)``.

    Args:
        network: put into evaluation mode for the call.
    """

    def embed(items: Sequence[SlideItem]) -> torch.Tensor:
        device = next(network.parameters()).device
        features = np.concatenate([bag.features.astype(np.float32) for _, bag in items])
        lengths = torch.tensor([len(bag.features) for _, bag in items], device=device)
        with evaluation_mode(network):
            return network.outputs(torch.from_numpy(features).to(device), lengths)["embedding"]

    return embed


def slide_picture(item: SlideItem, longest: int) -> NDArray[np.uint8]:
    """Return a slide's thumbnail, ``(H, W, 3)``; a blank canvas where the slide itself is missing.

    Args:
        item: the slide.
        longest: its longer side, pixels.
    """
    slide = ExplainedSlide(*item)
    try:
        return slide.view(longest).picture
    finally:
        slide.close()
