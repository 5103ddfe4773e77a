"""Attention weights as an explanation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution

__all__ = ["AttentionWeights", "attention_weights", "rescale"]


class AttentionWeights(BagAttribution):
    """The pooling's weight of each instance, which says how much was looked at it and not what it speaks for.

    Raw, ``w_i`` with ``Σ_i w_i = 1``; rescaled within the bag as Ilse, Tomczak and Welling (2018) draw them,
    ``(w_i − min w) / (max w − min w)``.

    Args:
        model: bag classifier with weighted pooling.
        target: index of the logit; the weights are the same for all.
        rescaled: rescale the weights.
    """

    diverging = False

    def __init__(self, model: nn.Module, target: int = 0, rescaled: bool = False) -> None:
        super().__init__(model, target)
        self.rescaled = rescaled
        self.unit = "attention, rescaled" if rescaled else "share of attention"

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        weights = attention_weights(model, features)
        return rescale(weights) if self.rescaled else weights


@torch.no_grad()
def attention_weights(model: BagModel, features: Tensor) -> Tensor:
    """Return the weights ``(N,)`` of the instances of one bag.

    Raises:
        TypeError: if the model's pooling has no weights.
    """
    instances = model.instances(features)
    weigh = getattr(model.pooling, "instance_weights", None)
    if weigh is None:
        raise TypeError(
            f"{type(model.pooling).__name__} has no weight for each instance: there is no attention to show"
        )
    return weigh(instances, torch.tensor([len(instances)], device=instances.device))


def rescale(values: Tensor) -> Tensor:
    """Return values ``(N,)`` scaled to [0, 1] within the bag; where all are equal, ½.

    Example:
        >>> rescale(torch.tensor([0.1, 0.3, 0.2]))
        tensor([0.0000, 1.0000, 0.5000])
    """
    least, greatest = values.min(), values.max()
    if greatest == least:
        return torch.full_like(values, 0.5)
    return (values - least) / (greatest - least)
