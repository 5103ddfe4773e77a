"""What sensitivity and specificity mean where a test is used: predictive values, and cases found in a year.

A test set is rarely as rich in findings as the clinic. Predictive values depend on the prevalence, so they are stated
for prevalences of one's own choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import interval_entry, percentile_interval

__all__ = ["additional_cases", "predictive_value_table", "predictive_values"]

Floats = NDArray[np.float64]


def predictive_values(sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike) -> tuple[Floats, Floats]:
    """Return positive and negative predictive value by Bayes' theorem, arrays that broadcast together.

    With sensitivity S, specificity C and prevalence π: PPV = S π / (S π + (1 − C)(1 − π)), NPV = C (1 − π) /
    (C (1 − π) + (1 − S) π); NaN where nothing is called positive or negative.

    Args:
        sensitivity: in [0, 1]; NaN stays NaN.
        specificity: in [0, 1]; NaN stays NaN.
        prevalence: in [0, 1].

    Raises:
        ValueError: if a number is outside [0, 1].

    Example:
        >>> ppv, npv = predictive_values(0.9, 0.8, 0.01)
        >>> print(f"{ppv:.3f} {npv:.4f}")
        0.043 0.9987
    """
    found, spared, share = np.broadcast_arrays(
        *(np.asarray(part, dtype=np.float64) for part in (sensitivity, specificity, prevalence))
    )
    for name, values in (("sensitivity", found), ("specificity", spared), ("prevalence", share)):
        if np.any((values < 0) | (values > 1)) or (name == "prevalence" and np.any(np.isnan(values))):
            raise ValueError(f"{name} must be in [0, 1], found {values[~((values >= 0) & (values <= 1))][0]:g}")
    true_positive, false_positive = found * share, (1 - spared) * (1 - share)
    true_negative, false_negative = spared * (1 - share), (1 - found) * share
    with np.errstate(invalid="ignore"):
        return true_positive / (true_positive + false_positive), true_negative / (true_negative + false_negative)


def predictive_value_table(
    sensitivity: Floats, specificity: Floats, prevalences: Sequence[float], *, level: float = 0.95
) -> list[dict[str, Any]]:
    """State predictive values at chosen prevalences, with the intervals of bootstrapped rates.

    Args:
        sensitivity: of the data, then of each resample, ``(1 + R,)``.
        specificity: likewise, of the same resamples.
        prevalences: chosen prevalences, taken for exact.
        level: nominal coverage.

    Returns:
        For each prevalence ``{"prevalence", "ppv": {"value", "ci95"}, "npv": {"value", "ci95"}}``.
    """
    rows = []
    for prevalence in prevalences:
        entry: dict[str, Any] = {"prevalence": float(prevalence)}
        for name, values in zip(("ppv", "npv"), predictive_values(sensitivity, specificity, prevalence), strict=True):
            entry[name] = percentile_interval(values[0], values[1:], level).to_json()
        rows.append(entry)
    return rows


def additional_cases(
    gain: float, incidence: float, interval: Sequence[float] | None = None, *, level: float = 0.95
) -> dict[str, Any]:
    """Translate a gain in sensitivity into cases found in a year (Shu et al., INFORMER, section 3, clinical reading).

    It takes for granted that every case is imaged, shows the finding, and is as hard to see as those of the test set;
    the false alarms that a lower specificity costs are not in the number.

    Args:
        gain: sensitivity after minus sensitivity before.
        incidence: cases in a year.
        interval: lower and upper bound of the gain.
        level: nominal coverage of ``interval``.

    Returns:
        ``{"incidence", "gain", "cases"}``; ``cases`` is ``{"value", "ci95"}`` where the gain has an interval, and
        else ``{"value"}``.

    Raises:
        ValueError: if the gain is outside [−1, 1] or the incidence negative.

    Example:
        >>> round(additional_cases(0.724 - 0.690, 1_500_000)["cases"]["value"])
        51000
    """
    if not abs(gain) <= 1:
        raise ValueError(f"a difference of sensitivities must be in [-1, 1], found {gain}")
    if not 0 <= incidence < np.inf:
        raise ValueError(f"incidence must be a number of cases in a year, not negative, found {incidence}")
    cases: dict[str, Any] = {"value": gain * incidence}
    if interval is not None:
        low, high = interval
        cases = interval_entry(gain * incidence, (low * incidence, high * incidence), level=level)
    return {"incidence": incidence, "gain": gain, "cases": cases}
