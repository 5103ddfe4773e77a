"""Shape and rim of the object in the middle of an image: what shows that it is not one whole cell in focus."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

__all__ = ["STATISTICS", "object_statistics"]

RINGS = range(-8, 8)
HARMONICS = range(2, 9)
ANGLES = 64
STATISTICS = (
    "level",
    "log_area",
    "solidity",
    "log_roundness",
    *(f"outline_{order}" for order in HARMONICS),
    *(f"profile_{ring}" for ring in RINGS),
    *(f"variation_{ring}" for ring in RINGS),
)


def object_statistics(images: torch.Tensor, smoothing: float = 1.0) -> torch.Tensor:
    """Describe the object in the middle of each image by numbers that do not depend on its orientation.

    A classifier's features hold what tells the classes apart, and hardly react to what spoils all classes alike: a
    cell that lies out of focus keeps its class but has a soft rim with dark fringes around it; an aggregate has an
    outline that no single cell has. Hence, for the object nearest to the middle (brighter than a quarter of Otsu's
    threshold above the background, so that thin appendages belong to it; the background is the median of the image's
    border; other objects are left out with what lies nearer to them):

    - ``level``: mean above the background;
    - ``log_area``: of the area in pixels; ``solidity``: area over that of the convex hull; ``log_roundness``: of
      perimeter² / (4π area);
    - ``outline_k``: amplitude of the k-th Fourier component of the outline's distance from the centroid, divided by
      its mean;
    - ``profile_r``: mean above the background, divided by ``level``, of the pixels whose distance from the rim is r to
      r + 1 pixels (negative: outside); ``variation_r``: their standard deviation, likewise.

    An image without any object, as a constant one, has zeros throughout.

    Args:
        images: ``(B, 1, H, W)``, bright objects on a dark background.
        smoothing: standard deviation in pixels of the Gaussian filter before the threshold.

    Returns:
        Statistics ``(B, F)`` in the order of :data:`STATISTICS`, float32, on the device of ``images``.

    Raises:
        ValueError: if the images have several channels or values that are not finite.
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"object statistics need images (B, 1, H, W), found shape {tuple(images.shape)}")
    if not torch.isfinite(images).all():
        raise ValueError("object statistics need finite images, found NaN or infinity")
    arrays = images.detach()[:, 0].to("cpu", torch.float64).numpy()
    rows = np.zeros((len(arrays), len(STATISTICS)), dtype=np.float32)
    for row, image in zip(rows, arrays, strict=True):
        row[:] = _describe(image, smoothing)
    return torch.from_numpy(rows).to(images.device)


def _describe(image: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Return the statistics ``(F,)`` of one image ``(H, W)``."""
    background = np.median(np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]))
    smooth = ndimage.gaussian_filter(image, smoothing) - background
    if np.ptp(smooth) == 0:
        return np.zeros(len(STATISTICS))
    bright = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth) / 4)
    labels = label(bright)
    if labels.max() == 0:
        return np.zeros(len(STATISTICS))
    middle = tuple((length - 1) / 2 for length in image.shape)
    distance_to_middle = np.hypot(*np.ogrid[tuple(slice(-m, m + 0.5) for m in middle)])
    nearest = labels.flat[np.where(labels, distance_to_middle, np.inf).argmin()]
    inside, others = labels == nearest, (labels > 0) & (labels != nearest)

    # half a pixel less, so that the rim runs between the pixels
    distance = np.where(
        inside, ndimage.distance_transform_edt(inside) - 0.5, 0.5 - ndimage.distance_transform_edt(~inside)
    )
    own = np.ones_like(inside) if not others.any() else -distance < ndimage.distance_transform_edt(~others)
    level = (image[inside] - background).mean()
    own &= (distance >= RINGS.start) & (distance < RINGS.stop)
    ring = np.floor(distance[own]).astype(int) - RINGS.start
    value = (image[own] - background) / max(abs(level), np.finfo(float).eps)
    # a small object lacks the inner rings: they count as flat
    count = np.maximum(np.bincount(ring, minlength=len(RINGS)), 1)
    profile = np.bincount(ring, value, len(RINGS)) / count
    variation = np.sqrt(np.bincount(ring, (value - profile[ring]) ** 2, len(RINGS)) / count)

    region = regionprops(inside.astype(np.uint8))[0]
    # the estimate of a perimeter of few pixels may be 0
    roundness = max(region.perimeter_crofton, 1.0) ** 2 / (4 * np.pi * region.area)
    shape = [level, np.log(region.area), region.solidity, np.log(roundness)]
    return np.concatenate([shape, _outline(distance, region.centroid), profile, variation])


def _outline(distance: NDArray[np.float64], centroid: tuple[float, float]) -> NDArray[np.float64]:
    """Return Fourier amplitudes of the outline, seen from the centroid, relative to its mean radius."""
    angles = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    radii = np.arange(0, max(distance.shape), 0.5)
    rows = centroid[0] + radii[:, np.newaxis] * np.sin(angles)
    columns = centroid[1] + radii[:, np.newaxis] * np.cos(angles)
    inside = ndimage.map_coordinates(distance, [rows, columns], order=1, mode="nearest") > 0  # (R, A)
    outline = np.where(inside, radii[:, np.newaxis], 0).max(axis=0)
    amplitudes = np.abs(np.fft.rfft(outline)) * 2 / ANGLES
    return amplitudes[list(HARMONICS)] / max(outline.mean(), 0.5)
