"""Why an alarm was raised, or not, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.alarms.doubt import DoubtSource, Entropy, ErrorProbability, Informer, MaximumProbability, Spread
from scripts.alarms.fitted_alarm import FittedAlarm
from scripts.alarms.pair_classifier import ErrorClassifier
from scripts.alarms.steps import SteppedInformer
from shared.saliency.titles import method_title

__all__ = ["alarm_reasons", "doubt_words"]

Floats = NDArray[np.float64]


def alarm_reasons(alarm: FittedAlarm, doubt: Floats) -> NDArray[np.object_]:
    """Say of every prediction why it is flagged or not.

    Args:
        alarm: the fitted alarm.
        doubt: its doubts ``(N, K)``.

    Returns:
        Texts ``(N, K)``.
    """
    return np.array(
        [[_reason(alarm, index, value) for index, value in enumerate(row)] for row in doubt.tolist()], dtype=object
    ).reshape(doubt.shape)


def doubt_words(source: DoubtSource) -> str:
    """Say what the doubts of a source are.

    Example:
        >>> doubt_words(Informer("grad_cam"))
        'distinctiveness of the Grad-CAM map'
    """
    if isinstance(source, Informer):
        return f"distinctiveness of the {method_title(source.method)} map"
    if isinstance(source, SteppedInformer):
        return f"{method_title(source.method)} map's similarity to the others, less the threshold of its step,"
    if isinstance(source, ErrorClassifier):
        return f"probability of an error, judged by the {method_title(source.method)} maps,"
    if isinstance(source, Spread):
        draws = {"tta": "test-time augmentations", "mc": "Monte Carlo dropout samples"}[source.draws]
        return f"standard deviation of the logit over {draws}"
    if isinstance(source, Entropy):
        return "entropy of the calibrated probability" if source.calibrated else "predictive entropy"
    if isinstance(source, MaximumProbability):
        return "smaller of the probabilities for and against"
    if isinstance(source, ErrorProbability):
        return "probability of an error"
    return f"doubt ({source.kind.replace('_', ' ')})"


def _reason(alarm: FittedAlarm, index: int, value: float) -> str:
    threshold = float(alarm.thresholds[index])
    if alarm.classes[index] in alarm.not_fitted:
        return f"no alarm: none could be fitted ({alarm.not_fitted[alarm.classes[index]]})"
    words = doubt_words(alarm.source)
    if np.isnan(value):
        return "no alarm: the map is 0 everywhere, so that it cannot be compared"
    if np.isposinf(threshold):
        return f"no alarm: no threshold of the {words} made the predictions of the validation split better"
    if isinstance(alarm.source, Informer):
        # the published rule, d below τ
        value, threshold, above, below = -value, -threshold, "below", "not below"
    else:
        above, below = "above", "not above"
    flagged = value < threshold if above == "below" else value > threshold
    limit = "every threshold" if np.isinf(threshold) else f"{threshold:.4g}"
    return f"{'alarm' if flagged else 'no alarm'}: {words} {value:.4g} is {above if flagged else below} {limit}"
