"""EVET: the mean of a method's maps over transformations of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from shared.saliency.base import Attribution
from shared.saliency.image_transformation import ImageTransformation

__all__ = ["DEFAULT_TRANSFORMATIONS", "EVET"]

DEFAULT_TRANSFORMATIONS = (
    ImageTransformation(),
    ImageTransformation(mirror=True),
    ImageTransformation(mirror=True, quarter_turns=2),
    ImageTransformation(rotation=10.0),
    ImageTransformation(rotation=-10.0),
    ImageTransformation(scale=0.9),
    ImageTransformation(scale=1.1),
    ImageTransformation(shift=(0.1, 0.0)),
    ImageTransformation(shift=(-0.1, 0.0)),
    ImageTransformation(shift=(0.0, 0.1)),
    ImageTransformation(shift=(0.0, -0.1)),
)


class EVET(Attribution):
    """EVET around any attribution method; signed where the method is.

    Oh, Jung, Park and Kim, "EVET: enhancing visual explanations of deep neural networks using image transformations",
    WACV 2021: what a method finds important in many transformed versions of an image is more important. The map of each
    transformed image is brought back to the original geometry, and each pixel gets the mean over the transformations t
    that show it, ``sum_t v_t M_t / sum_t v_t`` with v the validity of :class:`ImageTransformation`. The class explained
    is that of the original image. The set of transformations, the mean weighted by validity, and that maps are averaged
    as they are, without scaling each to [0, 1], are choices made here; the paper's abstract leaves them open, and its
    full text was not at hand.

    Args:
        network: classifier that maps images ``(B, C, H, W)`` to logits ``(B, K)``.
        method: the method to enhance, made for the same network.
        transformations: :class:`ImageTransformation` objects or their arguments as mappings, as a config writes them.
            None takes the identity, both mirrors, ±10° rotation, 0.9 and 1.1 magnification and ±10 % shifts.
        padding: what a transformed image shows where the original does not reach: its ``"border"`` continued,
            ``"zeros"`` or its ``"reflection"``.

    Raises:
        ValueError: if the method explains another network, or there is no transformation; in ``attribute``, if some
            pixel is shown by no transformation.
    """

    def __init__(
        self,
        network: nn.Module,
        method: Attribution,
        transformations: Sequence[ImageTransformation | Mapping[str, Any]] | None = None,
        padding: Literal["border", "zeros", "reflection"] = "border",
    ) -> None:
        super().__init__(network)
        if method.network is not network:
            raise ValueError("the method to enhance was made for another network: give both the same one")
        if transformations is None:
            transformations = DEFAULT_TRANSFORMATIONS
        if not transformations:
            raise ValueError("transformations must name at least one transformation, found none")
        if padding not in ("border", "zeros", "reflection"):
            raise ValueError(f"padding must be 'border', 'zeros' or 'reflection', found {padding!r}")
        self.method = method
        self.sign = method.sign
        self.transformations = [
            ImageTransformation(**transformation) if isinstance(transformation, Mapping) else transformation
            for transformation in transformations
        ]
        self.padding = padding

    def _attribute(self, images: torch.Tensor, target: int | torch.Tensor | None) -> torch.Tensor:
        targets = self.targets(images, target)
        total = torch.zeros_like(images)
        seen = images.new_zeros((1, 1, *images.shape[2:]))
        for transformation in self.transformations:
            maps = self.method.attribute(transformation.apply(images, self.padding), targets)
            maps, valid = transformation.undo(maps)
            total += maps
            seen += valid
        if bool((seen == 0).any()):
            raise ValueError("some pixels are shown by no transformation: add the identity or smaller ones")
        return total / seen
