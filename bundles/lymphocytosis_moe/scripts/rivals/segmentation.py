"""The lymphocyte of an image by superpixels at several scales and k-means in HSV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.filters import gaussian
from skimage.segmentation import slic
from sklearn.cluster import KMeans

from shared.data.errors import DataError

__all__ = ["LymphocyteSegmentation", "SegmentedLymphocyte", "hsv_cone"]

_CLUSTERS = 3
# saturations at which the clusters start: background, other cells, the lymphocyte, which covers a few percent
_START_QUANTILES = (0.10, 0.50, 0.97)


@dataclass(frozen=True)
class SegmentedLymphocyte:
    """What was found in an image.

    Args:
        mask: the largest lymphocyte, ``(H, W)``.
        count: number of lymphocytes.
    """

    mask: NDArray[np.bool_]
    count: int


@dataclass(frozen=True)
class LymphocyteSegmentation:
    """Smoothing, multi-scale SLIC, k-means with three clusters, largest component.

    Source: Sahasrabudhe et al. 2020, section 3.2: the smoothed image is divided into superpixels (Achanta et al. 2012)
    for several numbers of superpixels, each pixel takes the mean colour of its superpixel averaged over the scales,
    and k-means with K = 3 in HSV gives lymphocytes, other cells and background. If there are several lymphocytes the
    largest is kept.

    Left open there, and read so: HSV is taken in its cone (:func:`hsv_cone`), in which hue does not wrap around; the
    clusters start at fixed quantiles of the saturation, so that there is nothing random; the lymphocytes are the
    darkest cluster (smallest mean of R, G and B), since the stain binds to the chromatin; components are 4-connected,
    and those that reach ``min_relative_area`` of the largest are counted, which leaves out platelets and stain.

    Args:
        smoothing_px: standard deviation of the Gaussian filter in pixels.
        superpixels: numbers of superpixels, one segmentation for each.
        compactness: weight of distance against colour in SLIC.
        iterations: largest number of SLIC iterations.
        min_relative_area: smallest area of a component that counts as a lymphocyte, as a share of the largest one.
    """

    smoothing_px: float = 1.0
    superpixels: tuple[int, ...] = (50, 100, 200, 400)
    compactness: float = 10.0
    iterations: int = 10
    min_relative_area: float = 0.25

    def average(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the image ``(H, W, 3)`` in [0, 1], smoothed and averaged over the superpixels of all scales."""
        smooth = gaussian(image, self.smoothing_px, channel_axis=-1)
        total = np.zeros_like(smooth)
        for number in self.superpixels:
            labels = slic(
                smooth,
                n_segments=number,
                compactness=self.compactness,
                max_num_iter=self.iterations,
                start_label=0,
                channel_axis=-1,
            )
            total += _superpixel_means(smooth, labels)
        return total / len(self.superpixels)

    def __call__(self, image: NDArray[np.uint8]) -> SegmentedLymphocyte:
        """Find the lymphocyte.

        Args:
            image: ``(H, W, 3)``, RGB, uint8.

        Raises:
            DataError: if the image is no 8-bit RGB image, or has fewer than three colours to cluster.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(f"an image of shape {image.shape} and type {image.dtype}; expected (H, W, 3), uint8, RGB")
        colours = self.average(image).reshape(-1, 3)
        points = hsv_cone(colours)
        saturation = np.hypot(points[:, 0], points[:, 1])
        order = np.argsort(saturation, kind="stable")
        start = points[order[[int(quantile * len(order)) for quantile in _START_QUANTILES]]]
        if len(np.unique(start, axis=0)) < _CLUSTERS:
            raise DataError("the image has no three colours to tell lymphocytes, other cells and background apart")
        cluster = KMeans(_CLUSTERS, init=start, n_init=1).fit(points).labels_
        brightness = np.bincount(cluster, colours.mean(axis=1), _CLUSTERS) / np.bincount(cluster, minlength=_CLUSTERS)
        components, _ = ndimage.label((cluster == brightness.argmin()).reshape(image.shape[:2]))
        areas = np.bincount(components.ravel())
        areas[0] = 0
        count = int((areas >= self.min_relative_area * areas.max()).sum())
        return SegmentedLymphocyte(components == areas.argmax(), count)


def hsv_cone(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(S cos H, S sin H, V)`` of colours ``(..., 3)`` in [0, 1]: HSV with hue as the angle that it is.

    Example:
        >>> hsv_cone(np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5]])).tolist()
        [[1.0, 0.0, 1.0], [0.0, 0.0, 0.5]]
    """
    hue, saturation, value = np.moveaxis(rgb2hsv(rgb), -1, 0)
    angle = 2 * np.pi * hue
    return np.stack([saturation * np.cos(angle), saturation * np.sin(angle), value], axis=-1)


def _superpixel_means(image: NDArray[np.float64], labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Give each pixel of ``(H, W, 3)`` the mean colour of its superpixel."""
    flat = labels.ravel()
    number = np.maximum(np.bincount(flat), 1)
    means = np.stack([np.bincount(flat, channel.ravel()) / number for channel in np.moveaxis(image, -1, 0)], axis=-1)
    return means[labels]
