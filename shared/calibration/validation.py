"""Checks of probabilities and labels, shared by everything in this folder that measures or fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["validated_binary", "validated_multiclass", "validated_outcomes", "validated_rows"]

ROW_SUM_TOLERANCE = 1e-4


def validated_outcomes(forecast: ArrayLike, outcome: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check forecasts of events and whether the events happened.

    Args:
        forecast: probabilities ``(N,)``.
        outcome: ``(N,)``, 0 or 1 (or boolean).

    Returns:
        Both as float64 ``(N,)``.

    Raises:
        ValueError: if shapes differ, nothing is given, or a value is not a probability or not 0 or 1.
    """
    forecast = np.asarray(forecast, dtype=np.float64)
    outcome = np.asarray(outcome, dtype=np.float64)
    if forecast.ndim != 1 or forecast.shape != outcome.shape:
        raise ValueError(f"expected forecast and outcome of one shape (N,), found {forecast.shape} and {outcome.shape}")
    if forecast.size == 0:
        raise ValueError("no samples: calibration needs at least one forecast")
    if not np.isfinite(forecast).all() or forecast.min() < 0 or forecast.max() > 1:
        raise ValueError(
            f"probabilities must lie in [0, 1], found {_first_bad(forecast)}; pass probabilities, not logits"
        )
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError(f"outcomes must be 0 or 1, found {outcome[~np.isin(outcome, (0.0, 1.0))][0]}")
    return forecast, outcome


def validated_multiclass(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check class probabilities and class indices.

    Args:
        probabilities: ``(N, K)``, rows that sum to 1.
        labels: class indices ``(N,)`` in 0 … K − 1.

    Returns:
        Probabilities as float64 ``(N, K)`` and labels as int64 ``(N,)``.

    Raises:
        ValueError: if shapes do not match, nothing is given, rows are no distributions or labels are out of range.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(f"expected probabilities (N, K) with K >= 2, found shape {probabilities.shape}")
    if len(probabilities) == 0:
        raise ValueError("no samples: calibration needs at least one row of probabilities")
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            f"probabilities must lie in [0, 1], found {_first_bad(probabilities)}; pass probabilities, not logits"
        )
    sums = probabilities.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > ROW_SUM_TOLERANCE:
        raise ValueError(f"every row of probabilities must sum to 1, row {worst} sums to {sums[worst]:.6g}")
    return probabilities, validated_rows(labels, *probabilities.shape)


def validated_binary(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Check the probabilities and labels of several labels that do not exclude one another.

    Args:
        probabilities: ``(N, L)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.

    Returns:
        Both as float64 ``(N, L)``.

    Raises:
        ValueError: if shapes differ or a value is neither a probability nor 0, 1 or NaN.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape != labels.shape:
        raise ValueError(
            f"expected probabilities and labels of one shape (N, L), found {probabilities.shape} and {labels.shape}"
        )
    for index in range(labels.shape[1]):
        known = ~np.isnan(labels[:, index])
        try:
            validated_outcomes(probabilities[known, index], labels[known, index])
        except ValueError as error:
            raise ValueError(f"label {index}: {error}") from error
    return probabilities, labels


def validated_rows(labels: ArrayLike, n: int, num_classes: int) -> np.ndarray:
    """Check class indices against ``n`` samples and ``num_classes`` classes.

    Returns:
        The labels as int64 ``(N,)``.

    Raises:
        ValueError: if the shape is not ``(N,)``, a label is no whole number or is out of range.
    """
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"expected {n} labels of shape ({n},), found shape {labels.shape}")
    indices = labels.astype(np.float64)
    bad = ~(np.isfinite(indices) & (indices == np.round(indices)) & (indices >= 0) & (indices < num_classes))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"labels must be whole numbers from 0 to {num_classes - 1}, found {labels[row]} in row {row}")
    return indices.astype(np.int64)


def _first_bad(values: np.ndarray) -> float:
    bad = ~np.isfinite(values) | (values < 0) | (values > 1)
    return float(values[bad][0])
