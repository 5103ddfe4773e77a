"""Feature maps of a layer: finding the layer, catching its output, and bringing a map back to the size of the image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from shared.saliency.base import Attribution, ClassMaps, Sign, check_logits
from shared.saliency.targets import class_gradients, class_scores, resolve_classes, resolve_target

__all__ = ["ClassActivationMap", "GradientActivationMap", "last_feature_layer", "upsample"]

_KEEPS_FEATURES = (
    nn.ReLU,
    nn.ReLU6,
    nn.BatchNorm2d,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
)


class ClassActivationMap(Attribution):
    """A method that weights the feature maps of one layer: ``ReLU(sum_k w_k A_k)``, upsampled to the image.

    A subclass gives the weights, or the whole map at the resolution of the layer.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        layer: name of the layer as in ``network.named_modules()``; its output is ``(B, F, h, w)``. None takes
            :func:`last_feature_layer`.

    Raises:
        ValueError: if there is no such layer.
    """

    sign: Sign = "positive"

    def __init__(self, network: nn.Module, layer: str | None = None) -> None:
        super().__init__(network)
        self.layer = last_feature_layer(network) if layer is None else layer
        self._module()

    @abstractmethod
    def _coarse_maps(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        """Return the rectified maps ``(B, h, w)`` at the resolution of the layer."""

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        coarse = self._coarse_maps(images, target)  # (B, h, w)
        return upsample(coarse[:, None], images.shape[2:]).repeat(1, images.shape[1], 1, 1)

    def features_and_logits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the layer's output ``(B, F, h, w)`` and the logits ``(B, K)``, without a graph."""
        with self._caught_output(as_leaf=False) as caught:
            logits = self.predict(images)
        return self._only(caught), logits

    def feature_gradient(
        self, images: torch.Tensor, target: int | torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Differentiate each image's target logit with respect to the layer's output, in one forward and one backward.

        Returns:
            Features ``(B, F, h, w)``, their gradients ``(B, F, h, w)`` and the resolved targets ``(B,)``.

        Raises:
            ValueError: if the logits do not depend on the layer.
        """
        features, logits = self._feature_graph(images)
        resolved = resolve_target(logits, target)
        gradient = None
        if logits.requires_grad:
            (gradient,) = torch.autograd.grad(class_scores(logits, resolved).sum(), features, allow_unused=True)
        if gradient is None:
            raise self._independent()
        return features.detach(), gradient, resolved

    def feature_gradients(
        self, images: torch.Tensor, classes: Sequence[int] | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Differentiate several classes' logits with respect to the layer's output, in one forward pass.

        Each class costs a backward pass through the layers after this one.

        Returns:
            Features ``(B, F, h, w)``, their gradients ``(B, n, F, h, w)`` and detached logits ``(B, K)``.

        Raises:
            ValueError: if the logits do not depend on the layer.
        """
        features, logits = self._feature_graph(images)
        chosen = resolve_classes(logits, classes)
        try:
            gradients = class_gradients(logits, features, chosen)
        except ValueError as error:
            raise self._independent() from error
        return features.detach(), gradients, logits.detach()

    def _feature_graph(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the layer's output ``(B, F, h, w)``, a leaf, and logits ``(B, K)`` with a graph that begins there."""
        with self._caught_output(as_leaf=True) as caught:
            logits = check_logits(self.network(images), images)
        return self._only(caught), logits

    def _independent(self) -> ValueError:
        return ValueError(f"the logits do not depend on layer {self.layer!r}: choose a layer on the way to them")

    def _module(self) -> nn.Module:
        try:
            return self.network.get_submodule(self.layer)
        except AttributeError:
            names = [name for name, module in self.network.named_modules() if isinstance(module, nn.Conv2d)]
            raise ValueError(f"the network has no layer {self.layer!r}; its convolutions are {names}") from None

    @contextmanager
    def _caught_output(self, as_leaf: bool) -> Iterator[list[torch.Tensor]]:
        caught: list[torch.Tensor] = []

        def catch(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor | None:
            if not isinstance(output, torch.Tensor) or output.ndim != 4:
                found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
                raise ValueError(f"layer {self.layer!r} must return feature maps (B, F, h, w), found {found}")
            # a copy, because a rectifier that follows may work in place
            caught.append(output.detach().clone().requires_grad_(as_leaf))
            return caught[-1].clone() if as_leaf else None

        hook = self._module().register_forward_hook(catch)
        try:
            yield caught
        finally:
            hook.remove()

    def _only(self, caught: list[torch.Tensor]) -> torch.Tensor:
        if len(caught) != 1:
            raise ValueError(f"layer {self.layer!r} must run once per forward pass, it ran {len(caught)} times")
        return caught[0]


class GradientActivationMap(ClassActivationMap):
    """A class activation map whose weights come from the gradient of the logit at the layer.

    All classes share the forward pass; each has a backward pass of its own, through the layers after the chosen one.

    Args:
        network: see :class:`ClassActivationMap`.
        layer: see :class:`ClassActivationMap`.

    Raises:
        ValueError: if there is no such layer.
    """

    @abstractmethod
    def _from_gradient(self, features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Return the maps ``(B, h, w)`` from features and the gradient of the logit, both ``(B, F, h, w)``."""

    def _coarse_maps(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        features, gradient, _ = self.feature_gradient(images, target)
        return self._from_gradient(features, gradient)

    def _attribute_classes(self, images: torch.Tensor, classes: Sequence[int] | None) -> ClassMaps:
        features, gradients, logits = self.feature_gradients(images, classes)
        coarse = torch.stack([self._from_gradient(features, one) for one in gradients.unbind(dim=1)], dim=1)
        maps = upsample(coarse, images.shape[2:])  # (B, n, H, W)
        return ClassMaps(logits, maps[:, :, None].repeat(1, 1, images.shape[1], 1, 1))


def last_feature_layer(network: nn.Module) -> str:
    """Name the layer whose feature maps are explained by default.

    It is the last ``nn.Conv2d`` in the order of registration, or what directly follows it there as long as that only
    normalises or rectifies: the class activation methods are defined on rectified maps.

    Args:
        network: network whose modules are registered in the order of their use, as in ``nn.Sequential``.

    Raises:
        ValueError: if the network has no two-dimensional convolution.

    Example:
        >>> last_feature_layer(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
        '1'
    """
    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    convolutions = [index for index, (_, module) in enumerate(leaves) if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError("the network has no nn.Conv2d: name the layer whose feature maps are to be explained")
    chosen = convolutions[-1]
    while chosen + 1 < len(leaves) and isinstance(leaves[chosen + 1][1], _KEEPS_FEATURES):
        chosen += 1
    return leaves[chosen][0]


def upsample(maps: torch.Tensor, size: tuple[int, int] | torch.Size) -> torch.Tensor:
    """Interpolate maps ``(B, F, h, w)`` bilinearly to ``(B, F, H, W)``."""
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
