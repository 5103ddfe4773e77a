"""Every number that alarms are judged by, for all resamples of the test images at once.

An alarm divides the predictions with a known label into flagged and kept true positives, false positives, false
negatives and true negatives. Their weighted counts are one matrix product for all alarms, findings and resamples;
everything but the areas follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from scripts.alarms.applied import AppliedAlarms
from scripts.alarms.doubt_ranking import rank_errors, ranked_auc
from shared.evaluation.multi_label import LabelCounts, f1_score, sensitivity_score, specificity_score

__all__ = ["MEASURES", "resampled_measures"]

Floats = NDArray[np.float64]
Measures = Mapping[tuple[str, str], Floats]

MEASURES: Mapping[str, tuple[str, ...]] = {
    "before": ("f1", "sensitivity", "specificity", "error_rate", "roc_auc"),
    "swapping": ("f1", "sensitivity", "specificity", "roc_auc"),
    "random_flags": ("f1", "sensitivity", "specificity"),
    "deferring": ("f1", "sensitivity", "specificity", "error_rate", "coverage"),
    "ranking": ("error_auc", "aurc"),
}
RATES: Mapping[str, Callable[[LabelCounts], Floats]] = {
    "f1": f1_score,
    "sensitivity": sensitivity_score,
    "specificity": specificity_score,
}


def resampled_measures(applied: AppliedAlarms, weights: Floats) -> dict[tuple[str, str], Floats]:
    """Measure all alarms on each resample.

    - ``before``: without any alarm.
    - ``swapping``: flagged predictions inverted. The area under the ROC curve is that of the margin to the decision
      threshold, which changes its sign where the prediction is inverted.
    - ``random_flags``: the control to it, as many flags dealt out at random within each finding. Its counts are
      expectations, (1 − r) of those without alarm and r of those of the inverted predictions, r being the share of
      flags among the images with a known label; so no chance of a draw is in it.
    - ``deferring``: flagged predictions left to a person; rates of those that are kept, and their share (coverage).
    - ``ranking``: see :class:`scripts.alarms.doubt_ranking.Ranking`; NaN for alarms that do not rank.

    Args:
        applied: A alarms, N images, K findings.
        weights: counts ``(R, N)``.

    Returns:
        By use and metric ``(R, A, K)``, alarms in their order, ``before`` ``(R, 1, K)``; NaN where a metric is not
        defined. F1 and sensitivity after swapping are defined wherever a sample is positive, whatever an alarm calls.
    """
    known = ~np.isnan(applied.label)
    truth = known & (applied.label == 1)
    called = applied.prediction == 1
    cells = np.stack([truth & called, known & ~truth & called, truth & ~called, known & ~truth & ~called])  # (4, N, K)
    flags = np.stack([np.ones_like(known), *applied.flags.values()])  # (1 + A, N, K)
    selected = (flags[:, None] & cells[None]).transpose(2, 0, 1, 3)  # (N, 1 + A, 4, K)
    counts = weights @ selected.reshape(len(known), -1).astype(np.float64)
    counts = counts.reshape(len(weights), len(flags), 4, -1)  # (R, 1 + A, 4, K)
    hit, false_alarm, miss, cleared = (counts[:, 1:, cell] for cell in range(4))  # flagged, (R, A, K) each
    whole = LabelCounts(
        hits=counts[:, :1, 0],
        called=counts[:, :1, 0] + counts[:, :1, 1],
        positive=counts[:, :1, 0] + counts[:, :1, 2],
        known=counts[:, :1].sum(axis=2),
    )
    swapped = whole._replace(hits=whole.hits - hit + miss, called=whole.called - hit - false_alarm + miss + cleared)
    flagged = hit + false_alarm + miss + cleared
    kept = LabelCounts(
        hits=whole.hits - hit,
        called=whole.called - hit - false_alarm,
        positive=whole.positive - hit - miss,
        known=whole.known - flagged,
    )
    share = _flagged_share(applied, known)
    dealt = whole._replace(
        hits=whole.hits + share * (whole.positive - 2 * whole.hits),
        called=whole.called + share * (whole.known - 2 * whole.called),
    )
    measures = {
        (use, name): rate(part)
        for use, part in (("before", whole), ("swapping", swapped), ("random_flags", dealt), ("deferring", kept))
        for name, rate in RATES.items()
    }
    for use, part in (("before", whole), ("deferring", kept)):
        measures[use, "error_rate"] = _share(part.called + part.positive - 2 * part.hits, part.known)
    measures["deferring", "coverage"] = _share(kept.known, np.broadcast_to(whole.known, kept.known.shape))
    return measures | _areas(applied, known, weights.astype(np.float32))


def _flagged_share(applied: AppliedAlarms, known: NDArray[np.bool_]) -> Floats:
    """Return the share of flags among known labels ``(A, K)``."""
    flagged = np.stack([(flags & known).sum(axis=0) for flags in applied.flags.values()]).astype(np.float64)
    return _share(flagged, np.broadcast_to(known.sum(axis=0).astype(np.float64), flagged.shape))


def _areas(
    applied: AppliedAlarms, known: NDArray[np.bool_], weights: NDArray[np.float32]
) -> dict[tuple[str, str], Floats]:
    shape = (len(weights), len(applied.flags), len(applied.classes))
    keys = [("swapping", "roc_auc"), *(("ranking", name) for name in MEASURES["ranking"])]
    areas = {key: np.full(shape, np.nan) for key in keys}
    areas["before", "roc_auc"] = np.full((shape[0], 1, shape[2]), np.nan)
    for k in range(shape[2]):
        rows = known[:, k]
        if not rows.any():
            continue
        part = weights if rows.all() else np.ascontiguousarray(weights[:, rows])
        truth, margin = applied.label[rows, k] == 1, applied.margin[rows, k]
        wrong = truth != (applied.prediction[rows, k] == 1)
        # alarms that flag alike, or order alike, have the same areas
        before = areas["before", "roc_auc"][:, 0, k] = ranked_auc(part, margin, truth)
        of_flags: dict[bytes, Floats] = {np.zeros(len(truth), dtype=np.bool_).tobytes(): before}
        of_order: dict[bytes, tuple[Floats, Floats]] = {}
        for a, (name, flags) in enumerate(applied.flags.items()):
            flagged = flags[rows, k]
            key = flagged.tobytes()
            if key not in of_flags:
                of_flags[key] = ranked_auc(part, np.where(flagged, -margin, margin), truth)
            areas["swapping", "roc_auc"][:, a, k] = of_flags[key]
            if name not in applied.doubts:
                continue
            doubt = applied.doubts[name][rows, k]
            key = np.unique(doubt, return_inverse=True)[1].tobytes()
            if key not in of_order:
                of_order[key] = rank_errors(part, doubt, wrong)
            areas["ranking", "error_auc"][:, a, k], areas["ranking", "aurc"][:, a, k] = of_order[key]
    return areas


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
