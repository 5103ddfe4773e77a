"""What calibrating writes of decisions beyond one accepted risk: a wanted sensitivity, and a choice of error rates."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.calibration.calibration_records import chose_epoch
from shared.calibration.risk_control import cases_needed, fit_sensitivity
from shared.calibration.selective_threshold import fit_threshold
from shared.data.errors import DataError

__all__ = ["deferral_entries", "sensitivity_entry"]

logger = logging.getLogger("CalibrationFitter")


def sensitivity_entry(
    probability: NDArray[np.float64],
    records: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    target: float,
    group_key: str | None,
    split: str = "validation",
) -> dict[str, Any]:
    """Fit the threshold for a wanted sensitivity (:func:`~shared.calibration.risk_control.fit_sensitivity`).

    Args:
        probability: calibrated, of the second of two classes, ``(N,)``.
        records: the N records that are fitted on, with ``label``.
        classes: names of both classes.
        target: sensitivity wanted.
        group_key: key of the records that says which belong together; single samples count where one has none.
        split: section that the records are of. If it also chose the epoch of the weights, the guarantee is nominal.

    Returns:
        JSON types: ``class``, ``target``, ``reached`` and, if so, the numbers of the fit; otherwise ``threshold`` None
        and the ``reason``, which is also logged; ``by``, what counts as a case, and ``n_needed``, how many positive
        ones the target takes at least; ``split`` and ``nominal``.
    """
    labels = np.array([record["label"] for record in records])
    named = [None if group_key is None else record.get(group_key) for record in records]
    groups = None if None in named else np.array([str(name) for name in named])
    entry: dict[str, Any] = {
        "class": classes[1],
        "target": target,
        "by": "sample" if groups is None else group_key,
        "split": split,
        "nominal": chose_epoch(split),
        "n_needed": cases_needed(1 - target),
    }
    try:
        fit = fit_sensitivity(probability, labels, target, groups=groups)
    except DataError as error:
        logger.warning(f"no prediction of another class than {classes[1]} will be accepted: {error}")
        n_positive = int((labels == 1).sum())
        n_groups = n_positive if groups is None else len(np.unique(groups[labels == 1]))
        counts = {"n_positive": n_positive, "n_groups": n_groups}
        return entry | {"reached": False, "threshold": None, **counts, "reason": str(error)}
    return entry | {"reached": True} | fit.to_dict()


def deferral_entries(
    confidence: NDArray[np.float64], wrong: NDArray[np.bool_], kept: NDArray[np.bool_], risks: Sequence[float]
) -> list[dict[str, Any]]:
    """Fit the confidence from which on at most each of several error rates is reached among the accepted.

    Args:
        confidence: of each validation sample, ``(N,)``.
        wrong: whether its prediction is wrong, ``(N,)``.
        kept: whether it is not rejected, ``(N,)``.
        risks: error rates, each in (0, 1).

    Returns:
        For each ``target_risk``, ``threshold``, ``coverage`` and ``risk`` on the validation samples; all three None
        where no confidence reaches it.
    """
    entries = []
    for risk in risks:
        entry: dict[str, Any] = {"target_risk": risk, "threshold": None, "coverage": None, "risk": None, "n": len(kept)}
        try:
            fit = fit_threshold(confidence[kept], wrong[kept], risk) if kept.any() else None
        except DataError:
            fit = None
        if fit is not None:
            entry |= {"threshold": fit.threshold, "coverage": fit.coverage * kept.mean(), "risk": fit.risk}
        entries.append(entry)
    return entries
