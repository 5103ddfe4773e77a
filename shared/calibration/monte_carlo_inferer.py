"""Monte Carlo dropout in the place where MONAI's evaluators expect an inferer."""

from __future__ import annotations

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

    Raises:
        ValueError: if ``samples`` is below 1.
    """

    def __init__(self, samples: int = 100, seed: int = 0) -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, found {samples}")
        self.samples = samples
        self.seed = seed

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Return ``logits`` ``(B, S, K)``, ``embedding`` ``(B, E)`` and ``statistics`` ``(B, F)``.

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
        return (
            MonteCarloDropout(network, self.samples, self.seed)
            .sample(convert_to_tensor(inputs, track_meta=False))
            ._asdict()
        )
