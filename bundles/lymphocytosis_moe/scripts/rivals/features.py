"""The 94 features of a lymphocyte image: shape, intensity, texture and density."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops

from scripts.rivals.co_occurrence import STATISTICS, co_occurrence_matrices, co_occurrence_statistics
from scripts.rivals.fractal_dimension import fractal_dimension
from scripts.rivals.perimeter import outline_lengths
from scripts.rivals.segmentation import SegmentedLymphocyte
from shared.data.errors import DataError

__all__ = ["FEATURE_NAMES", "image_features"]

_CHANNELS = ("red", "green", "blue")
# names of the features, and scikit-image's of the same property
_SHAPE = {
    "area": "area",
    "major_axis_length": "axis_major_length",
    "minor_axis_length": "axis_minor_length",
    "eccentricity": "eccentricity",
    "convex_area": "area_convex",
    "filled_area": "area_filled",
    "euler_number": "euler_number",
    "equivalent_diameter": "equivalent_diameter_area",
    "solidity": "solidity",
    "extent": "extent",
}
FEATURE_NAMES: tuple[str, ...] = (
    *_SHAPE,
    "perimeter_corner_weighted",
    "perimeter_diagonal_weighted",
    *(f"{statistic}_{channel}" for statistic in ("minimum", "maximum", "mean") for channel in _CHANNELS),
    *(f"{name}_{channel}" for channel in _CHANNELS for name in (*STATISTICS, "fractal_dimension")),
    "number_of_lymphocytes",
)


def image_features(image: NDArray[np.uint8], lymphocyte: SegmentedLymphocyte, levels: int = 32) -> NDArray[np.float64]:
    """Describe a segmented lymphocyte by the features of Sahasrabudhe et al. 2020, section 3.2.

    - 12 of shape: scikit-image's region properties, and the two lengths of the outline
      (:func:`scripts.rivals.perimeter.outline_lengths`); lengths in pixels, areas in pixels².
    - 9 of intensity: smallest, largest and mean value of R, G and B in the mask.
    - 72 of texture: for R, G and B the 23 statistics of the co-occurrence matrices
      (:mod:`scripts.rivals.co_occurrence`), averaged over the four directions, and the fractal dimension.
    - 1 of density: the number of lymphocytes.

    Args:
        image: ``(H, W, 3)``, RGB, uint8.
        lymphocyte: what :class:`scripts.rivals.segmentation.LymphocyteSegmentation` found in it.
        levels: number of grey levels of the co-occurrence matrices.

    Returns:
        ``(94,)`` in the order of :data:`FEATURE_NAMES`.

    Raises:
        DataError: if no two pixels of the mask are neighbours.
    """
    region = regionprops(lymphocyte.mask.astype(np.uint8))[0]
    mask, crop = region.image, image[region.slice]
    pixels = crop[mask]  # (P, 3)
    matrices = np.stack([co_occurrence_matrices(crop[..., channel], mask, levels) for channel in range(3)])
    has_pairs = matrices.any(axis=(0, 2, 3))  # (4,)
    if not has_pairs.any():
        raise DataError(f"the lymphocyte found has {int(region.area)} pixel(s); too few for any texture")
    texture = co_occurrence_statistics(matrices[:, has_pairs]).mean(axis=1)  # (3, 23)
    return np.concatenate(
        [
            [float(region[name]) for name in _SHAPE.values()],
            outline_lengths(mask),
            pixels.min(axis=0),
            pixels.max(axis=0),
            pixels.mean(axis=0),
            np.column_stack([texture, fractal_dimension(crop, mask)]).ravel(),
            [lymphocyte.count],
        ]
    )
