"""Explained images with what is known of them, for the measures of interpretability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

__all__ = ["ImageSamples"]

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class ImageSamples:
    """N images of which each is explained for one class; all on the grid of the network's input.

    Attributes:
        images: the network's inputs ``(N, C, H, W)``, on its device.
        targets: class that is explained of each ``(N,)``.
        labels: name of each sample's class; ``None`` where it is unknown.
        groups: donor or patient of each sample ``(N,)``; ``None`` if samples are drawn singly.
        names: what tells each sample from all others of the data, in this run and in others; ``None`` if that is not
            known: then samples of two runs cannot be paired.
        cause: where the cause of the class is ``(N, H, W)``, empty where a sample's is unknown; ``None`` if all are, as
            for the next three.
        background: what cannot matter.
        distractor: structures drawn to mislead.
        shortcut: a mark that goes with a class without causing it.
        resampled: what a bootstrap of these samples draws, for the file: ``by``, ``n`` and perhaps ``warning``;
            ``None`` if that is not known, as of a subset.

    Raises:
        ValueError: if there is no image, or shapes differ.
    """

    images: torch.Tensor
    targets: torch.Tensor
    labels: Sequence[str | None]
    groups: ArrayLike | None = None
    names: Sequence[str] | None = None
    cause: Masks | None = None
    background: Masks | None = None
    distractor: Masks | None = None
    shortcut: Masks | None = None
    resampled: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        n, shape = len(self.images), (len(self.images), *self.images.shape[2:])
        if n == 0:
            raise ValueError("expected at least one image")
        if self.names is not None and len(set(self.names)) != n:
            raise ValueError(f"found {len(set(self.names))} different names of {n} samples")
        if self.targets.shape != (n,) or len(self.labels) != n:
            raise ValueError(f"found {n} images, targets {tuple(self.targets.shape)} and {len(self.labels)} labels")
        for name in ("cause", "background", "distractor", "shortcut"):
            region = getattr(self, name)
            if region is not None and region.shape != shape:
                raise ValueError(f"{name}: found {region.shape}, expected {shape}")

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, count: int, seed: int = 0) -> NDArray[np.intp]:
        """Return the places of ``count`` samples, drawn at random and in their order; of all if there are no more."""
        drawn = np.random.default_rng(seed).choice(len(self), min(count, len(self)), replace=False)
        return np.sort(drawn)

    def subset(self, places: NDArray[np.integer]) -> ImageSamples:
        """Return the samples at some places."""
        index = torch.as_tensor(places, dtype=torch.int64, device=self.images.device)
        regions = {
            name: None if (region := getattr(self, name)) is None else region[places]
            for name in ("cause", "background", "distractor", "shortcut")
        }
        return ImageSamples(
            images=self.images[index],
            targets=self.targets[index.to(self.targets.device)],
            labels=[self.labels[place] for place in places],
            groups=None if self.groups is None else np.asarray(self.groups)[places],
            names=None if self.names is None else [self.names[place] for place in places],
            **regions,
        )
