"""What a tile is like among the other tiles of its slide, beside what it is like by itself."""

from __future__ import annotations

import torch
from torch import nn

from scripts.standardisation import FeatureStandardisation
from shared.mil.ragged import bag_index, segment_mean

__all__ = ["BagContext"]

#: a, unless another is given
OWN_WEIGHT = 0.3
#: ε, so that a feature that is the same in all of a bag, or a bag of one instance, gives 0
SMALLEST_SPREAD = 1e-3


class BagContext(nn.Module):
    """Maps features ``(T, E)`` to ``(T, 2E)``: ``[a y_i, (y_i − m) / √(s² + ε²)]``, y the standardised features.

    ``m`` and ``s`` are mean and standard deviation of each feature over the bag that the instance lies in: instance
    normalisation (Ulyanov, Vedaldi and Lempitsky 2016, arXiv 1607.08022, equation 4) over the instances of a bag in
    place of the pixels of an image.

    Slides differ in stain and tissue. Where evidence is in few tiles, slides differ more by that than by the evidence,
    and a network that sees few slides learns them by heart from it. Relative to its own slide a tile of another tissue
    stands out whatever the stain. The features themselves stay, with a small weight ``a``, for evidence that fills the
    slide: there it is the mean.

    The context is part of an instance's description: whoever perturbs or leaves out instances of a described bag holds
    mean and spread of the bag fixed.

    Args:
        features: number of features E.
        own_weight: a, above 0 and finite.
        standardise: whether y is x on the scale of the training tiles, see
            :class:`~scripts.standardisation.FeatureStandardisation`; else y is x.

    Raises:
        ValueError: if the weight is not positive and finite.
    """

    def __init__(self, features: int, own_weight: float = OWN_WEIGHT, standardise: bool = True) -> None:
        super().__init__()
        if not 0 < own_weight < float("inf"):
            raise ValueError(f"own_weight must be positive and finite, found {own_weight}")
        self.own_weight = own_weight
        self.smallest_variance = SMALLEST_SPREAD**2
        self.standardisation = FeatureStandardisation(features) if standardise else None

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the described instances ``(T, 2E)`` of ragged bags ``(T, E)`` with ``lengths`` ``(B,)``."""
        own = features if self.standardisation is None else self.standardisation(features)
        bag = bag_index(lengths)
        apart = own - segment_mean(own, lengths)[bag]  # (T, E)
        variance = segment_mean(apart.square(), lengths)[bag]
        return torch.cat([self.own_weight * own, apart / (variance + self.smallest_variance).sqrt()], dim=1)
