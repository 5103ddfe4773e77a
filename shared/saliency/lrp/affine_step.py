"""An affine step of a network: what a relevance rule needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

__all__ = ["AffineStep", "WeightedSum", "channelwise", "favour"]


@dataclass(frozen=True)
class AffineStep:
    """An affine step ``z_k = sum_j w_jk x_j + b_k``, besides its output z.

    Attributes:
        favoured: gives ``z + gamma * p`` for a gamma, with a graph; ``p_k = sum_j max(w_jk x_j, 0) + max(b_k, 0)``.
        source: a tensor of the shape of z that z is a multiple of, up to a constant for each channel; ``None`` for z.
        scale: that multiple, dz/dsource, broadcastable to z; ``None`` for 1.
        weighted: gives the call of the layer, if normalisation that follows can be folded into its weights.
    """

    favoured: Callable[[float], torch.Tensor]
    source: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    weighted: Callable[[], WeightedSum] | None = None


@dataclass(frozen=True)
class WeightedSum:
    """The call of a linear layer or convolution, ``function(x, weight, bias, *options, **named)``.

    Attributes:
        function: ``torch.nn.functional.linear`` or a convolution.
        x: its input.
        weight: ``(out, ...)``.
        bias: ``(out,)`` or ``None``.
        options: further positional arguments.
        named: further named arguments.
    """

    function: Callable[..., torch.Tensor]
    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    options: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> torch.Tensor:
        """Return the output z."""
        return self.function(self.x, self.weight, self.bias, *self.options, **self.named)

    def favoured(self, gamma: float) -> torch.Tensor:
        """Return the output with what is positive among weight times input, and in the bias, counted 1 + gamma times.

        For inputs that are not negative, as behind a rectifier, that is one call with other weights.
        """
        bias = None if self.bias is None else favour(self.bias, gamma)
        upper = self.weight + gamma * self.weight.clamp(min=0)
        if bool(self.x.amin() >= 0):
            return self.function(self.x, upper, bias, *self.options, **self.named)
        lower = self.weight + gamma * self.weight.clamp(max=0)
        above = self.function(self.x.clamp(min=0), upper, bias, *self.options, **self.named)
        return above + self.function(self.x.clamp(max=0), lower, None, *self.options, **self.named)

    def normalised(self, scale: torch.Tensor, shift: torch.Tensor) -> WeightedSum:
        """Return the call whose output is ``scale * z + shift``, both ``(out,)``."""
        weight = self.weight * channelwise(scale, self.weight.ndim, axis=0)
        bias = shift if self.bias is None else self.bias * scale + shift
        return WeightedSum(self.function, self.x, weight, bias, self.options, self.named)


def favour(terms: Any, gamma: float) -> Any:
    """Return terms, a tensor or a number, with what is positive counted 1 + gamma times."""
    return terms + gamma * (terms.clamp(min=0) if isinstance(terms, torch.Tensor) else max(terms, 0))


def channelwise(values: torch.Tensor, ndim: int, axis: int = 1) -> torch.Tensor:
    """Return one value for each channel ``(C,)`` in a shape that broadcasts to tensors with ``ndim`` axes.

    Example:
        >>> channelwise(torch.zeros(3), 4).shape
        torch.Size([1, 3, 1, 1])
    """
    shape = [1] * ndim
    shape[axis] = -1
    return values.view(shape)
