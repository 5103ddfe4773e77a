"""Temperature scaling, for single-pass logits and for the mean of Monte Carlo samples.

Guo et al. 2017, "On calibration of modern neural networks", section 4.2: divide the logits by one number T > 0 that
minimises the negative log-likelihood on held-out data. With S stochastic passes the quantity that is reported, and
therefore the quantity whose likelihood is fitted, is the mean of the calibrated samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from shared.calibration.validation import validated_rows
from shared.data.errors import DataError

__all__ = ["TemperatureFit", "apply_temperature", "fit_temperature", "temperature_loss"]

Array = TypeVar("Array", np.ndarray, torch.Tensor)

BOUNDS = (1e-2, 1e3)
GRID_POINTS = 47
GRADIENT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class TemperatureFit:
    """Result of :func:`fit_temperature`.

    Attributes:
        temperature: fitted T.
        loss_before: mean negative log-likelihood in nats at T = 1.
        loss_after: the same at the fitted T.
        gradient: d loss / d log T at the fitted T, in nats; near 0 unless a bound is active.
        n: number of samples fitted on.
        samples: Monte Carlo samples S per image; 1 for single-pass logits.
        bound: ``"lower"`` or ``"upper"`` if the loss has no minimum within the bounds, else ``None``.
    """

    temperature: float
    loss_before: float
    loss_after: float
    gradient: float
    n: int
    samples: int = 1
    bound: Literal["lower", "upper"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as JSON types, the temperature under ``"value"``."""
        return {
            "value": self.temperature,
            "loss_before": self.loss_before,
            "loss_after": self.loss_after,
            "gradient": self.gradient,
            "n": self.n,
            "samples": self.samples,
            "bound": self.bound,
        }

    @property
    def caveat(self) -> str | None:
        """What to know of a fit at a bound, as a sentence; ``None`` for any other."""
        if self.bound == "lower":
            return (
                f"the {self.n} samples are separated so well that no temperature fits best; it stays at "
                f"{self.temperature:g}: calibrate on more or harder samples"
            )
        if self.bound == "upper":
            return (
                f"on the {self.n} samples the logits are no better than chance; temperature {self.temperature:g} "
                "leaves next to no confidence: check the weights and the order of the classes"
            )
        return None


def apply_temperature(logits: Array, temperature: float) -> Array:
    """Return the mean over the samples of softmax(z_s / T), computed in float64.

    Args:
        logits: single-pass logits ``(N, K)`` or Monte Carlo samples ``(N, S, K)``.
        temperature: T > 0.

    Returns:
        Probabilities ``(N, K)`` in float64, an array for an array and a tensor (on its device) for a tensor.

    Raises:
        ValueError: if the temperature is not positive and finite, or the shape is neither of the two.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be positive and finite, found {temperature}")
    if logits.ndim not in (2, 3):
        raise ValueError(f"expected logits (N, K) or Monte Carlo samples (N, S, K), found shape {tuple(logits.shape)}")
    if isinstance(logits, torch.Tensor):
        probabilities = (logits.double() / temperature).softmax(dim=-1)
        return probabilities if logits.ndim == 2 else probabilities.mean(dim=1)
    probabilities = softmax(logits.astype(np.float64) / temperature, axis=-1)
    return probabilities if logits.ndim == 2 else probabilities.mean(axis=1)


def temperature_loss(log_temperature: float, samples: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the negative log-likelihood at ``log T`` and its derivative.

    ``loss = -1/N Σ_n log(1/S Σ_s p_s)`` with ``p_s = softmax(z_s / T)_y``, and with ``w_s = p_s / Σ_s p_s``

    ``d loss / d log T = 1/(N T) Σ_n Σ_s w_s (z_sy − Σ_k softmax(z_s / T)_k z_sk)``.

    Args:
        log_temperature: natural logarithm of T.
        samples: float64 logits ``(N, S, K)``.
        labels: class indices ``(N,)``.

    Returns:
        Loss in nats and d loss / d log T.
    """
    scaled = (samples - samples.max(axis=2, keepdims=True)) * math.exp(-log_temperature)  # (N, S, K)
    weights = np.exp(scaled)  # (N, S, K)
    normaliser = weights.sum(axis=2)  # (N, S)
    true = np.take_along_axis(scaled, labels[:, None, None], axis=2)[..., 0]  # (N, S)
    log_likelihood = true - np.log(normaliser)  # (N, S)
    slope = true - np.einsum("nsk,nsk->ns", weights, scaled) / normaliser  # (N, S)
    loss = math.log(samples.shape[1]) - logsumexp(log_likelihood, axis=1).mean()
    gradient = (softmax(log_likelihood, axis=1) * slope).sum(axis=1).mean()
    return float(loss), float(gradient)


def fit_temperature(
    logits: ArrayLike | torch.Tensor,
    labels: ArrayLike | torch.Tensor,
    *,
    bounds: tuple[float, float] = BOUNDS,
    at_bound: Literal["raise", "keep", "conservative"] = "raise",
) -> TemperatureFit:
    """Fit the temperature T that minimises the negative log-likelihood of mean_s softmax(z_s / T).

    The search is over log T in float64: a coarse grid first, because with S > 1 the loss need not have one minimum
    only, then Brent's bounded method between the neighbours of the best grid point. The gradient at the result is
    computed analytically and must be near 0.

    Args:
        logits: single-pass logits ``(N, K)`` or Monte Carlo samples ``(N, S, K)``, any floating type; arrays, or
            tensors on any device.
        labels: class indices ``(N,)``, likewise.
        bounds: interval searched for T.
        at_bound: what becomes of a loss without a minimum within the bounds. ``"raise"`` makes it an error; ``"keep"``
            takes the bound, and flags it in the result; ``"conservative"`` takes what never adds confidence, and flags
            it: where all samples are classified right, any sharper T fits better still and their number sets no limit,
            so that T is not let below 1; where the network is no better than chance, T is the upper bound, which
            leaves next to no confidence.

    Returns:
        The fit.

    Raises:
        DataError: if there are no samples, a logit is not finite, a label is out of range, only one class is present,
            the loss does not depend on T, or it has no minimum within the bounds (all samples classified right, or a
            network no better than chance) while ``at_bound`` is ``"raise"``.

    Example:
        >>> fit = fit_temperature(np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), np.array([0, 0, 1, 1]))
        >>> print(f"{fit.temperature:.4f}")
        3.6410
    """
    samples, labels = _validated_logits(logits, labels)
    low, high = math.log(bounds[0]), math.log(bounds[1])
    if not low < high:
        raise ValueError(f"bounds must ascend, found {bounds}")

    def loss_at(log_temperature: float) -> float:
        return temperature_loss(log_temperature, samples, labels)[0]

    grid = np.linspace(low, high, GRID_POINTS)
    losses = np.array([loss_at(point) for point in grid])
    if np.ptp(losses) < 1e-12:
        raise DataError("the loss does not depend on the temperature: in every sample all logits are equal")
    best = int(losses.argmin())
    result = minimize_scalar(
        loss_at,
        bounds=(grid[max(best - 1, 0)], grid[min(best + 1, GRID_POINTS - 1)]),
        method="bounded",
        options={"xatol": 1e-10, "maxiter": 200},
    )
    bound: Literal["lower", "upper"] | None = None
    # with separable samples the loss is flat at 0 in float64 long before the bound: compare losses, not places
    if losses[0] <= result.fun:
        bound, log_temperature = "lower", low
    elif losses[-1] <= result.fun:
        bound, log_temperature = "upper", high
    else:
        log_temperature = float(result.x)
    if bound is not None and at_bound == "raise":
        raise DataError(_bound_message(bound, bounds, samples, labels))
    if bound == "lower" and at_bound == "conservative" and bounds[0] < 1 < bounds[1]:
        return replace(fit_temperature(samples, labels, bounds=(1.0, bounds[1]), at_bound="keep"), bound="lower")
    loss_after, gradient = temperature_loss(log_temperature, samples, labels)
    if bound is None and abs(gradient) > GRADIENT_TOLERANCE:
        raise RuntimeError(
            f"temperature fit did not converge: |d loss / d log T| = {abs(gradient):.2g} at T = "
            f"{math.exp(log_temperature):.6g}, expected at most {GRADIENT_TOLERANCE:g}"
        )
    return TemperatureFit(
        temperature=math.exp(log_temperature),
        loss_before=loss_at(0.0),
        loss_after=loss_after,
        gradient=gradient,
        n=len(labels),
        samples=samples.shape[1],
        bound=bound,
    )


def _validated_logits(
    logits: ArrayLike | torch.Tensor, labels: ArrayLike | torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    samples = _array(logits).astype(np.float64)
    if samples.ndim == 2:
        samples = samples[:, None, :]
    if samples.ndim != 3 or samples.shape[1] < 1 or samples.shape[2] < 2:
        raise DataError(f"expected logits (N, K) or samples (N, S, K) with K >= 2, found shape {samples.shape}")
    if len(samples) == 0:
        raise DataError("no samples to fit a temperature on: is the validation split empty?")
    if not np.isfinite(samples).all():
        row = int((~np.isfinite(samples)).any(axis=(1, 2)).argmax())
        raise DataError(f"logits must be finite, found NaN or infinity in row {row}; check the network and its input")
    try:
        indices = validated_rows(_array(labels), len(samples), samples.shape[2])
    except ValueError as error:
        raise DataError(str(error)) from error
    if len(np.unique(indices)) < 2:
        raise DataError(
            f"all {len(indices)} labels are class {indices[0]}: a temperature fitted on one class says nothing of the "
            "others; add validation samples of at least two classes"
        )
    return samples, indices


def _array(values: ArrayLike | torch.Tensor) -> np.ndarray:
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    # NumPy does not know bfloat16
    return (values.double() if values.is_floating_point() else values).numpy()


def _bound_message(bound: str, bounds: tuple[float, float], samples: np.ndarray, labels: np.ndarray) -> str:
    accuracy = (samples.mean(axis=1).argmax(axis=1) == labels).mean()
    if bound == "lower":
        return (
            f"the loss still falls at T = {bounds[0]:g}: these {len(labels)} samples (accuracy {accuracy:.1%}) are "
            "separated so well that any confidence fits them; calibrate on more or harder validation samples"
        )
    return (
        f"the loss still falls at T = {bounds[1]:g}: on these {len(labels)} samples (accuracy {accuracy:.1%}) the "
        "logits are no better than chance; check the weights and the order of the classes"
    )
