"""Maps that know nothing of the network: what a method has to beat before it explains anything."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from skimage.filters import sobel
from torch import nn

from shared.saliency.base import Attribution, Sign

__all__ = ["EdgeMap", "RandomMap"]


class RandomMap(Attribution):
    """Standard normal noise: the chance level of every quality metric.

    The draws depend on the seed and on the content of the image, so that images get independent maps and each keeps its
    own whatever else is in the batch; the global random state is neither read nor changed.

    Args:
        network: classifier; not used.
        seed: seed of the draws.
    """

    def __init__(self, network: nn.Module, seed: int = 0) -> None:
        super().__init__(network)
        self.seed = seed

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:  # noqa: ARG002
        return torch.stack([self._noise(image) for image in images.cpu()]).to(images)

    def _noise(self, image: torch.Tensor) -> torch.Tensor:
        digest = hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=8).digest()
        generator = np.random.default_rng([self.seed, int.from_bytes(digest, "big")])
        return torch.from_numpy(generator.standard_normal(tuple(image.shape)))


class EdgeMap(Attribution):
    """Magnitude of the Sobel gradient per channel (``skimage.filters.sobel``): an edge detector, not negative.

    A method whose maps are hardly better than this may show edges and not reasons (Adebayo et al. 2018, "Sanity checks
    for saliency maps").

    Args:
        network: classifier; not used.
    """

    sign: Sign = "positive"

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:  # noqa: ARG002
        planes = images.flatten(0, 1).cpu().numpy()  # (B * C, H, W)
        return torch.from_numpy(np.stack([sobel(plane) for plane in planes])).view_as(images).to(images)
