"""What stands in the place of MONAI's inferers: lower precision on processors, and outputs for calibration."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

from scripts.bag_statistics import bag_statistics
from scripts.networks import TwoExperts

__all__ = ["BagInferer", "BagOutputsInferer", "expert_columns"]

EXPERT_COLUMNS = ("expert_probability_image", "expert_probability_attributes", "gate")


def expert_columns(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the columns that a network adds to the predictions file: none without two experts."""
    return EXPERT_COLUMNS if isinstance(network, TwoExperts) else ()


class BagInferer(Inferer):
    """Calls the network with the images and whatever belongs to them, in bfloat16 where it is told to.

    MONAI's engines apply autocast to CUDA only. On a processor with instructions for bfloat16 (AVX512-BF16, AMX) a
    training step takes less than half the time in it; on others it is slower than single precision.

    Args:
        bfloat16: whether the network runs under autocast to bfloat16; otherwise in what surrounds the call.
    """

    def __init__(self, bfloat16: bool = False) -> None:
        self.bfloat16 = bfloat16

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Return what the network returns."""
        if not self.bfloat16:  # a context that is not enabled would switch off the engine's own
            return network(inputs, *args, **kwargs)
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
            return network(inputs, *args, **kwargs)


class BagOutputsInferer(BagInferer):
    """Gives what calibration needs of each patient.

    The logit z of "tumoral" becomes the two-class logits ``(0, z)``: their softmax is the sigmoid of z, and a
    temperature divides z. Besides, there are the pooled ``embedding``, ``image_statistics`` for outlier scores
    (:func:`~scripts.bag_statistics.bag_statistics`) and, of a network with two experts, the columns

    - ``expert_probability_image`` and ``expert_probability_attributes``: what each expert believes, not calibrated,
    - ``gate``: the weight of the expert on images.
    """

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Return arrays with B rows, ``logits`` ``(B, 1, 2)`` (one sample of two classes) among them.

        Args:
            inputs: images ``(T, 3, H, W)``.
            network: a :class:`~scripts.named_outputs.NamedOutputs`.
            args: none.
            kwargs: ``lengths`` ``(B,)`` and ``attributes`` ``(B, 2)``.
        """
        outputs = super().__call__(inputs, network, *args, **kwargs)
        logit = outputs["logits"][:, 0]
        result = {
            "logits": torch.stack([torch.zeros_like(logit), logit], dim=1)[:, None],
            "embedding": outputs["embedding"],
            "image_statistics": bag_statistics(inputs, kwargs["lengths"], kwargs["attributes"]),
        }
        if "expert_logits" in outputs:
            experts = outputs["expert_logits"].sigmoid()
            result |= dict(zip(EXPERT_COLUMNS, (experts[:, 0], experts[:, 1], outputs["gate"]), strict=True))
        return result
