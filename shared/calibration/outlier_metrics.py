"""How well a score tells outliers from inliers; the outlier is the positive class throughout."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score, roc_curve

__all__ = ["outlier_metrics"]


def outlier_metrics(inlier_scores: ArrayLike, outlier_scores: ArrayLike) -> dict[str, float]:
    """Return the area under the ROC curve and the false-positive rate at 95 % true-positive rate.

    Args:
        inlier_scores: ``(N,)``, larger is more outlying.
        outlier_scores: ``(M,)``.

    Returns:
        ``auroc``: probability that an outlier scores above an inlier, ties counted half. ``fpr95``: smallest share of
        inliers at or above a threshold that at least 95 % of the outliers reach.

    Raises:
        ValueError: if one of the two is empty or a score is NaN.

    Example:
        >>> outlier_metrics([0, 1, 2, 3], [2.5, 4])
        {'auroc': 0.875, 'fpr95': 0.25}
    """
    scores = [np.asarray(values, dtype=np.float64).ravel() for values in (inlier_scores, outlier_scores)]
    if any(values.size == 0 for values in scores):
        raise ValueError(f"both groups need scores, found {scores[0].size} inliers and {scores[1].size} outliers")
    positive = np.repeat([0, 1], [values.size for values in scores])
    joined = np.concatenate(scores)
    false_rate, true_rate, _ = roc_curve(positive, joined, drop_intermediate=False)
    return {
        "auroc": float(roc_auc_score(positive, joined)),
        "fpr95": float(false_rate[np.argmax(true_rate >= 0.95)]),
    }
