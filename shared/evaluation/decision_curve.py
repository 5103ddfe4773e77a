"""Decision curves: what acting on a probability is worth, at every trade-off between misses and false alarms.

Vickers and Elkin 2006, "Decision curve analysis: a novel method for evaluating prediction models".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import bootstrap_interval

__all__ = ["decision_curve", "net_benefit", "weighted_net_benefit"]

Floats = NDArray[np.float64]


def net_benefit(hits: ArrayLike, false_alarms: ArrayLike, n: ArrayLike, threshold: ArrayLike) -> Floats:
    """Return TP / N − FP / N · p / (1 − p), arrays that broadcast together.

    The unit is one true positive per sample. Whoever acts from probability p on finds one hit worth (1 − p) / p false
    alarms. Acting on none is worth 0.

    Args:
        hits: true positives.
        false_alarms: false positives.
        n: number of samples, above 0.
        threshold: probability p from which on one would act, in [0, 1).

    Raises:
        ValueError: if a threshold is outside [0, 1).

    Example:
        >>> round(float(net_benefit(20, 30, 100, 0.25)), 6)
        0.1
    """
    p = np.asarray(threshold, dtype=np.float64)
    if not np.all((p >= 0) & (p < 1)):
        raise ValueError(f"threshold probabilities must be in [0, 1), found {p}")
    total = np.asarray(n, dtype=np.float64)
    gain, harm = np.asarray(hits, dtype=np.float64), np.asarray(false_alarms, dtype=np.float64)
    return np.asarray(gain / total - harm / total * p / (1 - p))


def weighted_net_benefit(
    weights: Floats, positive: NDArray[np.bool_], probability: Floats, *, thresholds: Floats
) -> Floats:
    """Return the net benefit of acting above each threshold probability, for each row of weights.

    Args:
        weights: ``(R, N)``.
        positive: ``(N,)``.
        probability: calibrated, ``(N,)``; one acts where it is above the threshold.
        thresholds: ``(T,)`` in [0, 1).

    Returns:
        ``(R, T)``.
    """
    called = probability[:, None] > thresholds  # (N, T)
    return net_benefit(
        weights @ (called & positive[:, None]),
        weights @ (called & ~positive[:, None]),
        weights.sum(axis=1, keepdims=True),
        thresholds,
    )


def decision_curve(
    labels: ArrayLike,
    probabilities: ArrayLike,
    thresholds: Sequence[float] | Floats | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Any]:
    """Measure one label's decision curve with a pointwise bootstrap band, ready for JSON.

    Args:
        labels: 0, 1, or NaN where unknown, ``(N,)``; unknown samples are left out.
        probabilities: calibrated, ``(N,)``.
        thresholds: threshold probabilities in [0, 1), by default 0.01 to 0.99 in steps of 0.01.
        resamples: number of bootstrap resamples.
        level: nominal coverage of the band at each threshold.
        seed: seed of the bootstrap.
        groups: patient of each sample ``(N,)``; whole patients are then drawn.

    Returns:
        Lists ``threshold``, ``net_benefit``, ``low``, ``high``, and ``treat_all``, the net benefit of acting on all;
        ``n`` and ``prevalence``.

    Raises:
        ValueError: if shapes differ, no label is known, or a value is not allowed.
    """
    label, probability = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if label.ndim != 1 or label.shape != probability.shape:
        raise ValueError(f"expected labels and probabilities (N,), found {label.shape} and {probability.shape}")
    known = ~np.isnan(label)
    if not known.any() or not np.isin(label[known], (0.0, 1.0)).all():
        raise ValueError("labels must be 0, 1 or NaN (unknown), and at least one known")
    if not np.all((probability >= 0) & (probability <= 1)):
        raise ValueError("probabilities must be in [0, 1]; pass probabilities, not logits")
    grid = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    positive = label[known] == 1

    def statistic(weights: Floats, *arrays: np.ndarray) -> Floats:
        return weighted_net_benefit(weights, *arrays, thresholds=grid)

    unit = None if groups is None else np.asarray(groups)[known]
    arrays: list[ArrayLike] = [positive, probability[known]]
    band = bootstrap_interval(statistic, arrays, resamples=resamples, level=level, seed=seed, groups=unit)
    everyone = net_benefit(positive.sum(), (~positive).sum(), len(positive), grid)
    return {
        "n": len(positive),
        "prevalence": float(positive.mean()),
        "threshold": grid.tolist(),
        "net_benefit": band.value.tolist(),
        "low": band.low.tolist(),
        "high": band.high.tolist(),
        "treat_all": everyone.tolist(),
    }
