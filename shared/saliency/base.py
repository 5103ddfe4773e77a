"""What every attribution method shares: the calling convention, and leaving the network as it was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import nn

from shared.saliency.targets import class_gradients, class_scores, resolve_classes, resolve_target

__all__ = [
    "Attribution",
    "ClassMaps",
    "Sign",
    "check_logits",
    "evaluation_mode",
    "frozen_parameters",
]

Sign = Literal["signed", "absolute", "positive"]
"""What of a map says where the cause is: its value, its magnitude, or only what speaks for the class."""


class ClassMaps(NamedTuple):
    """The maps of several classes, and the logits of the same forward pass.

    Attributes:
        logits: ``(B, K)``, of all classes of the network.
        maps: ``(B, n, C, H, W)``, one for each of the n chosen classes, in their order.
    """

    logits: torch.Tensor
    maps: torch.Tensor


class Attribution(ABC):
    """An attribution method: ``attribute(inputs, target)`` gives one map per image, ``attribute_classes`` several.

    A subclass computes its maps in :meth:`_attribute`, and those of several classes at once in
    :meth:`_attribute_classes` if the classes can share work (one forward pass, one set of perturbed images); otherwise
    one class is explained after another. This class prepares the call and cleans up after it. The network is in
    evaluation mode inside the call and gets back the mode of each of its modules; gradients are enabled inside even if
    the caller disabled them; neither the inputs' nor the parameters' ``grad`` is touched. The maps of a batch are those
    of its images one by one.

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
        with self._prepared(inputs) as images:
            if isinstance(target, torch.Tensor):
                target = target.as_subclass(torch.Tensor).detach().to(images.device).clone()
            maps = self._attribute(images, target)
        return maps.detach()

    def attribute_classes(self, inputs: torch.Tensor, classes: Sequence[int] | None = None) -> ClassMaps:
        """Explain the logits of several classes for each image.

        The maps are those that :meth:`attribute` gives for one class after another.

        Args:
            inputs: images ``(B, C, H, W)``; a ``monai.data.MetaTensor`` is read as a plain tensor.
            classes: class indices; None for all classes of the network.

        Returns:
            Detached plain tensors: logits ``(B, K)`` and maps ``(B, n, C, H, W)``; signed where the method is.

        Raises:
            TypeError: if inputs or classes are of the wrong type.
            ValueError: if the inputs are not a non-empty, finite 4-D batch, there is no class, a class does not exist,
                or the method cannot be applied to this network.
        """
        with self._prepared(inputs) as images:
            logits, maps = self._attribute_classes(images, classes)
        return ClassMaps(logits.detach(), maps.detach())

    @contextmanager
    def _prepared(self, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield plain, finite images that share no memory with the caller's, the network ready to be differentiated."""
        images = _check_inputs(inputs)
        # MONAI's evaluator calls under no_grad; tensors of an outer inference_mode could not carry a graph at all
        with torch.inference_mode(mode=False), torch.enable_grad(), evaluation_mode(self.network):
            yield images.detach().clone()

    @abstractmethod
    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        """Return the maps ``(B, C, H, W)`` of plain, finite images that share no memory with the caller's."""

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        """Return the logits ``(B, K)`` and the maps ``(B, n, C, H, W)``, here by one class after another."""
        logits = self.predict(images)
        maps = [self._attribute(images.clone(), index) for index in resolve_classes(logits, classes)]
        return ClassMaps(logits, torch.stack(maps, dim=1))

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, K)`` without building a graph."""
        with torch.no_grad():
            return check_logits(self.network(images), images)

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
        logits = check_logits(self.network(images), images)
        resolved = resolve_target(logits, target)
        (gradient,) = torch.autograd.grad(class_scores(logits, resolved).sum(), images)
        return gradient, logits.detach(), resolved

    def input_gradients(self, images: torch.Tensor, classes: Sequence[int] | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Differentiate several classes' logits with respect to each image, in one forward pass and one backward each.

        Returns:
            Gradients ``(B, n, C, H, W)`` and detached logits ``(B, K)``.
        """
        images = images.detach().requires_grad_()
        logits = check_logits(self.network(images), images)
        return class_gradients(logits, images, resolve_classes(logits, classes)), logits.detach()


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


@contextmanager
def frozen_parameters(network: nn.Module) -> Iterator[None]:
    """Let no parameter of a network require gradients; on leaving, those that did require them again."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


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


def check_logits(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return what a network gave for images ``(B, C, H, W)``, having made sure that it is logits ``(B, K)``.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[0] != images.shape[0]:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"the network must return logits ({images.shape[0]}, K), found {found}")
    return logits
