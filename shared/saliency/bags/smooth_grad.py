"""SmoothGrad × input."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from shared.mil.pooling.attention import AttentionPooling
from shared.saliency.bags.attention_layers import as_attention, hidden_layers
from shared.saliency.bags.bag_model import BagModel
from shared.saliency.bags.base import BagAttribution
from shared.saliency.bags.gradient_x_input import bag_gradient
from shared.saliency.noise import check_noise

__all__ = ["SmoothGradXInput"]


class SmoothGradXInput(BagAttribution):
    """Mean of gradient × input over noisy copies of the bag (SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825).

    ``R_i = 1/n Σ_s Σ_e y_ie ∂f(x + ε_s)/∂x_ie`` with the noisy features, ``y = x + ε_s``, where gradient × input itself
    is repeated and averaged; or with ``times="clean"`` the bag's own, ``y = x``, SmoothGrad multiplied by the input.

    Attention pooling of the features with a linear head θ sees them only through ``p = A x`` with ``A = [V; U; θ]``,
    the weights of the attention's hidden layers and of the head. With ``Aᵀ = QR`` and standard normal ε the noise of p
    is ``A ε = Rᵀ Qᵀ ε``, and ``Qᵀ ε`` is standard normal again, of as many dimensions as A has independent rows. So
    that few numbers are drawn, gradients are taken with respect to p, and ``Σ_e x_e ∂f/∂x_e = Σ_r p_r ∂f/∂p_r``: the
    same distribution, without a pass over the features for each draw. Other models get noise on their features.

    Args:
        model: bag classifier, of any pooling.
        target: index of the logit f.
        samples: number n of noisy copies.
        noise_level: standard deviation of the noise as a fraction of the bag's range of values; its paper advises 0.1
            to 0.2.
        times: what the gradient is multiplied by, the ``noisy`` or the ``clean`` features.
        seed: seed of the noise, which is drawn on the CPU; the global random state is neither read nor changed.

    Raises:
        ValueError: if a setting is out of its range.
    """

    def __init__(
        self,
        model: nn.Module,
        target: int = 0,
        samples: int = 10,
        noise_level: float = 0.1,
        times: Literal["noisy", "clean"] = "noisy",
        seed: int = 0,
    ) -> None:
        super().__init__(model, target)
        check_noise(samples, noise_level, chunk_size=1)
        if times not in ("noisy", "clean"):
            raise ValueError(f"times must be 'noisy' or 'clean', found {times!r}")
        self.samples = samples
        self.noise_level = noise_level
        self.times = times
        self.seed = seed

    def _attribute(self, model: BagModel, features: Tensor) -> Tensor:
        deviation = self.noise_level * (features.max() - features.min())
        generator = torch.Generator().manual_seed(self.seed)
        pooling, head = as_attention(model.pooling), model.linear_head()
        if model.pools_features and pooling is not None and head is not None:
            total = self._projected(_Projections(pooling, head, model.target), features, deviation, generator)
        else:
            total = self._direct(model, features, deviation, generator)
        return total / self.samples

    def _direct(self, model: BagModel, features: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
        """Return the sum over the copies, ``(N,)``, by noise on the features."""
        total = features.new_zeros(len(features))
        for _ in range(self.samples):
            noisy = features + deviation * _normal(features.shape, features, generator)
            factor = noisy if self.times == "noisy" else features
            total += torch.linalg.vecdot(factor.flatten(1), bag_gradient(model, noisy).flatten(1))
        return total

    def _projected(
        self, projections: _Projections, features: Tensor, deviation: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return the sum over the copies, ``(N,)``, by noise on the projections."""
        clean = features @ projections.matrix.T  # (N, R)
        spread = deviation * torch.linalg.qr(projections.matrix.T).R  # (D, R)
        total = features.new_zeros(len(features))
        for _ in range(self.samples):
            noise = _normal((len(features), len(spread)), features, generator)
            noisy = torch.addmm(clean, noise, spread).requires_grad_()
            (gradient,) = torch.autograd.grad(projections.logit(noisy), noisy)
            total += torch.linalg.vecdot(noisy.detach() if self.times == "noisy" else clean, gradient)
        return total


class _Projections:
    """The logit of a bag as a function of ``p = A x``.

    Attributes:
        matrix: A, ``(R, E)``.
    """

    def __init__(self, pooling: AttentionPooling, head: nn.Linear, target: int) -> None:
        layers = hidden_layers(pooling)
        self.matrix = torch.cat([*(layer.weight for layer in layers), head.weight[target : target + 1]])
        self._biases = [layer.bias for layer in layers]
        self._score = pooling.score.weight[0]  # (D,)
        self._bias = 0.0 if head.bias is None else head.bias[target]

    def logit(self, projected: Tensor) -> Tensor:
        """Return f of projections ``(N, R)``."""
        *hidden, scores = projected.split([*(len(bias) for bias in self._biases), 1], dim=1)
        units = (hidden[0] + self._biases[0]).tanh()
        if len(hidden) == 2:
            units = units * (hidden[1] + self._biases[1]).sigmoid()
        return (units @ self._score).softmax(dim=0) @ scores[:, 0] + self._bias


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    # single precision is drawn several times faster, and noise needs no more
    return torch.randn(shape, generator=generator, dtype=torch.float32).to(like)
