"""What to do with each prediction: accept it, defer it to a person, or reject the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Decision", "decide", "defer_possible_misses"]

Decision = Literal["accept", "defer", "reject"]


def decide(
    confidence: ArrayLike,
    outlier_score: ArrayLike,
    *,
    minimum_confidence: float,
    accept_confidence: float,
    outlier_threshold: float,
) -> list[tuple[Decision, str]]:
    """Decide on each sample, and say why.

    - ``reject`` where the outlier score is above its threshold (the input is unlike what the network was trained on)
      or the confidence is below the minimum (the network does not know),
    - ``defer`` to a person where the confidence is below what acceptance asks for,
    - ``accept`` otherwise. A value equal to its threshold passes.

    Args:
        confidence: chance-corrected confidence ``(N,)``.
        outlier_score: larger where the input is less like the training data, ``(N,)``.
        minimum_confidence: reject below.
        accept_confidence: defer below; infinite if nothing may be accepted.
        outlier_threshold: reject above.

    Returns:
        Decision and reason of each sample, N of them.

    Raises:
        ValueError: if shapes differ, a value is NaN, or ``minimum_confidence`` exceeds ``accept_confidence``.

    Example:
        >>> limits = {"minimum_confidence": 0.2, "accept_confidence": 0.6, "outlier_threshold": 3.0}
        >>> for decision, reason in decide([0.9, 0.5, 0.9], [1.0, 1.0, 4.5], **limits):
        ...     print(f"{decision}: {reason}")
        accept: confidence 0.9 is at least 0.6 and outlier score 1 at most 3
        defer: confidence 0.5 is below 0.6, which acceptance asks for
        reject: outlier score 4.5 is above 3: unlike the training data
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    outlier_score = np.asarray(outlier_score, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != outlier_score.shape:
        raise ValueError(
            f"expected confidence and outlier score of one shape (N,), found {confidence.shape}, {outlier_score.shape}"
        )
    limits = np.array([minimum_confidence, accept_confidence, outlier_threshold])
    for name, values in (("confidence", confidence), ("outlier score", outlier_score), ("thresholds", limits)):
        if np.isnan(values).any():
            raise ValueError(f"{name} is NaN at index {int(np.isnan(values).argmax())}: no decision can be taken")
    if minimum_confidence > accept_confidence:
        raise ValueError(
            f"minimum_confidence {minimum_confidence:g} exceeds accept_confidence {accept_confidence:g}: "
            "nothing could ever be deferred"
        )

    def one(sure: float, score: float) -> tuple[Decision, str]:
        if score > outlier_threshold:
            return "reject", f"outlier score {score:.4g} is above {outlier_threshold:.4g}: unlike the training data"
        if sure < minimum_confidence:
            return "reject", f"confidence {sure:.4g} is below the minimum of {minimum_confidence:.4g}"
        if accept_confidence == np.inf:
            return "defer", f"confidence {sure:.4g}; no confidence was found at which errors are rare enough to accept"
        if sure < accept_confidence:
            return "defer", f"confidence {sure:.4g} is below {accept_confidence:.4g}, which acceptance asks for"
        return "accept", (
            f"confidence {sure:.4g} is at least {accept_confidence:.4g} "
            f"and outlier score {score:.4g} at most {outlier_threshold:.4g}"
        )

    return [one(sure, score) for sure, score in zip(confidence.tolist(), outlier_score.tolist(), strict=True)]


def defer_possible_misses(
    decisions: Sequence[tuple[Decision, str]],
    probability: ArrayLike,
    called: ArrayLike,
    *,
    threshold: float,
    name: str,
) -> list[tuple[Decision, str]]:
    """Defer what would be accepted as not of the class to be found, unless that class is improbable enough.

    With the threshold of :func:`shared.calibration.risk_control.fit_sensitivity` at most the promised share of that
    class is accepted as something else, whatever else is deferred or rejected.

    Args:
        decisions: decision and reason of each sample, N of them.
        probability: calibrated, of the class to be found, ``(N,)``.
        called: whether the sample is predicted to be of that class, ``(N,)``.
        threshold: other predictions are accepted below; minus infinity if none may be.
        name: of the class to be found.

    Raises:
        ValueError: if there are not as many probabilities and predictions as decisions, or a probability is NaN.

    Example:
        >>> decided = [("accept", "sure"), ("accept", "sure"), ("accept", "sure")]
        >>> for line in defer_possible_misses(decided, [0.1, 0.3, 0.9], [0, 0, 1], threshold=0.2, name="tumour"):
        ...     print(": ".join(line))
        accept: sure, and probability of tumour 0.1 is below 0.2
        defer: probability of tumour 0.3 is not below 0.2, which the wanted sensitivity asks for
        accept: sure
    """
    values, positive = np.asarray(probability, dtype=np.float64), np.asarray(called, dtype=bool)
    if not values.shape == positive.shape == (len(decisions),):
        raise ValueError(
            f"expected {len(decisions)} probabilities and predictions, found {values.shape} and {positive.shape}"
        )
    if np.isnan(values).any():
        raise ValueError(f"probability is NaN at index {int(np.isnan(values).argmax())}: no decision can be taken")

    def one(decision: Decision, reason: str, value: float, found: bool) -> tuple[Decision, str]:
        if decision != "accept" or found:
            return decision, reason
        if threshold == -np.inf:
            return "defer", f"no threshold was found for the wanted sensitivity for {name}"
        if value >= threshold:
            return "defer", (
                f"probability of {name} {value:.4g} is not below {threshold:.4g}, which the wanted sensitivity asks for"
            )
        return "accept", f"{reason}, and probability of {name} {value:.4g} is below {threshold:.4g}"

    return [
        one(*decided, value, found)
        for decided, value, found in zip(decisions, values.tolist(), positive.tolist(), strict=True)
    ]
