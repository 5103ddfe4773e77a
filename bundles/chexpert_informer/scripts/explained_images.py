"""The images that explaining chooses from, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.finding_boxes import boxes_of
from scripts.network_input import read_input
from scripts.original_image import OriginalImage
from shared.saliency.boxes import Box

__all__ = ["ExplainedImages"]


@dataclass(frozen=True)
class ExplainedImages:
    """Which images are explained and how they are read.

    Args:
        records: ``id`` and ``image`` (path) of each image; ``label``, ``truth`` (bit image), ``boxes`` (see
            :data:`scripts.finding_boxes.FindingBoxes`), ``patient`` where known.
        classes: names of the findings in the order of the logits.
        image_size: side of the network's input, pixels.
        percentiles: see :class:`scripts.network_input.ChestInput`.
        mode: see :class:`scripts.placement.Placement`.
        marker_bit: bit of the truth images that marks a shortcut; ``None`` if there is none.
    """

    records: Sequence[Mapping[str, Any]]
    classes: Sequence[str]
    image_size: int
    percentiles: Sequence[float] = (0.5, 99.5)
    mode: str = "pad"
    marker_bit: int | None = 32

    def labels(self) -> NDArray[np.float64]:
        """Return the labels ``(N, K)``, NaN where one is unknown."""
        unknown = [None] * len(self.classes)
        rows = [record.get("label") or unknown for record in self.records]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.classes))

    def has_truth(self) -> NDArray[np.bool_]:
        """Return of which images the masks of the findings are known ``(N,)``."""
        return np.array(["truth" in record for record in self.records], dtype=np.bool_)

    def inputs(self, indices: Iterable[int]) -> torch.Tensor:
        """Return the network's inputs of some images ``(n, 1, S, S)``."""
        read = [read_input(self.records[i]["image"], self.image_size, self.percentiles, self.mode)[0] for i in indices]
        return torch.stack(read)

    def original(self, index: int) -> OriginalImage:
        """Read one image on its own grid."""
        record = self.records[index]
        return OriginalImage.read(record["image"], record.get("truth"), self.image_size, self.percentiles, self.mode)

    def has_boxes(self) -> NDArray[np.bool_]:
        """Return around which findings of which images a person drew boxes ``(N, K)``."""
        boxed = [[bool((record.get("boxes") or {}).get(name)) for name in self.classes] for record in self.records]
        return np.array(boxed, dtype=np.bool_).reshape(len(self.records), len(self.classes))

    def boxes(self, index: int, finding: int, shape: Sequence[int]) -> list[Box]:
        """Return the boxes around one finding of one image, in pixels of the image, which has ``shape``."""
        return boxes_of(self.records[index], self.classes[finding], shape)
