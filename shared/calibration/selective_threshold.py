"""The confidence above which predictions are accepted, chosen on validation data for a target risk."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from shared.calibration.selective import RiskCoverageCurve, risk_coverage_curve
from shared.data.errors import DataError

__all__ = ["ThresholdFit", "clopper_pearson_upper", "fit_threshold"]


@dataclass(frozen=True)
class ThresholdFit:
    """Result of :func:`fit_threshold`.

    Attributes:
        threshold: accept where the confidence is at least this.
        coverage: share of the fitted samples accepted.
        risk: error rate among them.
        n: number of samples fitted on.
        target_risk: risk asked for.
        delta: probability with which the guarantee may fail, or ``None`` without a guarantee.
        risk_bound: upper bound of the true risk that holds with probability 1 − delta, or ``None``.
    """

    threshold: float
    coverage: float
    risk: float
    n: int
    target_risk: float
    delta: float | None = None
    risk_bound: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as JSON types."""
        return asdict(self)


def fit_threshold(
    confidence: ArrayLike, error: ArrayLike, target_risk: float, *, delta: float | None = None
) -> ThresholdFit:
    """Choose, on validation data, the lowest threshold whose risk is at most ``target_risk``.

    Without ``delta`` the empirical risk decides. It is chosen as the smallest that passes, so that the risk on new
    data will often lie a little above the target. With ``delta`` the *true* risk is at most ``target_risk`` with
    probability at least 1 − delta over the draw of the validation samples: Selection with Guaranteed Risk (Geifman and
    El-Yaniv 2017, algorithm 1), a binary search over the thresholds in which each of its at most k steps asks the
    Clopper–Pearson upper bound at level delta / k. The guarantee presumes new samples of the same kind.

    Args:
        confidence: ``(N,)``.
        error: whether the prediction is wrong, ``(N,)``.
        target_risk: largest error rate among accepted samples, in (0, 1).
        delta: probability with which the guarantee may fail, in (0, 1), or ``None``.

    Returns:
        The threshold with the coverage and the risk found.

    Raises:
        DataError: if no threshold reaches the target.
        ValueError: as :func:`risk_coverage_curve`, or if target or delta lie outside (0, 1).
    """
    for name, value in (("target_risk", target_risk), ("delta", delta)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must lie in (0, 1), found {value}")
    curve = risk_coverage_curve(confidence, error)
    n = np.size(confidence)
    if delta is None:
        passing = np.flatnonzero(curve.risk <= target_risk)
        chosen, bound = passing[-1] if passing.size else None, None
    else:
        chosen, bound = _guaranteed(curve, n, target_risk, delta)
    if chosen is None:
        best = int(curve.risk.argmin())
        raise DataError(
            f"no confidence threshold reaches a risk of {target_risk:g}"
            + (f" with probability {1 - delta:g}" if delta is not None else "")
            + f" on {n} samples: the lowest error rate is {curve.risk[best]:.3g} at coverage "
            f"{curve.coverage[best]:.3g}; allow a higher target risk or calibrate on more samples"
        )
    return ThresholdFit(
        threshold=float(curve.threshold[chosen]),
        coverage=float(curve.coverage[chosen]),
        risk=float(curve.risk[chosen]),
        n=n,
        target_risk=target_risk,
        delta=delta,
        risk_bound=bound,
    )


def clopper_pearson_upper(errors: int, trials: int, delta: float) -> float:
    """Return the smallest rate that ``errors`` or fewer among ``trials`` refute at level ``delta``.

    It solves ``P(Binomial(trials, rate) <= errors) = delta`` (Clopper and Pearson 1934).
    """
    return 1.0 if errors >= trials else float(betaincinv(errors + 1, trials - errors, 1 - delta))


def _guaranteed(curve: RiskCoverageCurve, n: int, target: float, delta: float) -> tuple[int | None, float | None]:
    low, high = 0, len(curve.risk) - 1
    steps = len(curve.risk).bit_length()
    chosen: int | None = None
    chosen_bound: float | None = None
    while low <= high:
        middle = (low + high) // 2
        accepted = round(curve.coverage[middle] * n)
        bound = clopper_pearson_upper(round(curve.risk[middle] * accepted), accepted, delta / steps)
        if bound <= target:
            chosen, chosen_bound, low = middle, bound, middle + 1
        else:
            high = middle - 1
    return chosen, chosen_bound
