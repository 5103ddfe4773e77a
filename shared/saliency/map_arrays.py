"""What all measures of maps share: checked arrays, what of a map counts, rows of pixels, and chunks of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.saliency.base import Sign

__all__ = [
    "Floats",
    "Masks",
    "check_maps",
    "check_masks",
    "check_sign",
    "in_chunks",
    "join_samples",
    "measurable",
    "pixel_rows",
    "signed_part",
]

Floats = NDArray[np.floating]
Masks = NDArray[np.bool_]

#: what a measure holds in memory, some ten times its maps, fits in a processor's cache
CHUNK_PIXELS = 250_000


def check_maps(maps: ArrayLike) -> Floats:
    """Return maps ``(B, H, W)`` as an array of floats.

    Raises:
        ValueError: if they are of another shape, have no pixels, or a value is not finite.
    """
    attributions = np.asarray(maps)
    if not np.issubdtype(attributions.dtype, np.floating):
        attributions = attributions.astype(np.float64)
    if attributions.ndim != 3 or 0 in attributions.shape[1:]:
        raise ValueError(
            f"maps must be (B, H, W), found {attributions.shape}; sum or average the channels of an attribution first"
        )
    broken = np.flatnonzero(~np.isfinite(attributions).all(axis=(1, 2)))
    if len(broken):
        raise ValueError(f"maps must be finite, found NaN or infinity in samples {broken[:5].tolist()}")
    return attributions


def check_masks(masks: ArrayLike, shape: tuple[int, ...]) -> Masks:
    """Return masks as booleans.

    Args:
        masks: boolean, or 0 and 1.
        shape: of the maps that they belong to, ``(B, H, W)``.

    Raises:
        ValueError: if they are of another shape, or have another value.
    """
    truth = np.asarray(masks)
    if truth.shape != shape:
        raise ValueError(f"maps and masks must both be (B, H, W), found {shape} and {truth.shape}")
    if truth.dtype == np.bool_:
        return truth
    other = truth[(truth != 0) & (truth != 1)]
    if other.size:
        raise ValueError(f"masks must be boolean or 0 and 1, found {other[0]}; choose a bit of a bit image first")
    return truth == 1


def check_sign(sign: str) -> None:
    """Refuse a sign that :data:`shared.saliency.base.Sign` does not have.

    Raises:
        ValueError: if it does not.
    """
    if sign not in ("signed", "absolute", "positive"):
        raise ValueError(f"sign must be signed, absolute or positive, found {sign!r}")


def signed_part(maps: Floats, sign: Sign) -> Floats:
    """Return what of maps says where the cause is: their values, their magnitude, or only what is positive."""
    if sign == "absolute":
        return np.abs(maps)
    return np.maximum(maps, 0) if sign == "positive" else maps


def pixel_rows(array: np.ndarray) -> np.ndarray:
    """Return one row for each sample: ``(B, …)`` to ``(B, P)``."""
    return array.reshape(len(array), int(np.prod(array.shape[1:])))


def measurable(values: NDArray[np.floating], masks: Masks) -> NDArray[np.float64]:
    """Return values ``(B,)`` or ``(B, T)``, NaN where a row of masks ``(B, P)`` is empty or full."""
    known = masks.any(axis=1) & ~masks.all(axis=1)
    return np.where(known.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def in_chunks(function: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """Call a function on some samples after another, and join what it returns.

    Args:
        function: takes the chunks of the arrays; returns an array ``(b, …)``, or mappings of such.
        arrays: of equal length B.

    Returns:
        What the function returns for all samples.
    """
    pixels = max(1, arrays[0][0].size) if len(arrays[0]) else 1
    rows = max(1, CHUNK_PIXELS // pixels)
    starts = range(0, max(1, len(arrays[0])), rows)
    return join_samples([function(*(array[start : start + rows] for array in arrays)) for start in starts])


def join_samples(parts: Sequence[Any]) -> Any:
    """Join what was measured on some samples after another.

    Args:
        parts: arrays ``(b, …)``, or mappings of such with the same keys, nested as deep as they are; at least one.

    Example:
        >>> part = {"iou": {"value": np.array([0.5]), "chance": np.array([0.1])}}
        >>> join_samples([part, part])["iou"]["value"].tolist()
        [0.5, 0.5]
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, dict):
        return {key: join_samples([part[key] for part in parts]) for key in first}
    return np.concatenate(parts)
