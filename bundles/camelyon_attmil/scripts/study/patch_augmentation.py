"""Random changes of stained patches: mirrored, turned, and stained more or less (Ilse et al. 2018, appendix)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from skimage.color import hed_from_rgb, rgb_from_hed

__all__ = ["PatchAugmentation", "patch_statistics", "standardised_patches"]


def patch_statistics(patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each colour's mean and standard deviation, ``(3,)``, in 0 to 1, of patches ``(T, 3, H, W)`` uint8."""
    counts = torch.stack(
        [torch.bincount(patches[:, channel].flatten(), minlength=256) for channel in range(3)]
    ).double()
    grey = torch.arange(256, dtype=torch.float64) / 255
    mean = (counts * grey).sum(1) / counts.sum(1)
    variance = (counts * (grey - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    return mean.float(), variance.sqrt().float()


def standardised_patches(patches: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Return patches ``(T, 3, H, W)`` uint8 as float32, each colour less its mean and divided by its deviation."""
    scale, shift = 1 / (255 * deviation), -mean / deviation
    return patches.float().mul_(scale[:, None, None]).add_(shift[:, None, None])


@dataclass(frozen=True)
class PatchAugmentation:
    """Changes each patch by itself, then standardises its colours.

    In optical densities ``d = -log(rgb)`` a stain is a direction (Ruifrok and Johnston 2001): with the matrix M of
    the stains haematoxylin, eosin and DAB, their amounts are ``s = d M⁻¹``, and patches stained differently have
    ``d' = d M⁻¹ diag(f, g, 1) M`` with f and g drawn from a normal distribution around 1. That is one 3 × 3 matrix for
    each patch. Mirroring and turning by right angles keeps every pixel as it is.

    Args:
        mean: of each colour in the training patches, in 0 to 1, ``(3,)``.
        deviation: standard deviation, likewise.
        stain_deviation: standard deviation of the factors f and g; 0 for no change of the stains.
    """

    mean: torch.Tensor
    deviation: torch.Tensor
    stain_deviation: float

    def __call__(self, patches: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return patches ``(T, 3, H, W)`` uint8 changed, float32, as a network takes them."""
        turned = _turned(patches, generator)
        if not self.stain_deviation:
            return standardised_patches(turned, self.mean, self.deviation)
        number, channels, height, width = turned.shape
        density = turned.float().clamp_(min=1).div_(255).log_().view(number, channels, -1)  # (T, 3, H W), negative
        factors = torch.ones(number, 3)
        factors[:, :2] += self.stain_deviation * torch.randn(number, 2, generator=generator)
        stains = torch.tensor(rgb_from_hed, dtype=torch.float32)  # (3 stains, 3 colours)
        amounts = torch.tensor(hed_from_rgb, dtype=torch.float32)  # (3 colours, 3 stains)
        mixing = (amounts * factors[:, None, :].clamp(min=0)) @ stains  # (T, 3 colours before, 3 after)
        changed = torch.bmm(mixing.transpose(1, 2), density).exp_().clamp_(max=1)
        changed = changed.sub_(self.mean[:, None]).div_(self.deviation[:, None])
        return changed.view(number, channels, height, width)


def _turned(patches: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return each patch in one of its eight orientations: mirrored either way, rows and columns exchanged, or not."""
    turned = patches.clone()
    across, down, exchanged = (torch.rand(3, len(patches), generator=generator) < 0.5).unbind()
    turned[across] = turned[across].flip(-1)
    turned[down] = turned[down].flip(-2)
    turned[exchanged] = turned[exchanged].transpose(-1, -2)
    return turned
