"""Actionability of the model, from the metrics and the predictions files: calibration, decisions and outliers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from shared.evaluation.bootstrap import bootstrap_interval
from shared.evaluation.classification import weighted_roc_auc
from shared.report.flag_measures import RESAMPLES, ModelRow, flag_rows
from shared.report.measures import Estimate, read_estimates, read_number, read_table
from shared.report.sources import Sources
from shared.report.wording import command

__all__ = ["actionability_rows"]

#: the calibration error of one answer, and of each of several labels
ERRORS = ("top_label_l1_equal_width", "l1_equal_width")
STAGES = (("calibration_error_before", "before"), ("calibration_error", "after"))


def actionability_rows(sources: Sources) -> list[ModelRow]:
    """Return what is known of the model's actionability.

    A measure that could not be taken has an estimate without a value, whose reason says why.

    Raises:
        DataError: if a file is malformed.
    """
    return [*_calibration(sources), *flag_rows(sources), *_outliers(sources)]


def _calibration(sources: Sources) -> Iterator[ModelRow]:
    table, where = sources.measured("calibration")
    n = (sources.metrics or {}).get("n")
    for measure, stage in STAGES:
        found = dict(_errors(table.get(stage), measure, n, f"{where}.{stage}"))
        values = [estimate.value for label, estimate in found.items() if label and estimate.value is not None]
        if values:
            reason = f"mean over {len(values)} labels, whose intervals stand with each"
            yield ModelRow(measure, Estimate(measure, float(np.mean(values)), n=n, reason=reason))
        for label, estimate in found.items():
            yield ModelRow(measure, estimate, label or None)
        if not found:
            reason = f"evaluating has not measured it: {command('evaluating', sources.bundle)}"
            yield ModelRow(measure, Estimate(measure, None, reason=reason))


def _errors(entry: Any, measure: str, n: int | None, where: str) -> Iterator[tuple[str, Estimate]]:
    """Yield the expected calibration error of each label; where there is one answer, that of the label ``""``."""
    if not entry:
        return
    stage = read_table(entry, where)
    labels = {"": stage} if "labels" not in stage else read_table(stage["labels"], f"{where}.labels")
    for label, part in labels.items():
        place = f"{where}.labels.{label}" if label else where
        name = next((name for name in ERRORS if name in read_table(part, place)), None)
        if name is not None:
            (e,) = read_estimates({name: part[name]}, place)
            counted = part.get("n", stage.get("n", n))
            count = None if counted is None else int(read_number(counted, f"{place}.n"))
            yield label, Estimate(measure, e.value, e.interval, e.null_band, n=count, reason=e.reason)


def _outliers(sources: Sources) -> Iterator[ModelRow]:
    """Yield the ROC AUC of the outlier score that decisions rest on, over all kinds of outliers and for each.

    Outliers are resampled apart from the samples of known classes.
    """
    frame, measure = sources.predictions, "outlier_auc"
    if frame is None or "outlier_score" not in frame:
        reason = "there is no predictions.csv" if frame is None else "the model has no outlier score"
        yield ModelRow(measure, Estimate(measure, None, reason=reason))
        return
    kind = np.full(len(frame), "") if "kind" not in frame else frame["kind"].astype(str).to_numpy()
    kinds = sorted(set(kind) - {""})
    if not kinds or np.all(kind != ""):
        reason = "the data list has no known outliers beside its test samples"
        yield ModelRow(measure, Estimate(measure, None, reason=reason))
        return
    score = frame["outlier_score"].to_numpy(dtype=np.float64)
    for name in (None, *kinds) if len(kinds) > 1 else (None,):
        chosen = (kind == "") | ((kind != "") if name is None else (kind == name))
        outlying = (kind != "")[chosen]
        interval = bootstrap_interval(weighted_roc_auc, [score[chosen], outlying], resamples=RESAMPLES, strata=outlying)
        entry = interval.to_json()
        (e,) = read_estimates({measure: entry | {"chance": 0.5, "n": int(outlying.sum())}}, measure)
        yield ModelRow(measure, e, of=name)
