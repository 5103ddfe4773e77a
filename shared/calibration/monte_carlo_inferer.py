"""Monte Carlo dropout in the place where MONAI's evaluators expect an inferer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.engines.utils import PrepareBatch, default_prepare_batch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import nn

from shared.calibration.monte_carlo_dropout import MonteCarloDropout

__all__ = ["DrawForSection", "MonteCarloInferer"]


class DrawForSection(PrepareBatch):
    """MONAI's ``prepare_batch`` that has logits drawn for the records of one section only.

    Calibrating fits temperature and thresholds on validation images; of training images it needs the features, and
    their logits would cost most of its time.

    Args:
        section: value of a record's ``section``, a key that the batches keep.
    """

    def __init__(self, section: str) -> None:
        self.section = section

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any, tuple[()], dict[str, torch.Tensor]]:
        """Return image, label if there is one, and ``drawn`` ``(B,)`` for :class:`MonteCarloInferer`."""
        image, label = default_prepare_batch(batchdata, device, non_blocking, **kwargs)
        drawn = torch.tensor([section == self.section for section in batchdata["section"]])
        return image, label, (), {"drawn": drawn}


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

    def __call__(
        self, inputs: torch.Tensor, network: nn.Module, *args: Any, drawn: torch.Tensor | None = None, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` ``(B, S, K)``, ``embedding`` ``(B, E)``, ``feature_statistics`` ``(B, F)`` and so on.

        Args:
            inputs: images ``(B, C, H, W)``.
            network: as :class:`~shared.calibration.monte_carlo_dropout.MonteCarloDropout` needs it.
            drawn: whether logits are needed of each image, ``(B,)``; the others' are NaN. ``None`` if of all.
            args: none; there because MONAI's evaluators may pass further inputs.
            kwargs: none.

        Raises:
            TypeError: if there are further inputs, or the network is not of the form needed.
        """
        if args or kwargs:
            raise TypeError(f"Monte Carlo dropout takes images only, found {len(args)} further inputs and {[*kwargs]}")
        images = convert_to_tensor(inputs, track_meta=False)
        result = MonteCarloDropout(network, self.samples, self.seed).sample(images, drawn)._asdict()
        if self.image_statistics is not None:
            result["image_statistics"] = self.image_statistics(images)
        return result
