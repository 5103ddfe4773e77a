"""Gaussian noise around an image, drawn reproducibly and visited in chunks."""

from __future__ import annotations

from collections.abc import Iterator

import torch

__all__ = ["check_noise", "noisy_images"]


def check_noise(samples: int, noise_level: float, chunk_size: int) -> None:
    """Refuse noise parameters without a meaning.

    Raises:
        ValueError: if ``samples`` or ``chunk_size`` is below 1 or ``noise_level`` is negative.
    """
    if samples < 1 or chunk_size < 1:
        raise ValueError(f"samples and chunk_size must be at least 1, found {samples} and {chunk_size}")
    if noise_level < 0:
        raise ValueError(f"noise_level must not be negative, found {noise_level}")


def noisy_images(
    images: torch.Tensor, samples: int, noise_level: float, seed: int, chunk_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield ``samples`` noisy copies of each image, at most ``chunk_size`` at a time.

    The noise of copy s is ``noise_level * (max - min) * z_s`` with the image's own range and standard normal ``z_s``.
    All images share the draws ``z_s``, and these come from a generator of their own on the CPU: maps do not depend on
    the rest of the batch, the chunks, the device, the precision or the global random state.

    Args:
        images: ``(B, C, H, W)``.
        samples: number S of copies per image.
        noise_level: standard deviation as a fraction of each image's range of values.
        seed: seed of the draws.
        chunk_size: largest number n of copies in memory at once.

    Yields:
        Noisy images ``(n, C, H, W)`` and the index ``(n,)`` of the image that each is a copy of.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn((samples, *images.shape[1:]), generator=generator).to(images)  # (S, C, H, W)
    spread = noise_level * (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3)))  # (B,)
    for index in torch.arange(samples * len(images), device=images.device).split(chunk_size):
        image, draw = index // samples, index % samples
        yield images[image] + spread[image][:, None, None, None] * draws[draw], image
