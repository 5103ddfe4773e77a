"""Whether an alarm is worth raising: every metric with its interval, and paired differences against all controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.alarms.alarm import FittedAlarm
from scripts.alarms.applied import AppliedAlarms, apply_alarms
from scripts.alarms.bootstrapped_sets import bootstrapped_sets, summarise_sets
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.evaluation_tables import long_table, risk_coverage, table_1
from scripts.alarms.interval_entries import Entries, EntryStyle, Measures
from scripts.alarms.resampled import MEASURES, resampled_measures
from shared.calibration.label_calibration import LabelCalibration
from shared.evaluation.bootstrap import bootstrap_weights, count_groups, percentile_interval
from shared.evaluation.metrics_file import json_ready
from shared.evaluation.predictive_values import additional_cases, predictive_value_table
from shared.evaluation.proportion_entry import proportion_entry
from shared.evaluation.resampling_groups import ResamplingGroups, group_records

__all__ = ["RANDOM_FLAGS", "AlarmEvaluation", "evaluate_alarms", "evaluate_applied"]

Floats = NDArray[np.float64]

BASELINES = ("entropy", "moved_threshold", "no_alarm")
RANDOM_FLAGS = "random_flags"
MEAN = "mean"
COMPARED = ("swapping", "deferring", "ranking")


class AlarmEvaluation(NamedTuple):
    """What :func:`evaluate_alarms` returns.

    Attributes:
        report: plain types, ready for JSON.
        tables: long tables for figures: ``metrics``, ``differences``, ``bootstrapped_sets``, ``risk_coverage``.
    """

    report: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def evaluate_alarms(
    alarms: Mapping[str, FittedAlarm], calibration: LabelCalibration, table: Doubts, **options: Any
) -> AlarmEvaluation:
    """Apply fitted alarms to the test split and measure them.

    Args:
        alarms: alarms that were fitted on the validation split, by name.
        calibration: what they were fitted with.
        table: doubts of the test split.
        options: of :func:`evaluate_applied`.

    Raises:
        DataError: as :func:`~scripts.alarms.applied.apply_alarms`.
        ValueError: as :func:`evaluate_applied`.
    """
    return evaluate_applied(apply_alarms(alarms, calibration, table), **options)


def evaluate_applied(
    applied: AppliedAlarms,
    *,
    baselines: Sequence[str] = BASELINES,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    sets: int = 30,
    prevalences: Sequence[float] = (),
    incidence: Mapping[str, float] | None = None,
) -> AlarmEvaluation:
    """Measure alarms that were applied to test images, of one model or of several (``pool_alarms``).

    The report holds ``n``, ``findings`` (known and positive images), ``resampling``, and by alarm

    - ``flagged``: by finding the share of flags, and how many predictions had no doubt (an empty map);
    - ``swapping``, ``random_flags``, ``deferring``, ``ranking``: by metric, each finding and ``mean``, see
      :func:`~scripts.alarms.resampled.resampled_measures`;
    - ``differences``: against each baseline, and against ``random_flags`` of the alarm's own rate, likewise, with the
      paired interval, the two-sided bootstrap p-value, the standard error, and ``detectable``, the true difference
      that such a test set shows with a power of 80 % (2.8 standard errors at the 95 % level). Swapping is compared
      with the control's swapping; deferring with its deferring, where flags dealt at random change nothing but the
      coverage; ranking with its ranking, where chance has an area of ½ and the error rate as AURC. The mean's
      difference is the mean of the findings' differences;
    - ``predictive_values`` after swapping at stated prevalences, and ``additional_cases`` a year against each baseline
      for stated incidences, if asked for.

    ``table_1`` has the structure of the paper's table 1 (F1 after swapping), ``bootstrapped_sets`` that of its
    figure 3.

    Args:
        applied: alarms applied to the test images.
        baselines: alarms that all are compared with.
        resamples: number of bootstrap resamples, by patient; every alarm sees the same.
        seed: seed of all draws.
        level: nominal coverage of the intervals.
        sets: bootstrapped test sets of figure 3.
        prevalences: at which predictive values are stated.
        incidence: by finding, cases a year.

    Raises:
        ValueError: if a baseline is no alarm, or ``incidence`` names another finding.
    """
    names = [*applied.flags]
    missing = [name for name in baselines if name not in names]
    if missing:
        raise ValueError(f"baselines {', '.join(missing)} are not among the alarms {', '.join(names)}")
    unknown = sorted(set(incidence or {}) - set(applied.classes))
    if unknown:
        raise ValueError(f"incidence of {', '.join(unknown)}: expected findings among {', '.join(applied.classes)}")
    groups = _patients(applied)
    chunks = bootstrap_weights(len(applied.id), resamples, seed=seed, groups=groups.groups)
    parts = [resampled_measures(applied, np.ones((1, len(applied.id))))]
    parts += [resampled_measures(applied, weights) for weights in chunks]
    # the data first, then the resamples
    measures = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}  # (1 + R, A, K)
    drawn = count_groups(len(applied.id), groups.groups)
    compared = {name: _differences(measures, names.index(name)) for name in baselines}
    compared[RANDOM_FLAGS] = _random_differences(measures)
    style = EntryStyle((*applied.classes, MEAN), level, drawn)
    before = style.entries({key: values for key, values in measures.items() if key[0] == "before"}, 0)
    metrics = {
        name: _with_proportions(style.entries(_after(measures), index), applied, name, groups, level)
        for index, name in enumerate(names)
    }
    differences = {
        (name, against): style.entries(values, index, paired=True)
        for index, name in enumerate(names)
        for against, values in compared.items()
    }
    figure = bootstrapped_sets(applied, sets=sets, seed=seed)
    report = {
        "n": len(applied.id),
        "patients": len(np.unique(applied.patient)),
        "findings": _findings(applied),
        "resampling": groups.to_json() | {"resamples": resamples, "seed": seed, "level": level},
        "before": before["before"],
        "baselines": [*compared],
        "alarms": {
            name: {
                "flagged": _flagged(applied, name),
                **metrics[name],
                "differences": {against: differences[name, against] for against in compared},
                **_clinical(measures, compared, applied.classes, index, prevalences, incidence or {}, level),
            }
            for index, name in enumerate(names)
        },
        "table_1": table_1(metrics),
        "bootstrapped_sets": summarise_sets(figure, "entropy" if "entropy" in names else None),
    }
    tables = {
        "metrics": long_table({(name,): entries for name, entries in metrics.items()}, ("alarm",)),
        "differences": long_table(differences, ("alarm", "against")),
        "bootstrapped_sets": figure,
        "risk_coverage": risk_coverage(applied),
    }
    return AlarmEvaluation(json_ready(report), tables)


def _patients(applied: AppliedAlarms) -> ResamplingGroups:
    if len(np.unique(applied.patient)) == len(applied.patient):
        return ResamplingGroups(None, "patient", len(applied.patient))  # one image each
    return group_records([{"id": i, "patient": p} for i, p in zip(applied.id, applied.patient, strict=True)], "patient")


def _after(measures: Measures) -> dict[tuple[str, str], Floats]:
    return {key: values for key, values in measures.items() if key[0] != "before"}


def _with_proportions(
    entries: Entries, applied: AppliedAlarms, alarm: str, groups: ResamplingGroups, level: float
) -> Entries:
    """Give rates on which all resamples agree the Wilson interval of the patients that they are of."""
    known, positive, flags = ~np.isnan(applied.label), applied.label == 1, applied.flags[alarm]
    of_rates = {"sensitivity": positive, "specificity": known & ~positive, "error_rate": known}
    denominators = {("swapping", metric): counted for metric, counted in of_rates.items()}
    denominators |= {("deferring", metric): counted & ~flags for metric, counted in of_rates.items()}
    if flags.any():  # else everything is kept, and not by chance
        denominators["deferring", "coverage"] = known
    for (use, metric), counted in denominators.items():
        of_findings = entries.get(use, {}).get(metric, {})
        for k, name in enumerate(applied.classes):
            if name in of_findings:
                entry = of_findings[name]
                of_findings[name] = proportion_entry(entry, counted[:, k], groups.groups, groups.by, level)
    return entries


def _differences(measures: Measures, baseline: int) -> dict[tuple[str, str], Floats]:
    """Return every alarm's difference to one of them ``(1 + R, A, K)``."""
    return {key: values - values[:, [baseline]] for key, values in measures.items() if key[0] in COMPARED}


def _random_differences(measures: Measures) -> dict[tuple[str, str], Floats]:
    """Return the differences against as many flags dealt at random ``(1 + R, A, K)``."""
    found = {
        ("swapping", name): measures["swapping", name] - measures[RANDOM_FLAGS, name] for name in MEASURES[RANDOM_FLAGS]
    }
    # those whom random flags leave to a person are a random sample: no rate of the others changes
    for name in ("f1", "sensitivity", "specificity", "error_rate"):
        found["deferring", name] = measures["deferring", name] - measures["before", name]
    found["ranking", "error_auc"] = measures["ranking", "error_auc"] - 0.5
    found["ranking", "aurc"] = measures["ranking", "aurc"] - measures["before", "error_rate"]
    return found


def _findings(applied: AppliedAlarms) -> dict[str, dict[str, int]]:
    known, positive = (~np.isnan(applied.label)).sum(axis=0), (applied.label == 1).sum(axis=0)
    return {
        name: {"known": int(n), "positive": int(p)} for name, n, p in zip(applied.classes, known, positive, strict=True)
    }


def _flagged(applied: AppliedAlarms, alarm: str) -> dict[str, dict[str, Any]]:
    flags = applied.flags[alarm]
    undirected = np.isnan(applied.doubts[alarm]) if alarm in applied.doubts else np.zeros(flags.shape, dtype=np.bool_)
    return {
        name: {
            "n": int(flags[:, k].sum()),
            "share": float(flags[:, k].mean()),
            "without_doubt": int(undirected[:, k].sum()),
        }
        for k, name in enumerate(applied.classes)
    }


def _clinical(
    measures: Measures,
    compared: Mapping[str, Measures],
    classes: Sequence[str],
    alarm: int,
    prevalences: Sequence[float],
    incidence: Mapping[str, float],
    level: float,
) -> dict[str, Any]:
    """Return predictive values and additional cases of one alarm, as far as asked for."""
    result: dict[str, Any] = {}
    if prevalences:
        rates = (measures["swapping", name][:, alarm] for name in ("sensitivity", "specificity"))
        columns = zip(classes, *(rate.T for rate in rates), strict=True)
        result["predictive_values"] = {
            name: predictive_value_table(found, spared, prevalences, level=level) for name, found, spared in columns
        }
    if incidence:
        result["additional_cases"] = {
            against: {
                name: _cases(values["swapping", "sensitivity"][:, alarm, classes.index(name)], cases, level)
                for name, cases in incidence.items()
            }
            for against, values in compared.items()
        }
    return result


def _cases(gain: Floats, incidence: float, level: float) -> dict[str, Any]:
    interval = percentile_interval(gain[0], gain[1:], level)
    return additional_cases(float(gain[0]), incidence, (float(interval.low), float(interval.high)), level=level)
