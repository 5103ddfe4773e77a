"""Geometric transformations of an image that can be undone on a map of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

__all__ = ["ImageTransformation"]


@dataclass(frozen=True)
class ImageTransformation:
    """Mirror, then turn by quarters, then rotate, scale and shift about the centre of the image.

    Mirror and quarter turns move pixels exactly; the rest interpolates bilinearly.

    Args:
        mirror: exchange left and right.
        quarter_turns: number of counter-clockwise turns by 90°; odd numbers need square images.
        rotation: counter-clockwise angle in degrees.
        scale: magnification, above 0.
        shift: shift downwards and to the right, as fractions of the height and the width.

    Raises:
        ValueError: if ``scale`` is not positive.
    """

    mirror: bool = False
    quarter_turns: int = 0
    rotation: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"scale must be positive, found {self.scale}")

    def apply(self, images: torch.Tensor, padding: Literal["border", "zeros", "reflection"]) -> torch.Tensor:
        """Transform images ``(B, C, H, W)``; ``padding`` is what is shown where the image does not reach.

        Raises:
            ValueError: if images that are not square are to be turned by an odd number of quarters.
        """
        if self.quarter_turns % 2 and images.shape[2] != images.shape[3]:
            raise ValueError(f"quarter turns need square images, found {tuple(images.shape[2:])}")
        images = images.flip(3) if self.mirror else images
        images = images.rot90(self.quarter_turns, (2, 3))
        if self._is_exact:
            return images
        linear, shift = self._matrix(images.shape[2:])
        inverse = torch.linalg.inv(linear)
        return _warp(images, inverse, -inverse @ shift, padding)

    def undo(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bring maps ``(B, C, H, W)`` of transformed images back to the original geometry.

        Returns:
            The maps, 0 where the transformed image does not show the original, and the validity ``(1, 1, H, W)``: the
            part of each pixel's interpolation weights that fell inside the transformed image, in [0, 1].
        """
        valid = maps.new_ones((1, 1, *maps.shape[2:]))
        if not self._is_exact:
            linear, shift = self._matrix(maps.shape[2:])
            maps, valid = (_warp(values, linear, shift, "zeros") for values in (maps, valid))
        maps, valid = (values.rot90(-self.quarter_turns, (2, 3)) for values in (maps, valid))
        return (maps.flip(3), valid.flip(3)) if self.mirror else (maps, valid)

    @property
    def _is_exact(self) -> bool:
        return self.rotation == 0 and self.scale == 1 and tuple(self.shift) == (0, 0)

    def _matrix(self, size: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where an original pixel (x, y), from the centre, goes: linear part ``(2, 2)``, shift ``(2,)``."""
        angle = math.radians(self.rotation)
        cosine, sine = self.scale * math.cos(angle), self.scale * math.sin(angle)
        # rows count downwards, so a counter-clockwise turn has the signs of a clockwise one
        linear = torch.tensor([[cosine, sine], [-sine, cosine]], dtype=torch.float64)
        return linear, torch.tensor([self.shift[1] * size[1], self.shift[0] * size[0]], dtype=torch.float64)


def _warp(images: torch.Tensor, linear: torch.Tensor, shift: torch.Tensor, padding: str) -> torch.Tensor:
    """Give each output pixel p the value of ``images`` at ``linear @ p + shift``, in pixels from the centre."""
    height, width = images.shape[2:]
    half = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    theta = torch.cat([linear * half / half[:, None], (shift / half)[:, None]], dim=1)  # (2, 3)
    theta = theta.to(images).expand(images.shape[0], 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
