"""Values that know nothing of the model: what a method has to beat before it explains anything."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor, nn

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution

__all__ = ["RandomValues"]


class RandomValues(BagAttribution):
    """Standard normal noise.

    The draws depend on the seed and on the bag's content, so that bags get independent values and each keeps its own;
    the global random state is neither read nor changed.

    Args:
        model: bag classifier; not used.
        target: index of the logit; not used.
        seed: seed of the draws.
    """

    unit = "noise"

    def __init__(self, model: nn.Module, target: int = 0, seed: int = 0) -> None:
        super().__init__(model, target)
        self.seed = seed

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:  # noqa: ARG002
        digest = hashlib.blake2b(features.cpu().contiguous().numpy().tobytes(), digest_size=8).digest()
        generator = np.random.default_rng([self.seed, int.from_bytes(digest, "big")])
        return torch.from_numpy(generator.standard_normal(len(features))).to(features.device)
