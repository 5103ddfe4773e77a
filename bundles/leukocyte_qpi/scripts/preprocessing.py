"""Background subtraction and normalisation of phase images, as MONAI transforms over functions.

The phase of a frame is that of the cells plus that of everything else in the light's way: tilt and curvature of the
reference beam, dust, the chamber. The latter is the background. Where cells move it is the median over time; in a
single frame it is a smooth surface, fitted to what is not a cell.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_data_type, convert_to_dst_type
from numpy.typing import NDArray

from shared.data.errors import DataError

__all__ = [
    "NormalisePhased",
    "SubtractBackground",
    "fit_polynomial",
    "median_background",
    "normalise_phase",
    "subtract_polynomial",
]

_MAD_TO_SIGMA = 1.4826  # standard deviation of a normal distribution by its median absolute deviation
_SMALLEST_SIGMA = 1e-5  # rad; far below any instrument, keeps noise-free images from clipping everything
_MAXIMUM_SAMPLES = 4_000  # a surface of a few coefficients gains nothing from more pixels


def median_background(frames: NDArray[Any] | Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the median over time, ``(T, H, W)`` to ``(H, W)``.

    It is the background wherever a pixel is free of cells in more than half of the frames.
    """
    return np.median(frames, axis=0)


def fit_polynomial(phase: NDArray[Any], order: int = 2, clip: float = 2.5, iterations: int = 50) -> NDArray[np.float64]:
    r"""Fit :math:`\sum_{i+j \le order} c_{ij} x^i y^j` to the background of a single image.

    Least squares, repeated on the pixels whose residual lies within ``clip`` robust standard deviations (median
    absolute deviation) of the median residual until that set no longer changes. The order rises step by step, each
    beginning with the pixels that the last one kept: a large cell in the middle of a crop is left out by the tilt, and
    would be taken for curvature otherwise. Cells may cover well under half of the image.

    Args:
        phase: phase in radians, ``(H, W)``.
        order: order of the polynomial; 0 is a constant, 1 a tilt, 2 adds curvature.
        clip: limit in standard deviations.
        iterations: largest number of repetitions of each order.

    Returns:
        The fitted surface in radians, ``(H, W)``.

    Raises:
        ValueError: if ``order`` is negative.
    """
    if order < 0:
        raise ValueError(f"order must be 0 or more, found {order}")
    stride = max(1, int(np.sqrt(phase.size / _MAXIMUM_SAMPLES)))
    y, x = (np.linspace(-1, 1, length) for length in phase.shape)
    powers = sorted(((i, j) for i in range(order + 1) for j in range(order + 1 - i)), key=sum)
    ys, xs = (grid.ravel() for grid in np.meshgrid(y[::stride], x[::stride], indexing="ij"))
    design = np.stack([xs**i * ys**j for i, j in powers], axis=1)  # (M, P), low orders first
    values = np.asarray(phase[::stride, ::stride], dtype=np.float64).ravel()

    kept = np.ones(len(values), dtype=bool)
    for step in range(order + 1):
        terms = design[:, : (step + 1) * (step + 2) // 2]
        coefficients, kept = _fit_clipped(terms, values, kept, clip, iterations)
    matrix = np.zeros((order + 1, order + 1))
    matrix[tuple(zip(*powers, strict=True))] = coefficients
    vandermonde_x, vandermonde_y = (np.vander(axis, order + 1, increasing=True) for axis in (x, y))
    return vandermonde_y @ matrix.T @ vandermonde_x.T  # (H, W)


def _fit_clipped(
    design: NDArray[np.float64], values: NDArray[np.float64], kept: NDArray[np.bool_], clip: float, iterations: int
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Return the coefficients ``(P,)`` and the pixels kept ``(M,)``."""
    for _ in range(iterations):
        inliers = design[kept]
        # normal equations: well conditioned on [-1, 1] for the low orders of a background, and fast
        coefficients = np.linalg.solve(inliers.T @ inliers, inliers.T @ values[kept])
        residual = values - design @ coefficients
        centre = np.median(residual[kept])
        sigma = max(_MAD_TO_SIGMA * np.median(np.abs(residual[kept] - centre)), _SMALLEST_SIGMA)
        inside = np.abs(residual - centre) <= clip * sigma
        if np.array_equal(inside, kept):
            break
        kept = inside
    return coefficients, kept


def subtract_polynomial(phase: NDArray[Any], order: int = 2, clip: float = 2.5) -> NDArray[Any]:
    """Return the phase less its fitted background; see :func:`fit_polynomial`. The type of the values is kept."""
    return (phase - fit_polynomial(phase, order, clip)).astype(phase.dtype, copy=False)


def normalise_phase(phase: Any, phase_range: tuple[float, float], clip: bool = False) -> Any:
    """Map a fixed phase range in radians to [0, 1], the same for every image.

    Unlike scaling by an image's own extremes, this keeps the optical thickness, by which cell types differ.

    Args:
        phase: background-subtracted phase in radians, an array or tensor of any shape.
        phase_range: the phases that become 0 and 1.
        clip: cut off what lies outside; else it is mapped below 0 or above 1.

    Raises:
        ValueError: if the range is empty or upside down.
    """
    low, high = phase_range
    if not low < high:
        raise ValueError(f"phase_range must be [low, high] with low < high, found {list(phase_range)}")
    scaled = (phase - low) / (high - low)
    return scaled.clip(0, 1) if clip else scaled


@dataclass(frozen=True)
class SubtractBackground(Transform):
    """Array transform that takes the background from a frame, given what stays the same over its recording.

    From every frame a polynomial surface is subtracted, fitted to what is not a cell: piston, tilt and curvature, which
    drift from frame to frame. What then stays the same over the recording (dust, fringes) is its median over time.
    Without the first step the median of a drifting recording would carry a ghost of every cell.

    Args:
        method: ``median`` subtracts both, ``polynomial`` only the surface, ``auto`` both if the recording has
            ``minimum_frames`` and else the surface.
        minimum_frames: fewest frames for a median, below which a cell would be subtracted from itself.
        median_frames: at most so many frames, evenly spaced over the recording, enter the median.
        order: order of the polynomial.
        clip: limit, in robust standard deviations, beyond which a pixel is no background.

    Raises:
        ValueError: if the method is unknown.
    """

    method: str = "auto"
    minimum_frames: int = 5
    median_frames: int = 32
    order: int = 2
    clip: float = 2.5

    def __post_init__(self) -> None:
        if self.method not in ("auto", "median", "polynomial"):
            raise ValueError(f"background method must be auto, median or polynomial, found {self.method!r}")

    def method_for(self, n_frames: int) -> str:
        """Return ``median`` or ``polynomial`` for a recording of so many frames."""
        if self.method != "auto":
            return self.method
        return "median" if n_frames >= self.minimum_frames else "polynomial"

    def static(self, frames: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return what stays the same over the frames of a recording beside their surfaces, ``(H, W)``.

        Raises:
            DataError: if there are fewer than ``minimum_frames``.
        """
        if len(frames) < self.minimum_frames:
            raise DataError(
                f"{len(frames)} usable frame(s), but a median background needs {self.minimum_frames}; "
                "set the background method to polynomial"
            )
        return median_background(self(np.stack(frames)))

    def __call__(self, img: NdarrayOrTensor, static: NDArray[Any] | None = None) -> NdarrayOrTensor:
        """Subtract a frame's own surface and, if given, the recording's static background.

        Args:
            img: phase of one frame in radians, ``(H, W)``, or of frames each of which has its own surface,
                ``(F, H, W)``.
            static: from :meth:`static`, ``(H, W)``.

        Returns:
            The same type and shape.

        Raises:
            ValueError: if the phase has another number of axes.
        """
        phase, *_ = convert_data_type(img, np.ndarray)
        if phase.ndim not in (2, 3):
            raise ValueError(f"expected phase of shape (H, W) or (F, H, W), found {tuple(phase.shape)}")
        frames = phase.reshape(-1, *phase.shape[-2:])
        flat = np.stack([subtract_polynomial(frame, self.order, self.clip) for frame in frames]).reshape(phase.shape)
        result, *_ = convert_to_dst_type(flat if static is None else flat - static, dst=img)
        return result


class NormalisePhased(MapTransform):
    """Map a fixed phase range to [0, 1], by default without cutting off what lies outside.

    The range (0, 1) leaves radians as they are; see :func:`normalise_phase`.

    Args:
        keys: keys of the phase images in radians.
        phase_range: the phases in radians that become 0 and 1.
        clip: cut off what lies outside.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        phase_range: tuple[float, float],
        clip: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.phase_range = (float(phase_range[0]), float(phase_range[1]))
        self.clip = clip

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the normalised images."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = normalise_phase(result[key], self.phase_range, self.clip)
        return result
