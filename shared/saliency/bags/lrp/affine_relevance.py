"""The relevance rules of an affine layer that sees each instance, in closed form.

Relevance is carried as a message m, the factor by which a quantity is multiplied to get its relevance: R(z) = z m.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.saliency.lrp.rules import relative_size

__all__ = ["AffineRelevance", "Epsilon", "modified_sum"]


@dataclass(frozen=True)
class Epsilon:
    """What LRP-ε adds to the size of an affine step's outputs.

    Args:
        value: ε, positive.
        relative: whether it is a share of the root mean square of the outputs of a sample, as in
            :class:`shared.saliency.lrp.rules.EpsilonRule`: of an instance, or of the bag behind the pooling.
    """

    value: float
    relative: bool

    def of(self, outputs: Tensor) -> Tensor | float:
        """Return what is added to outputs ``(N, R)``, ``(N, 1)`` or one number."""
        return relative_size(outputs, self.value) if self.relative else self.value


class AffineRelevance:
    """A layer ``z_ir = Σ_e W_re x_ie + b_r`` whose relevance goes back to x by LRP-ε or LRP-γ.

    ``R(x_ie) = Σ_r x_ie W_re (1 + γ [x_ie W_re z_ir > 0]) c_ir`` with the coefficient
    ``c = R(z) / (z~ + ε sign z)`` and ``z~`` the sum of the same terms, and of the bias by the same rule:
    :class:`shared.saliency.lrp.rules.GammaRule`, and with γ = 0 :class:`shared.saliency.lrp.rules.EpsilonRule`. The
    bias keeps its share.

    Args:
        x: inputs, ``(N, E)``.
        magnitude: |x|, ``(N, E)``, or ``None`` where γ = 0.
        weight: W, ``(R, E)``.
        bias: b, ``(R,)``, or ``None``.
        epsilon: ε of z, instance by instance where it is relative.
        gamma: γ.

    Attributes:
        z: outputs, ``(N, R)``.
    """

    def __init__(
        self, x: Tensor, magnitude: Tensor | None, weight: Tensor, bias: Tensor | None, epsilon: Epsilon, gamma: float
    ) -> None:
        self._x, self._weight, self._gamma = x, weight, gamma
        self._terms = x @ weight.T  # (N, R)
        self.z = self._terms if bias is None else self._terms + bias
        self._sign = self.z.sign()
        self._epsilon = epsilon.of(self.z)
        self._modified = self.z
        if magnitude is not None:
            sizes = magnitude @ weight.abs().T
            all_sizes = sizes if bias is None else sizes + bias.abs()
            self._modified = modified_sum(self.z, self._sign, all_sizes, gamma)
            self._terms = modified_sum(self._terms, self._sign, sizes, gamma)

    def coefficient(self, message: Tensor) -> Tensor:
        """Return c ``(N, R)`` of a message of z ``(N, R)``."""
        return message * self.z.abs() / (self._modified.abs() + self._epsilon)

    def relevance(self, coefficient: Tensor) -> Tensor:
        """Return the relevance of each instance, ``Σ_e R(x_ie)``, ``(N,)``: without a pass over the features."""
        return torch.linalg.vecdot(self._terms, coefficient)

    def message(self, coefficient: Tensor) -> Tensor:
        """Return the message of x, ``R(x) / x``, ``(N, E)``."""
        message = coefficient @ self._weight
        if self._gamma:
            opposite = (coefficient * self._sign) @ self._weight.abs()
            message = modified_sum(message, self._x.sign(), opposite, self._gamma)
        return message


def modified_sum(total: Tensor, sign: Tensor, sizes: Tensor, gamma: float) -> Tensor:
    """Return ``Σ t (1 + γ [t s > 0])`` from the sums of t and of its magnitude.

    For s = ±1, ``t [t s > 0] = (t + s |t|) / 2``.

    Args:
        total: Σ t.
        sign: s, 1 or −1, of the same shape.
        sizes: Σ |t|.
        gamma: γ.
    """
    return total + gamma / 2 * (total + sign * sizes)
