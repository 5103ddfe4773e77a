"""Relevance through the branch that computes the attention logits."""

from __future__ import annotations

from torch import Tensor

from shared.mil.pooling.attention import AttentionPooling
from shared.saliency.bags.attention_layers import hidden_layers
from shared.saliency.bags.lrp.affine_relevance import AffineRelevance, Epsilon

__all__ = ["AttentionBranch"]


class AttentionBranch:
    """Attention logits ``a = vᵀ [tanh(V h + c) ⊙ σ(U h + d)]`` of one bag, and their relevance back to h.

    The affine layers V, U and v have the rule; tanh, σ and the product of the two have their gradients, which is the
    reading of relevance as ``R(x) = Σ_j (∂y_j/∂x) (x / y_j) R(y_j)`` (Ali et al. 2022).

    Args:
        pooling: plain attention (without the factor of U) or gated attention.
        instances: h, ``(N, E)``.
        magnitude: |h|, ``(N, E)``, or ``None`` where γ = 0.
        epsilon: of the rule.
        gamma: of the rule.

    Attributes:
        logits: a, ``(N,)``.
    """

    def __init__(
        self, pooling: AttentionPooling, instances: Tensor, magnitude: Tensor | None, epsilon: Epsilon, gamma: float
    ) -> None:
        self._layers = [
            AffineRelevance(instances, magnitude, layer.weight, layer.bias, epsilon, gamma)
            for layer in hidden_layers(pooling)
        ]
        tanh = self._layers[0].z.tanh()
        units, slopes = tanh, [1 - tanh.square()]
        if len(self._layers) == 2:
            gate = self._layers[1].z.sigmoid()
            units, slopes = tanh * gate, [slopes[0] * gate, tanh * gate * (1 - gate)]
        self._slopes = slopes
        sizes = None if magnitude is None else units.abs()
        self._score = AffineRelevance(units, sizes, pooling.score.weight, None, epsilon, gamma)
        self.logits = self._score.z[:, 0]

    def relevance(self, message: Tensor) -> Tensor:
        """Return the relevance of each instance, ``(N,)``, from the message of the logits, ``(N,)``."""
        parts = zip(self._layers, self._coefficients(message), strict=True)
        return sum((layer.relevance(part) for layer, part in parts), start=message.new_zeros(len(message)))

    def message(self, message: Tensor) -> Tensor:
        """Return the message of h, ``(N, E)``, from the message of the logits, ``(N,)``."""
        parts = zip(self._layers, self._coefficients(message), strict=True)
        first, *rest = (layer.message(part) for layer, part in parts)
        return sum(rest, start=first)

    def _coefficients(self, message: Tensor) -> list[Tensor]:
        units = self._score.message(self._score.coefficient(message[:, None]))  # (N, D)
        return [layer.coefficient(units * slope) for layer, slope in zip(self._layers, self._slopes, strict=True)]
