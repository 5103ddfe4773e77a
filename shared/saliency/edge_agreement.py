"""Whether a map's magnitude follows the edges of the image: near 1, the map is an edge detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from shared.saliency.map_arrays import check_maps, in_chunks
from shared.saliency.map_similarity import rank_correlation

__all__ = ["edge_agreement", "edge_magnitude"]


def edge_agreement(maps: ArrayLike, images: ArrayLike) -> NDArray[np.float64]:
    """Return the rank correlation of each map's magnitude with the Sobel magnitude of its image.

    A method whose maps are likened to an edge detector's may show the image and not the network: Adebayo et al.,
    Sanity checks for saliency maps, NeurIPS 2018, section 6. Chance level: 0.

    Args:
        maps: ``(B, H, W)``.
        images: ``(B, H, W)`` or ``(B, C, H, W)``, of which the channels' edges are added up.

    Returns:
        ``(B,)``, NaN where a map's magnitude or an image is the same everywhere.

    Raises:
        ValueError: if shapes do not fit, or a value is not finite.
    """
    attributions, pictures = check_maps(maps), np.asarray(images)
    if pictures.ndim == 3:
        pictures = pictures[:, None]
    if pictures.ndim != 4 or (len(pictures), *pictures.shape[2:]) != attributions.shape:
        raise ValueError(
            f"images must be (B, H, W) or (B, C, H, W) of the maps' {attributions.shape}, found {np.shape(images)}"
        )
    return in_chunks(
        lambda part, picture: rank_correlation(np.abs(part), edge_magnitude(picture).sum(axis=1)),
        attributions,
        pictures,
    )


def edge_magnitude(images: ArrayLike) -> NDArray[np.float64]:
    """Return the Sobel magnitude of images, as ``skimage.filters.sobel`` does of one: ``(…, H, W)`` to ``(…, H, W)``.

    ``√((S_h² + S_w²) / 2)``, with both kernels scaled to weights that add up to 1 and images mirrored at their borders.
    """
    pixels = np.asarray(images, dtype=np.float64)
    derivative, smoothing = [-1.0, 0.0, 1.0], [0.25, 0.5, 0.25]
    vertical, horizontal = (
        ndimage.correlate1d(ndimage.correlate1d(pixels, derivative, axis=along), smoothing, axis=across)
        for along, across in ((-2, -1), (-1, -2))
    )
    return np.hypot(vertical, horizontal) / np.sqrt(2)
