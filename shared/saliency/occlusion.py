"""Occlusion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from shared.saliency.base import Attribution, ClassMaps
from shared.saliency.baseline import Baseline, baseline_images
from shared.saliency.targets import resolve_classes, resolve_target

__all__ = ["Occlusion"]


class Occlusion(Attribution):
    """Occlusion (Zeiler and Fergus 2014, section 4.2): what the logit loses when a window is covered; signed.

    ``M_c(i, j)`` is the mean of ``S_c(x) - S_c(x with window w covered)`` over the windows w that hold pixel (i, j).
    The windows begin at the upper left corner and stand a stride apart, until the image is covered; the last ones may
    reach beyond it. Every channel carries the map. Needs no gradient, and the network runs once for each window,
    however many classes are explained.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        window: side of the window in pixels.
        stride: distance of neighbouring windows in pixels, at most ``window``.
        baseline: what a covered window shows: a grey value, ``"mean"`` or ``"minimum"`` of each image.
        chunk_size: largest number of covered images in memory at once.

    Raises:
        ValueError: if a number is out of its range; in ``attribute``, if the window covers a whole image.
    """

    def __init__(
        self, network: nn.Module, window: int = 16, stride: int = 8, baseline: Baseline = 0.0, chunk_size: int = 64
    ) -> None:
        super().__init__(network)
        if not 1 <= stride <= window or chunk_size < 1:
            raise ValueError(
                "stride must be from 1 to window and chunk_size at least 1, "
                f"found stride {stride}, window {window}, chunk_size {chunk_size}"
            )
        self.window = window
        self.stride = stride
        self.baseline = baseline
        self.chunk_size = chunk_size

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        logits = self.predict(images)
        targets = resolve_target(logits, target)
        return self._losses(images, logits, targets[:, None])[:, 0]

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        logits = self.predict(images)
        chosen = torch.tensor(resolve_classes(logits, classes), device=images.device)
        return ClassMaps(logits, self._losses(images, logits, chosen.expand(len(images), -1)))

    def _losses(self, images: torch.Tensor, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return the maps ``(B, n, C, H, W)`` of each image's n classes ``(B, n)``."""
        height, width = images.shape[2:]
        if self.window >= max(height, width):
            raise ValueError(
                f"a window of {self.window} covers the whole image of {height} x {width}: choose a smaller"
            )
        rows, columns = (self._covering(size) for size in (height, width))
        baselines = baseline_images(images, self.baseline)
        scores = []
        for index in torch.arange(len(images) * rows * columns, device=images.device).split(self.chunk_size):
            image, place = index // (rows * columns), index % (rows * columns)
            covered = self._inside(place // columns, height)[:, :, None] & self._inside(place % columns, width)[:, None]
            seen = torch.where(covered[:, None], baselines[image], images[image])  # (m, C, H, W)
            scores.append(self.predict(seen).gather(1, classes[image]))
        losses = logits.gather(1, classes)[:, None] - torch.cat(scores).view(len(images), rows * columns, -1)
        spread = self._spread(losses.mT.reshape(-1, 1, rows, columns), height, width)
        number = self._spread(losses.new_ones(1, 1, rows, columns), height, width)
        maps = (spread / number).view(*classes.shape, 1, height, width)
        return maps.repeat(1, 1, images.shape[1], 1, 1)

    def _covering(self, size: int) -> int:
        """Return how many windows cover a side of so many pixels."""
        return max(0, math.ceil((size - self.window) / self.stride)) + 1

    def _inside(self, place: torch.Tensor, size: int) -> torch.Tensor:
        """Return which pixels of a side lie in the windows at these places ``(m,)``: ``(m, size)``."""
        offset = torch.arange(size, device=place.device) - self.stride * place[:, None]
        return (offset >= 0) & (offset < self.window)

    def _spread(self, values: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return for each pixel the sum of the values ``(N, 1, rows, columns)`` of the windows that hold it."""
        kernel = values.new_ones(1, 1, self.window, self.window)
        return F.conv_transpose2d(values, kernel, stride=self.stride)[:, :, :height, :width]
