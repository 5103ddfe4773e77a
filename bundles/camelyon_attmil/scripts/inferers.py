"""What stands in the place of MONAI's inferers: outputs for calibration."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer

from scripts.bag_statistics import bag_statistics
from scripts.networks import BagClassifier

__all__ = ["BagOutputsInferer"]


class BagOutputsInferer(Inferer):
    """Gives what calibration needs of each slide.

    The logit z of "tumour" becomes the two-class logits ``(0, z)``: their softmax is the sigmoid of z, and a
    temperature divides z. Besides, there are the pooled ``embedding``, and ``image_statistics`` for outlier scores
    (:func:`~scripts.bag_statistics.bag_statistics`).
    """

    def __call__(
        self, inputs: torch.Tensor, network: BagClassifier, *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Return arrays with B rows, ``logits`` ``(B, 1, 2)`` (one sample of two classes) among them.

        Args:
            inputs: features ``(T, E)``.
            network: that is asked.
            args: none.
            kwargs: ``lengths`` ``(B,)``.
        """
        outputs = network.outputs(inputs, *args, **kwargs)
        logit = outputs["logits"][:, 0]
        standardisation = network.standardisation()
        features = inputs if standardisation is None else standardisation(inputs)
        return {
            "logits": torch.stack([torch.zeros_like(logit), logit], dim=1)[:, None],
            "embedding": outputs["embedding"],
            "image_statistics": bag_statistics(features, kwargs["lengths"]),
        }
