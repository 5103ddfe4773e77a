"""What the networks and the augmentation have to know of the training patients: mean image, colours, attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

__all__ = ["InputStatistics"]


@dataclass(frozen=True)
class InputStatistics:
    """Statistics of the training patients, and of no others.

    All sums are sums of integers below 2⁵³ and so exact: the statistics do not depend on the order of the patients.

    Attributes:
        mean_image: mean of each pixel over all images, ``(3, H, W)``, on the scale [0, 1].
        eigenvalues: λ of the covariance of RGB values over all pixels of all images, ``(3,)``, descending, on the
            scale [0, 1].
        eigenvectors: the e belonging to them, the columns of ``(3, 3)``.
        attributes: age in years and lymphocyte count in 10⁹/L of the P patients, ``(P, 2)``.
    """

    mean_image: torch.Tensor
    eigenvalues: torch.Tensor
    eigenvectors: torch.Tensor
    attributes: torch.Tensor

    @classmethod
    def fit(cls, patients: Iterable[Mapping[str, torch.Tensor]]) -> InputStatistics:
        """Go through the training patients once.

        Args:
            patients: records as :func:`scripts.network_input.network_input` gives them, without augmentation.

        Raises:
            ValueError: if there is no patient, or the images are not 8-bit integers.
        """
        images, attributes = 0, []
        total = products = torch.zeros(())
        for patient in patients:
            bag = patient["image"]
            if bag.dtype != torch.uint8:
                raise ValueError(f"expected images of 8-bit integers, found {bag.dtype}; augment only afterwards")
            pixels = bag.movedim(1, 0).flatten(1).double()  # (3, N · H · W)
            total = total + bag.sum(dim=0, dtype=torch.int64)  # (3, H, W)
            products = products + pixels @ pixels.T  # (3, 3)
            images += len(bag)
            attributes.append(patient["attributes"])
        if images == 0:
            raise ValueError("there is no training patient to take statistics from")
        mean_image = total.double() / images / 255
        mean = mean_image.mean(dim=(1, 2))  # (3,)
        covariance = products / (images * mean_image[0].numel() * 255**2) - mean[:, None] * mean
        eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
        return cls(
            mean_image=mean_image.float(),
            # rounding may leave a vanishing eigenvalue below zero
            eigenvalues=eigenvalues.flip(0).clamp_min(0).float(),
            eigenvectors=_with_fixed_signs(eigenvectors.flip(1)).float(),
            attributes=torch.stack(attributes),
        )


def _with_fixed_signs(vectors: torch.Tensor) -> torch.Tensor:
    """Turn each column so that its largest element is positive: a solver is free to choose."""
    largest = vectors.abs().argmax(dim=0, keepdim=True)
    return vectors * vectors.gather(0, largest).sign()
