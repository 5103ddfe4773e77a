"""Monte Carlo dropout in the place where MONAI's evaluators expect an inferer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import nn

from shared.calibration.monte_carlo_dropout import MonteCarloDropout

__all__ = ["MonteCarloInferer"]


class MonteCarloInferer(Inferer):
    """Give logit samples, embedding and feature statistics of each image, for use in a MONAI evaluator.

    Nothing of the network is kept between calls, so an inferer can serve a network that is still being trained, or
    several networks.

    Args:
        samples: number of samples S; 1 for a network without dropout.
        seed: non-negative integer from which the masks are drawn; every call uses the same masks.
        image_statistics: computes statistics ``(B, G)`` from the images themselves, such as
            :func:`~shared.calibration.object_statistics.object_statistics`, which then are in the result too.

    Raises:
        ValueError: if ``samples`` is below 1.
    """

    def __init__(
        self,
        samples: int = 100,
        seed: int = 0,
        image_statistics: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, found {samples}")
        self.samples = samples
        self.seed = seed
        self.image_statistics = image_statistics

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Return ``logits`` ``(B, S, K)``, ``embedding`` ``(B, E)``, ``feature_statistics`` ``(B, F)`` and so on.

        Args:
            inputs: images ``(B, C, H, W)``.
            network: as :class:`~shared.calibration.monte_carlo_dropout.MonteCarloDropout` needs it.
            args: none; there because MONAI's evaluators may pass further inputs.
            kwargs: none.

        Raises:
            TypeError: if there are further inputs, or the network is not of the form needed.
        """
        if args or kwargs:
            raise TypeError(f"Monte Carlo dropout takes images only, found {len(args)} further inputs and {[*kwargs]}")
        images = convert_to_tensor(inputs, track_meta=False)
        result = MonteCarloDropout(network, self.samples, self.seed).sample(images)._asdict()
        if self.image_statistics is not None:
            result["image_statistics"] = self.image_statistics(images)
        return result
