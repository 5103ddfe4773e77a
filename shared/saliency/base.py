"""What every attribution method shares: the calling convention, and leaving the network as it was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

__all__ = ["Attribution", "Sign", "class_scores", "evaluation_mode", "resolve_target"]

Sign = Literal["signed", "absolute", "positive"]
"""What of a map says where the cause is: its value, its magnitude, or only what speaks for the class."""


class Attribution(ABC):
    """An attribution method: ``attribute(inputs, target)`` gives one map per image.

    A subclass computes its maps in :meth:`_attribute`; this class prepares the call and cleans up after it. The network
    is in evaluation mode inside the call and gets back the mode of each of its modules; gradients are enabled inside
    even if the caller disabled them; neither the inputs' nor the parameters' ``grad`` is touched. The maps of a batch
    are those of its images one by one.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.

    Attributes:
        sign: how the maps are measured against a known cause. ``signed``: a contribution to the logit; what is high
            speaks for the class, what is low against it. ``absolute``: a slope, whose sign says whether the image
            should become brighter or darker there and nothing of relevance, so that its magnitude counts.
            ``positive``: never negative, by construction.
    """

    sign: Sign = "signed"

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attribute(self, inputs: torch.Tensor, target: int | torch.Tensor | None = None) -> torch.Tensor:
        """Explain the logit of ``target`` for each image.

        Args:
            inputs: images ``(B, C, H, W)``; a ``monai.data.MetaTensor`` is read as a plain tensor.
            target: class index for all images, class indices ``(B,)``, or None for each image's predicted class.

        Returns:
            Detached plain tensor ``(B, C, H, W)``; signed where the method is.

        Raises:
            TypeError: if inputs or target are of the wrong type.
            ValueError: if the inputs are not a non-empty, finite 4-D batch, the target does not fit the logits, or the
                method cannot be applied to this network.
        """
        images = _check_inputs(inputs)
        # MONAI's evaluator calls under no_grad; tensors of an outer inference_mode could not carry a graph at all
        with torch.inference_mode(mode=False), torch.enable_grad(), evaluation_mode(self.network):
            images = images.detach().clone()
            if isinstance(target, torch.Tensor):
                target = target.as_subclass(torch.Tensor).detach().to(images.device).clone()
            maps = self._attribute(images, target)
        return maps.detach()

    @abstractmethod
    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        """Return the maps ``(B, C, H, W)`` of plain, finite images that share no memory with the caller's."""

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, K)`` without building a graph."""
        with torch.no_grad():
            return _check_logits(self.network(images), images)

    def targets(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        """Return the class index of each image ``(B,)``, predicted where ``target`` is None."""
        return resolve_target(self.predict(images), target)

    def input_gradient(
        self, images: torch.Tensor, target: int | torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Differentiate each image's target logit with respect to that image, in one forward and one backward pass.

        Returns:
            Gradients ``(B, C, H, W)``, detached logits ``(B, K)`` and the resolved targets ``(B,)``.
        """
        images = images.detach().requires_grad_()
        logits = _check_logits(self.network(images), images)
        resolved = resolve_target(logits, target)
        (gradient,) = torch.autograd.grad(class_scores(logits, resolved).sum(), images)
        return gradient, logits.detach(), resolved


def resolve_target(logits: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
    """Bring a target to one class index per image.

    Args:
        logits: ``(B, K)``.
        target: class index for all, class indices ``(B,)``, or None for the class of the largest logit.

    Returns:
        Class indices ``(B,)``, int64, on the device of the logits.

    Raises:
        TypeError: if the target is neither an integer, an integer tensor nor None.
        ValueError: if it has another shape than ``(B,)`` or names a class that does not exist.

    Example:
        >>> resolve_target(torch.tensor([[0.0, 2.0], [3.0, 1.0]]), None)
        tensor([1, 0])
    """
    n, k = logits.shape
    if target is None:
        return logits.detach().argmax(dim=1)
    if isinstance(target, torch.Tensor):
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise TypeError(f"target must hold class indices of an integer type, found {target.dtype}")
        resolved = target.to(device=logits.device, dtype=torch.int64)
    elif isinstance(target, int) and not isinstance(target, bool):
        resolved = torch.full((n,), target, device=logits.device)
    else:
        raise TypeError(f"target must be an int, an integer tensor or None, found {type(target).__name__}")
    if resolved.shape != (n,):
        raise ValueError(f"target must have one class index per image, shape ({n},), found {tuple(resolved.shape)}")
    if bool(((resolved < 0) | (resolved >= k)).any()):
        raise ValueError(f"target must be in [0, {k - 1}], the network's classes, found {resolved.tolist()}")
    return resolved


def class_scores(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return each image's target logit ``(B,)`` from logits ``(B, K)`` and class indices ``(B,)``."""
    return logits.gather(1, target[:, None]).squeeze(1)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; on leaving, give each module back the mode that it had."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _check_inputs(inputs: torch.Tensor) -> torch.Tensor:
    if not isinstance(inputs, torch.Tensor):
        raise TypeError(f"inputs must be a tensor, found {type(inputs).__name__}")
    if inputs.ndim != 4 or inputs.numel() == 0:
        raise ValueError(f"inputs must be a non-empty batch (B, C, H, W), found shape {tuple(inputs.shape)}")
    if not inputs.is_floating_point():
        raise TypeError(f"inputs must be of a floating-point type, found {inputs.dtype}")
    images = inputs.as_subclass(torch.Tensor)
    finite = torch.isfinite(images).flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise ValueError(f"inputs hold NaN or infinite values in images {(~finite).nonzero().flatten().tolist()}")
    return images


def _check_logits(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[0] != images.shape[0]:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"the network must return logits ({images.shape[0]}, K), found {found}")
    return logits
