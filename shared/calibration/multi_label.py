"""Temperature and Platt scaling of labels that do not exclude one another, each label fitted on its own.

Unknown labels (NaN), which chest X-ray data sets have in number, are left out label by label.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit

from shared.calibration.temperature import TemperatureFit, apply_temperature, fit_temperature
from shared.data.errors import DataError

__all__ = ["PlattFit", "apply_label_temperatures", "apply_platt", "fit_label_temperatures", "fit_platt"]

GRADIENT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class PlattFit:
    """Result of :func:`fit_platt` for one label: probability = sigmoid(slope * logit + intercept).

    Attributes:
        slope: factor of the logit; negative if the logit speaks against its label.
        intercept: added to the scaled logit.
        loss_before: mean cross-entropy in nats against the fitted targets, at slope 1 and intercept 0.
        loss_after: the same at the fitted numbers.
        gradient: largest absolute partial derivative of the loss at the fitted numbers.
        n: number of samples with a known label.
        n_positive: those among them in which the label is present.
    """

    slope: float
    intercept: float
    loss_before: float
    loss_after: float
    gradient: float
    n: int
    n_positive: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as JSON types."""
        return asdict(self)


def fit_label_temperatures(logits: ArrayLike, labels: ArrayLike, **options: Any) -> list[TemperatureFit]:
    """Fit one temperature per label: minimise the binary negative log-likelihood of mean_s sigmoid(z_s / T).

    A label with logit z is the two-class problem with logits (0, z), so that this is :func:`fit_temperature` for each
    label with its unknown samples left out.

    Args:
        logits: ``(N, L)`` or Monte Carlo samples ``(N, S, L)``.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.
        options: passed to :func:`fit_temperature`.

    Returns:
        L fits, in the order of the labels.

    Raises:
        DataError: as :func:`fit_temperature`, the message beginning with the label's index.
    """
    samples, labels = _validated(logits, labels)
    fits = []
    for index in range(labels.shape[1]):
        known = ~np.isnan(labels[:, index])
        logit = samples[known, :, index]  # (n, S)
        two_class = np.stack([np.zeros_like(logit), logit], axis=-1)  # (n, S, 2)
        try:
            fits.append(fit_temperature(two_class, labels[known, index], **options))
        except DataError as error:
            raise DataError(f"label {index}: {error}") from error
    return fits


def apply_label_temperatures(logits: np.ndarray, temperatures: ArrayLike) -> np.ndarray:
    """Return the mean over the samples of sigmoid(z_s / T_l).

    Args:
        logits: ``(N, L)`` or Monte Carlo samples ``(N, S, L)``.
        temperatures: one per label, ``(L,)``.

    Returns:
        Probabilities ``(N, L)`` in float64.

    Raises:
        ValueError: if there is not one positive temperature per label.
    """
    temperatures = np.asarray(temperatures, dtype=np.float64)
    if temperatures.shape != (logits.shape[-1],):
        raise ValueError(f"expected {logits.shape[-1]} temperatures, one per label, found shape {temperatures.shape}")
    columns = [
        apply_temperature(np.stack([np.zeros_like(logits[..., index]), logits[..., index]], axis=-1), temperature)[:, 1]
        for index, temperature in enumerate(temperatures)
    ]
    return np.stack(columns, axis=1)


def fit_platt(logits: ArrayLike, labels: ArrayLike, *, smooth_targets: bool = True) -> list[PlattFit]:
    """Fit sigmoid(slope * z + intercept) per label by maximum likelihood.

    Platt 1999, "Probabilistic outputs for support vector machines" (there with the opposite sign of both numbers).
    Its target smoothing replaces 1 by (N₊ + 1) / (N₊ + 2) and 0 by 1 / (N₋ + 2), which
    keeps the fit finite on separable data. The loss is convex; it is minimised by a trust-region Newton method on
    standardised logits, and the gradient in the original numbers is checked.

    Args:
        logits: single-pass logits ``(N, L)``. With Monte Carlo samples fit a temperature instead.
        labels: ``(N, L)`` with 0, 1, or NaN where unknown.
        smooth_targets: whether to fit the smoothed targets.

    Returns:
        L fits, in the order of the labels.

    Raises:
        DataError: if shapes differ, a value is not allowed, a label has only one class or constant logits, or, without
            smoothing, is separable. The message begins with the label's index.
        RuntimeError: if the solver does not converge.
    """
    samples, labels = _validated(logits, labels)
    if samples.shape[1] != 1:
        raise DataError("Platt scaling takes single-pass logits (N, L); with Monte Carlo samples fit temperatures")
    fits = []
    for index in range(labels.shape[1]):
        known = ~np.isnan(labels[:, index])
        try:
            fits.append(_fit_platt_label(samples[known, 0, index], labels[known, index], smooth_targets))
        except DataError as error:
            raise DataError(f"label {index}: {error}") from error
    return fits


def apply_platt(logits: np.ndarray, fits: list[PlattFit]) -> np.ndarray:
    """Return sigmoid(slope_l * z + intercept_l) in float64, ``(N, L)``, for logits ``(N, L)``.

    Raises:
        ValueError: if there is not one fit per label.
    """
    if logits.ndim != 2 or logits.shape[1] != len(fits):
        raise ValueError(f"expected logits (N, {len(fits)}), one column per fit, found shape {logits.shape}")
    slope = np.array([fit.slope for fit in fits])
    intercept = np.array([fit.intercept for fit in fits])
    return expit(slope * logits.astype(np.float64) + intercept)


def platt_loss(parameters: np.ndarray, logit: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean cross-entropy of sigmoid(a z + b) against targets in [0, 1], and its gradient.

    ``loss = mean(log(1 + exp(v)) − t v)`` with ``v = a z + b``; the gradient is ``mean((sigmoid(v) − t) (z, 1))``.

    Args:
        parameters: slope and intercept, ``(2,)``.
        logit: ``(N,)``.
        target: ``(N,)``.
    """
    score = parameters[0] * logit + parameters[1]
    residual = expit(score) - target
    loss = (np.logaddexp(0, score) - target * score).mean()
    return float(loss), np.array([(residual * logit).mean(), residual.mean()])


def _platt_hessian(parameters: np.ndarray, logit: np.ndarray) -> np.ndarray:
    score = parameters[0] * logit + parameters[1]
    weight = expit(score) * expit(-score)
    cross = (weight * logit).mean()
    return np.array([[(weight * logit**2).mean(), cross], [cross, weight.mean()]])


def _fit_platt_label(logit: np.ndarray, label: np.ndarray, smooth_targets: bool) -> PlattFit:
    n_positive = int(label.sum())
    n_negative = len(label) - n_positive
    if min(n_positive, n_negative) == 0:
        raise DataError(f"{n_positive} positive and {n_negative} negative samples are known; both are needed")
    spread = logit.std()
    if spread == 0:
        raise DataError(f"all {len(label)} logits are {logit[0]:g}; check the network and its input")
    positive, negative = logit[label == 1], logit[label == 0]
    if not smooth_targets and (positive.min() >= negative.max() or positive.max() <= negative.min()):
        raise DataError("the logits separate the label, so that no finite fit exists; use smooth_targets=True")
    high = (n_positive + 1) / (n_positive + 2) if smooth_targets else 1.0
    low = 1 / (n_negative + 2) if smooth_targets else 0.0
    target = np.where(label == 1, high, low)

    centre = logit.mean()
    standardised = (logit - centre) / spread
    result = minimize(
        platt_loss,
        x0=np.array([0.0, np.log(target.mean() / (1 - target.mean()))]),
        args=(standardised, target),
        jac=True,
        hess=lambda parameters, *_: _platt_hessian(parameters, standardised),
        method="trust-exact",
        options={"gtol": 1e-10},
    )
    slope = result.x[0] / spread
    fitted = np.array([slope, result.x[1] - slope * centre])
    loss_after, gradient = platt_loss(fitted, logit, target)
    # the partial derivative by the slope has the logit's unit
    if np.abs(gradient / [max(spread, 1.0), 1.0]).max() > GRADIENT_TOLERANCE:
        raise RuntimeError(f"Platt fit did not converge: gradient {gradient}, {result.message}")
    return PlattFit(
        slope=float(fitted[0]),
        intercept=float(fitted[1]),
        loss_before=platt_loss(np.array([1.0, 0.0]), logit, target)[0],
        loss_after=loss_after,
        gradient=float(np.abs(gradient).max()),
        n=len(label),
        n_positive=n_positive,
    )


def _validated(logits: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    samples = np.asarray(logits, dtype=np.float64)
    if samples.ndim == 2:
        samples = samples[:, None, :]
    labels = np.asarray(labels, dtype=np.float64)
    if samples.ndim != 3 or labels.shape != (samples.shape[0], samples.shape[2]):
        raise DataError(
            f"expected logits (N, L) or (N, S, L) with labels (N, L), found {np.shape(logits)} and {labels.shape}"
        )
    if not np.isfinite(samples).all():
        row = int((~np.isfinite(samples)).any(axis=(1, 2)).argmax())
        raise DataError(f"logits must be finite, found NaN or infinity in row {row}; check the network and its input")
    allowed = np.isnan(labels) | (labels == 0) | (labels == 1)
    if not allowed.all():
        raise DataError(f"labels must be 0, 1 or NaN (unknown), found {labels[~allowed][0]:g}")
    return samples, labels
