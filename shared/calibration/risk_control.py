"""The probability from which on a case is called positive, so that a wanted share of the positive cases is found.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022, arXiv:2208.02814). For losses L_i(λ) in
[0, B] that do not increase with λ, exchangeable over n calibration cases and one new case, any λ with

``n / (n + 1) · R̂(λ) + B / (n + 1) <= α``,  ``R̂(λ) = 1/n Σ_i L_i(λ)``

(their eq. 4) has ``E[L_{n+1}(λ)] <= α``, whatever the distribution and the network. Here λ is a threshold from above,
the loss of a positive case is 1 if its probability is below the threshold and 0 otherwise, and R̂ is the
false-negative rate.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from shared.data.errors import DataError

__all__ = ["SensitivityFit", "cases_needed", "fit_sensitivity", "risk_is_controlled"]

#: 1 - 0.9 is a hair below 0.1 in floating point: nine cases would not do for a sensitivity of 0.9
ROUNDING = 1e-9


@dataclass(frozen=True)
class SensitivityFit:
    """Result of :func:`fit_sensitivity`.

    Attributes:
        threshold: call positive from this score on.
        target: sensitivity asked for.
        sensitivity: that of the samples fitted on, at the threshold; the mean over groups, if there are groups.
        specificity: theirs, ``None`` without a negative sample.
        n_positive: number of positive samples.
        n_groups: number of groups that they are of; of samples, where each stands for itself.
        missed: number of positive samples below the threshold.
        miss_rate_bound: the miss rate that the threshold stays below with probability ``level`` over the draw of the
            calibration samples; ``None`` where samples are grouped. The target holds on average over such draws, and
            any one of them can be unlucky.
        level: see ``miss_rate_bound``.
    """

    threshold: float
    target: float
    sensitivity: float
    specificity: float | None
    n_positive: int
    n_groups: int
    missed: int
    miss_rate_bound: float | None
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """Return the fit as JSON types."""
        return asdict(self)


def risk_is_controlled(risk: ArrayLike, n: int, alpha: float, bound: float = 1.0) -> NDArray[np.bool_]:
    """Return whether an empirical risk is low enough for the guarantee: n / (n + 1) · R̂ + B / (n + 1) <= α.

    Args:
        risk: mean loss of the n calibration cases R̂, any shape.
        n: number of calibration cases.
        alpha: largest expected loss α of a new case.
        bound: largest possible loss B.

    Example:
        >>> risk_is_controlled([0.0, 0.1], n=9, alpha=0.1).tolist(), risk_is_controlled(0.0, n=8, alpha=0.1).tolist()
        ([True, False], False)
    """
    return np.asarray(n * np.asarray(risk, dtype=np.float64) + bound <= alpha * (n + 1) + ROUNDING)


def cases_needed(alpha: float, bound: float = 1.0) -> int:
    """Return the least number of calibration cases with which an expected loss of α can be promised: ⌈B / α⌉ − 1.

    Example:
        >>> cases_needed(0.1), cases_needed(0.05), cases_needed(0.3)
        (9, 19, 3)
    """
    return max(math.ceil(bound / alpha - ROUNDING) - 1, 0)


def fit_sensitivity(
    scores: ArrayLike, labels: ArrayLike, target: float, *, groups: ArrayLike | None = None, level: float = 0.95
) -> SensitivityFit:
    """Choose the highest threshold at which a new positive case is found with probability ``target`` or more.

    The guarantee is on average over the draw of the calibration cases and of the new case, and is finite-sample: it
    presumes that all are exchangeable (new cases of the same kind) and that the calibration cases had no part in making
    the network; where they also chose the best epoch, it is nominal. It does not depend on how well the scores are
    calibrated: any increasing function of them, such as a temperature fitted on the same samples, gives the same
    decisions. Only positive samples are used; with ``groups`` a case is a whole group, and its loss the share of its
    positive samples that are missed.

    Exact: risk changes at scores only, so that they are sorted once. Without groups and ties the threshold is the
    (k + 1)-th lowest positive score, k = ⌊α (n + 1)⌋ − 1, and the expected miss rate (k + 1) / (n + 1).

    Args:
        scores: larger where a sample is more likely positive, ``(N,)``.
        labels: 0, 1, or NaN where unknown, ``(N,)``; unknown samples are left out.
        target: sensitivity wanted, 1 − α, in (0, 1).
        groups: patient of each sample ``(N,)``.
        level: probability for ``miss_rate_bound``, which for independent samples without ties is the quantile of
            Beta(k + 1, n − k) (Vovk 2012, "Conditional validity of inductive conformal predictors").

    Raises:
        DataError: if there are too few positive cases for any threshold, or a score or label is not allowed.
        ValueError: if shapes differ, or ``target`` or ``level`` lies outside (0, 1).

    Example:
        >>> scores = [0.05, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.1, 0.02]
        >>> fit = fit_sensitivity(scores, [1] * 9 + [0] * 2, target=0.8)
        >>> fit.threshold, fit.missed, fit.specificity
        (0.3, 1, 1.0)
    """
    for name, value in (("target", target), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie in (0, 1), found {value}")
    score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    group = np.arange(score.size) if groups is None else np.asarray(groups)
    if score.ndim != 1 or not score.shape == label.shape == group.shape:
        raise ValueError(
            f"expected scores, labels and groups of one shape (N,), found {score.shape}, {label.shape}, {group.shape}"
        )
    if not np.isfinite(score).all():
        raise DataError(f"scores must be finite, found {score[~np.isfinite(score)][0]}; check the network's outputs")
    if not (np.isnan(label) | np.isin(label, (0.0, 1.0))).all():
        raise DataError(f"labels must be 0, 1 or NaN (unknown), found {label[~np.isin(label, (0.0, 1.0))][0]:g}")
    positive = label == 1
    _, member, sizes = np.unique(group[positive], return_inverse=True, return_counts=True)
    n, alpha = len(sizes), 1 - target
    if not risk_is_controlled(0.0, n, alpha):
        raise DataError(
            f"no threshold can promise a sensitivity of {target:g}: that takes at least {cases_needed(alpha)} positive "
            f"cases, found {n}"
            + (f", which can promise at most {n / (n + 1):.3g}" if n else "")
            + "; calibrate on more, or ask for less"
        )
    threshold = _highest_threshold(score[positive], 1.0 / sizes[member], n, alpha)
    found, negative = score >= threshold, label == 0
    missed = int((positive & ~found).sum())
    loss = np.bincount(member, weights=~found[positive], minlength=n) / sizes
    # samples equal to the threshold are found: below it lie fewer than the rank allows, and the bound only falls
    allowed = math.floor(alpha * (n + 1) + ROUNDING) - 1
    alone = len(member) == n
    return SensitivityFit(
        threshold=threshold,
        target=target,
        sensitivity=float(1 - loss.mean()),
        specificity=float(1 - found[negative].mean()) if negative.any() else None,
        n_positive=len(member),
        n_groups=n,
        missed=missed,
        miss_rate_bound=float(betaincinv(allowed + 1, n - allowed, level)) if alone else None,
        level=level,
    )


def _highest_threshold(scores: NDArray[np.float64], weights: NDArray[np.float64], n: int, alpha: float) -> float:
    """Return the highest threshold with a controlled risk: n R̂(t) is the weight of the scores below t.

    As long as that holds at a score it holds below; above the highest score all are missed.
    """
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    first = np.flatnonzero(np.diff(ascending, prepend=-np.inf) != 0)  # of each group of ties
    below = (weights[order].cumsum() - weights[order])[first]
    return float(ascending[first[risk_is_controlled(below / n, n, alpha)][-1]])
