"""The relevance rules for affine steps: epsilon and gamma."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch

from shared.saliency.lrp.affine_step import AffineStep

__all__ = ["EpsilonRule", "GammaRule", "Rule", "relative_size"]

#: keeps a denominator from being 0; far below any output that matters
SMALLEST = 1e-9


class Rule(ABC):
    """How the relevance of an affine step's output is divided among its inputs.

    All rules here have the form ``R_j = sum_k x_j (dz~_k/dx_j) R_k / z~_k`` with another sum ``z~`` in place of the
    step's output z. The detach trick makes that an ordinary gradient: the step returns the value z, with the gradient
    of ``z~ * detach(z / z~)``. Then the relevance of any tensor x is ``x * dS/dx``, if what lies between affine steps
    is positively homogeneous of degree 1 (rectifiers, pooling) and has its ordinary gradient.
    """

    @abstractmethod
    def finished(self, output: torch.Tensor, step: AffineStep) -> torch.Tensor:
        """Return the step's output with the gradient that the rule gives it."""

    def rectified(self, output: torch.Tensor, step: AffineStep) -> torch.Tensor:
        """Return ``max(output, 0)`` with the gradient that the rule and the rectifier give it."""
        return self.finished(output, step).relu()


class EpsilonRule(Rule):
    """LRP-ε (Bach et al. 2015, equation 58): ``z~ = z + epsilon * sign(z)``.

    Its gradient is that of z times ``|z| / (|z| + epsilon)``, a factor that is computed once, in the forward pass. With
    a rectifier behind the step, ``a = max(z, 0)``, it is ``a / (a + epsilon)``, which holds the rectifier's own
    gradient; with batch normalisation as the step, it takes in the scale of each channel. So one product stands for
    three operations in each backward pass.

    Args:
        epsilon: positive; in the units of the steps' outputs, or a share of their size.
        relative: whether epsilon is a share of the root mean square of each step's outputs, over all axes but that of
            the batch. The rule is then the same when all outputs of a step are scaled.
    """

    def __init__(self, epsilon: float, relative: bool = False) -> None:
        self.epsilon = epsilon
        self.relative = relative

    def finished(self, output: torch.Tensor, step: AffineStep) -> torch.Tensor:
        """Return z, its gradient times ``|z| / (|z| + epsilon)``."""
        return self._redirected(output, step, output.data, output.data.abs())

    def rectified(self, output: torch.Tensor, step: AffineStep) -> torch.Tensor:
        """Return ``a = max(z, 0)`` with the gradient of z times ``a / (a + epsilon)``."""
        value = output.detach().relu()
        return self._redirected(output, step, value, value)

    def _redirected(
        self, output: torch.Tensor, step: AffineStep, value: torch.Tensor, size: torch.Tensor
    ) -> torch.Tensor:
        factor = size + self._added(output.data)
        torch.div(size, factor, out=factor)
        if step.scale is not None:
            factor *= step.scale
        return redirected(value, (output if step.source is None else step.source, factor))

    def _added(self, output: torch.Tensor) -> float | torch.Tensor:
        """Return what is added to the size of outputs ``(B, ...)``: one number, or one for each image."""
        return relative_size(output, self.epsilon) if self.relative else self.epsilon


def relative_size(output: torch.Tensor, share: float) -> torch.Tensor:
    """Return a share of the size of a step's outputs, sample by sample.

    Args:
        output: ``(B, ...)``.
        share: of the root mean square over all axes but the first.

    Returns:
        Positive, ``(B, 1, ...)``.
    """
    if output.ndim < 2:
        size = output.abs()
    else:
        axes = tuple(range(1, output.ndim))
        size = torch.linalg.vector_norm(output, dim=axes, keepdim=True) / math.sqrt(output[0].numel())
    return share * size + SMALLEST  # a step may give nothing but 0


class GammaRule(Rule):
    """LRP-γ (Montavon et al. 2019, section 10.2.3), in a form that holds for inputs and outputs of either sign.

    ``z~ = z + gamma * p`` where z is positive and ``z + gamma * n`` where it is negative, with p and n the sums of the
    positive and of the negative among ``w_jk x_j`` and ``b_k``. For inputs that are not negative and outputs that a
    rectifier lets pass, that is the published rule, whose weights are ``w + gamma * max(w, 0)``. The published one has
    a pole where ``z + gamma * p`` changes its sign at a negative output, as happens in front of concatenations and
    normalisation; here ``|z~| >= |z|`` everywhere.

    Args:
        gamma: not negative; the larger, the more is given to what speaks for an output.
        epsilon: positive, added to the size of the denominator.
    """

    def __init__(self, gamma: float, epsilon: float) -> None:
        self.gamma = gamma
        self.epsilon = epsilon

    def finished(self, output: torch.Tensor, step: AffineStep) -> torch.Tensor:
        """Return z with the gradient of ``z~ * detach(|z| / (|z~| + epsilon))``."""
        value, favoured = output.data, step.favoured(self.gamma)
        # z + gamma n of negative outputs by z + gamma p, because p + n = z
        modified = torch.where(value > 0, favoured.detach(), (2 + self.gamma) * value - favoured.detach())
        factor = value.abs() / (modified.abs_() + self.epsilon)
        of_output = (2 + self.gamma) * factor.masked_fill(value > 0, 0)
        return redirected(value, (favoured, factor * value.sign()), (output, of_output))

    def rectified(self, output: torch.Tensor, step: AffineStep) -> torch.Tensor:
        """Return ``a = max(z, 0)`` with the gradient of z + gamma p times ``a / (z + gamma p + epsilon)``."""
        value, favoured = output.detach().relu(), step.favoured(self.gamma)
        return redirected(value, (favoured, value / (favoured.detach().abs() + self.epsilon)))


def redirected(value: torch.Tensor, *gradient: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return a value whose gradient goes to other tensors.

    Args:
        value: without a graph; it may share the memory of a tensor that has one.
        gradient: tensors of the shape of the value to which its gradient goes, and the factor that it is multiplied by.
    """
    sources, factors = zip(*gradient, strict=True)
    # value and factors not as arguments of their own: autograd would take the value for a view of its argument
    return _Redirected.apply((value, factors), *sources)


class _Redirected(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        value_and_factors: tuple[torch.Tensor, tuple[torch.Tensor, ...]],
        *sources: torch.Tensor,  # noqa: ARG004 - where the gradient goes
    ) -> torch.Tensor:
        value, factors = value_and_factors
        ctx.save_for_backward(*factors)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return None, *(gradient * factor for factor in ctx.saved_tensors)
