"""Whether a map stays what it is when the image gets a little noise, as another recording of it would have."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from shared.saliency.base import Attribution
from shared.saliency.batched_maps import batched_maps
from shared.saliency.map_similarity import structural_similarity
from shared.saliency.noise import check_noise, noisy_images

__all__ = ["noise_stability"]


def noise_stability(
    method: Attribution,
    inputs: torch.Tensor,
    targets: int | torch.Tensor | None = None,
    noise_level: float = 0.02,
    draws: int = 2,
    seed: int = 0,
    maps: ArrayLike | None = None,
    batch_size: int = 64,
) -> NDArray[np.float64]:
    """Return the mean structural similarity of each image's map and those of noisy copies of it.

    ``1/D Σ_d SSIM(M(x), M(x + ε_d))`` with ``ε_d = noise_level · (max x − min x) · z_d`` and standard normal ``z_d``:
    the class that is explained stays the same. Alvarez-Melis and Jaakkola, On the robustness of interpretability
    methods, 2018, arXiv:1806.08049, ask for the worst change in a neighbourhood; of a random one, the mean is the
    measure of Bhatt et al. 2020 (average sensitivity), here with a similarity that does not depend on the maps' size.
    See :func:`shared.saliency.map_similarity.structural_similarity`.

    Args:
        method: whose maps they are.
        inputs: images ``(B, C, H, W)``.
        targets: class index for all images, class indices ``(B,)``, or None for what the network predicts without
            noise.
        noise_level: standard deviation of the noise as a fraction of each image's range of values.
        draws: noisy copies D of each image.
        seed: seed of the noise, which all images share.
        maps: the method's maps of the images, channels added up, ``(B, H, W)``, where they are known already.
        batch_size: images explained at once.

    Returns:
        ``(B,)``; copies whose map is the same everywhere are left out, and the value is NaN where all are, or the
        image's own map is.

    Raises:
        ValueError: if a number is out of its range, maps do not fit the images, or as the method does.
    """
    check_noise(draws, noise_level, batch_size)
    images = inputs.as_subclass(torch.Tensor)
    classes = _classes(method, images, targets, batch_size)
    clean = batched_maps(method, images, classes, batch_size) if maps is None else np.asarray(maps)
    if clean.shape != (len(images), *images.shape[2:]):
        raise ValueError(f"maps must be (B, H, W) of images {tuple(images.shape)}, found {clean.shape}")
    found = [
        structural_similarity(clean[image.cpu().numpy()], batched_maps(method, copies, classes[image], batch_size))
        for copies, image in noisy_images(images, draws, noise_level, seed, batch_size)
    ]
    similarity = np.concatenate(found).reshape(len(images), draws)
    known = np.isfinite(similarity)
    total, number = np.where(known, similarity, 0.0).sum(axis=1), known.sum(axis=1)
    return np.divide(total, number, out=np.full(len(images), np.nan), where=number > 0)


def _classes(
    method: Attribution, images: torch.Tensor, targets: int | torch.Tensor | None, batch_size: int
) -> torch.Tensor:
    """Return the class that is explained of each image ``(B,)``."""
    if isinstance(targets, int):
        return torch.full((len(images),), targets, device=images.device)
    if isinstance(targets, torch.Tensor):
        return targets.to(images.device)
    with torch.no_grad():
        return torch.cat([method.targets(batch, None) for batch in images.split(batch_size)])
