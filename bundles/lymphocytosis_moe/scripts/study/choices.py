"""What is chosen on the validation patients: a temperature, a threshold, a setting among several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from shared.calibration.temperature import TemperatureFit, fit_temperature, temperature_loss

__all__ = ["calibrated_loss", "choose", "settings_of", "temperature_of", "two_class", "youden_threshold"]

Floats = NDArray[np.float64]
#: s of a temperature's logarithm before any patient is seen
SPREAD = 1.0
#: between which a temperature is searched; the prior makes it impossible to end there
BOUNDS = (1e-3, 1e3)


def two_class(logits: ArrayLike) -> Floats:
    """Return logits z of tumoral as two-class logits ``(0, z)``, ``(..., 2)``: their softmax is the sigmoid of z."""
    values = np.asarray(logits, dtype=np.float64)
    return np.stack([np.zeros_like(values), values], axis=-1)


def temperature_of(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Fit the temperature of logits ``(N,)``, the more cautiously the fewer patients there are.

    It minimises ``Σ loss(z / T, y) + (log T)² / (2 s²)`` with s = :data:`SPREAD`: the most probable temperature if,
    before any patient is seen, a factor of e to either side is one standard deviation. Twenty patients of whom one is
    on the wrong side by a hair would else make all probabilities extreme, or where none is, have no temperature.

    Args:
        logits: of the validation patients.
        labels: 0 or 1 ``(N,)``.

    Example:
        >>> temperature_of(np.array([-1.0, 1.0]), np.array([0, 1])) > 0.5  # without a limit it would be 0
        True
    """
    pairs = two_class(logits)[:, None]

    def objective(log_temperature: float) -> float:
        return len(labels) * temperature_loss(log_temperature, pairs, labels)[0] + log_temperature**2 / (2 * SPREAD**2)

    grid = np.linspace(np.log(BOUNDS[0]), np.log(BOUNDS[1]), 101)
    best = int(np.argmin([objective(point) for point in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    return float(np.exp(minimize_scalar(objective, bounds=around, method="bounded", options={"xatol": 1e-8}).x))


def calibrated_loss(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return the mean negative log-likelihood at the best temperature, in nats: scores on any scale compare by it.

    Where no patient is on the wrong side any sharper temperature is better, and it is that of a temperature of 1.
    """
    return float(np.log(2)) if not np.any(logits) else _fit(logits, labels).loss_after


def _fit(logits: Floats, labels: NDArray[np.integer]) -> TemperatureFit:
    # the bundle's own policy for a validation split without an error
    return fit_temperature(two_class(logits), labels, at_bound="conservative")


def youden_threshold(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return the threshold on the calibrated probability with the largest sensitivity + specificity − 1 (Youden 1950).

    Thresholds between two neighbouring patients are all alike, so the middle between their logits is taken; of several
    that are equally good, the one nearest to one half.

    Args:
        logits: calibrated ``(N,)``.
        labels: 0 or 1 ``(N,)``.

    Example:
        >>> round(youden_threshold(np.array([-2.0, 1.0, 3.0, 4.0]), np.array([0, 0, 1, 1])), 3)
        0.881
    """
    ascending = np.unique(logits)
    candidates = np.concatenate([[0.0], (ascending[1:] + ascending[:-1]) / 2])
    called = logits > candidates[:, None]  # (candidates, N)
    index = called[:, labels == 1].mean(axis=1) - called[:, labels == 0].mean(axis=1)
    best = candidates[np.isclose(index, index.max())]
    return float(expit(best[np.abs(best).argmin()]))


def settings_of(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return all combinations of the values of a grid; one that is empty for an empty grid.

    Example:
        >>> settings_of({"C": [1, 2], "kernel": ["rbf"]})
        [{'C': 1, 'kernel': 'rbf'}, {'C': 2, 'kernel': 'rbf'}]
    """
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def choose(
    candidates: Sequence[dict[str, Any]],
    fit: Callable[[dict[str, Any]], Any],
    scores: Callable[[Any], Floats],
    labels: NDArray[np.integer],
) -> tuple[Any, dict[str, Any]]:
    """Fit with each setting and keep the model with the lowest :func:`calibrated_loss` on the validation patients.

    Args:
        candidates: settings; of equally good ones the first is taken.
        fit: a setting to a fitted model.
        scores: a model to the logits of the validation patients, ``(V,)``.
        labels: of the validation patients, ``(V,)``.

    Returns:
        The model and its setting.
    """
    models = [fit(candidate) for candidate in candidates]
    if len(models) == 1:
        return models[0], candidates[0]
    losses = [calibrated_loss(scores(model), labels) for model in models]
    best = int(np.argmin(losses))
    return models[best], candidates[best]
