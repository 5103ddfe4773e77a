"""LRP and attention weights combined."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from shared.saliency.bags.attention import attention_weights, rescale
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.lrp.lrp import BagLRP

__all__ = ["LRPAttention", "combine", "log_scaled"]


class LRPAttention(BagLRP):
    """LRP and attention weights, both scaled, then added ("LRP + attention weights").

    The combination was published in words: relevance scaled to [−1, 1], its logarithm scaled to [0, 1], attention
    scaled to [0, 1] and then to [−1, 1], and the sum. The logarithm of negative relevance is left open there. Our
    reading, with D ``decades`` that count, is

    ``r_i = R_i / max_j |R_j|``, ``ℓ_i = max(0, 1 + log10 |r_i| / D)``, ``α_i = 2 (w_i − min w) / (max w − min w) − 1``,
    ``value_i = ℓ_i + α_i`` in [−1, 2].

    So the magnitude of the relevance counts, and what speaks against the bag's logit comes from low attention, as its
    authors observe ("the negative contributions arises in most cases from the attention scores"). ``signed`` gives the
    logarithm the sign of the relevance: ``value_i = sign(r_i) ℓ_i + α_i`` in [−2, 2]. Relevance that is 0 everywhere
    has ℓ = 0, equal weights have α = 0.

    Args:
        model: bag classifier with attention or gated attention pooling.
        target: index of the logit.
        decades: D, positive: relevance below 10^−D of the largest counts as none.
        signed: keep the sign of the relevance.
        options: of the relevance, see :class:`~shared.saliency.bags.lrp.lrp.BagLRP`.

    Raises:
        ValueError: if ``decades`` is not positive, or an option out of its range.
    """

    unit = "scaled within the bag"

    def __init__(
        self, model: nn.Module, target: int = 0, decades: float = 3.0, signed: bool = False, **options: Any
    ) -> None:
        super().__init__(model, target, **options)
        if not decades > 0:
            raise ValueError(f"decades must be positive, found {decades}")
        self.decades = decades
        self.signed = signed

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        relevance = super()._attribute(model, features)
        return combine(relevance, attention_weights(model, features), self.decades, self.signed)


def combine(relevance: Tensor, weights: Tensor, decades: float = 3.0, signed: bool = False) -> Tensor:
    """Return the combination of relevance ``(N,)`` and attention weights ``(N,)``; see :class:`LRPAttention`.

    Example:
        >>> import torch
        >>> combine(torch.tensor([10.0, -0.1, 0.0]), torch.tensor([0.6, 0.3, 0.1]), decades=4)
        tensor([ 2.0000,  0.3000, -1.0000])
    """
    scaled = log_scaled(relevance, decades)
    return (scaled * relevance.sign() if signed else scaled) + 2 * rescale(weights) - 1


def log_scaled(relevance: Tensor, decades: float) -> Tensor:
    """Return ``max(0, 1 + log10(|R| / max |R|) / decades)``, in [0, 1], ``(N,)``."""
    size = relevance.abs()
    largest = size.max()
    if largest == 0:
        return size
    return (1 + (size / largest).log10() / decades).clamp(min=0)
