"""Handler that ends evaluating: the predictions file, the metrics file, and tables of every alarm."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pandas as pd
from ignite.engine import Engine
from scipy.special import expit

from scripts.alarm_titles import alarm_title
from scripts.alarms.doubt_table import Doubts
from scripts.alarms.evaluation import AlarmEvaluation, evaluate_alarms
from scripts.findings_table import FindingsWriter
from scripts.informer_classifier import DeferredInformer, Findings, InformerClassifier
from shared.calibration.calibration_report import multi_label_calibration_report
from shared.calibration.output_collector import OutputCollector
from shared.calibration.selective import selective_report
from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.evaluation.decision_curve import decision_curve
from shared.evaluation.headline_statistics import multi_label_headline
from shared.evaluation.metrics_file import write_metrics
from shared.evaluation.multi_label import multilabel_metrics
from shared.evaluation.provenance import provenance
from shared.evaluation.resampling_groups import group_records
from shared.evaluation.subgroups import subgroup_metrics

__all__ = ["InformerEvaluation", "alarm_figures", "measure_findings"]

DOUBTS_FILE = "doubts.npz"
#: first threshold, last threshold and number of them of the decision curves
DECISION_GRID = (0.01, 0.99, 99)


class InformerEvaluation(FindingsWriter):
    """Ignite handler that writes ``predictions.csv``, ``metrics.json``, ``doubts.npz`` and ``alarms/*.csv``.

    Args:
        collector: collects what :class:`scripts.doubt_collector.DoubtInferer` gives of labelled images.
        classifier: the calibrated one, with all alarms.
        classes: names of the findings in the order of the logits.
        output_dir: where to write.
        bundle_root: root of the bundle; its name goes into the metrics file.
        data_files: files to hash for the provenance: the datalist.
        weight_files: weights and calibration to hash for the provenance.
        settings: of network and input, for the metrics file.
        default_settings: those of the bundle; the report says where they differ.
        seed: seed of the run, of the bootstrap and of the null bands.
        n_bins: bins of the calibration errors.
        resamples: bootstrap resamples, of intervals and of paired differences.
        bootstrapped_sets: test sets of the paper's figure 3.
        target_risks: risks at which coverage is reported.
        prevalences: at which predictive values are stated.
        incidence: by finding, cases a year, for the paper's clinical reading.
        shown_alarms: alarms in the figures beside the acting one; the tables hold all.
        group_key: key of a record that says which images belong together; whole groups are resampled.
        subgroup_keys: keys of a record that divide the images into subgroups, each measured by itself.
        split: name of the split that is evaluated.
    """

    def __init__(
        self,
        collector: OutputCollector,
        classifier: DeferredInformer,
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        bundle_root: str | os.PathLike[str],
        data_files: Sequence[str | os.PathLike[str]],
        weight_files: Sequence[str | os.PathLike[str]],
        settings: Mapping[str, Any],
        default_settings: Mapping[str, Any],
        seed: int = 0,
        n_bins: int = 15,
        resamples: int = 1000,
        bootstrapped_sets: int = 30,
        target_risks: Sequence[float] = (0.05, 0.1),
        prevalences: Sequence[float] = (),
        incidence: Mapping[str, float] | None = None,
        shown_alarms: Sequence[str] = (),
        group_key: str | None = "patient",
        subgroup_keys: Sequence[str] = (),
        split: str = "test",
    ) -> None:
        super().__init__(collector, classifier, classes, output_dir, labelled=True)
        self.informer = classifier
        self.bundle_root = Path(bundle_root)
        self.data_files = list(data_files)
        self.weight_files = list(weight_files)
        self.model = {"settings": dict(settings), "default": dict(default_settings)}
        self.seed = seed
        self.measures: dict[str, Any] = {
            "n_bins": n_bins,
            "resamples": resamples,
            "target_risks": list(target_risks),
            "group_key": group_key,
            "subgroup_keys": list(subgroup_keys),
        }
        self.of_alarms: dict[str, Any] = {
            "resamples": resamples,
            "sets": bootstrapped_sets,
            "prevalences": list(prevalences),
            "incidence": dict(incidence or {}),
        }
        self.shown_alarms = list(shown_alarms)
        self.split = split

    def __call__(self, _: Engine) -> None:
        """Write the files."""
        doubts, found = self.judge()
        if idist.get_rank() != 0 or self.collector.collected is None:
            return
        classifier = self.informer.classifier
        measured = measure_findings(
            doubts, found, classifier, self.collector.collected.records, seed=self.seed, **self.measures
        )
        if warning := measured["resampled"].get("warning"):
            logging.getLogger("InformerEvaluation").warning(warning)
        alarms = evaluate_alarms(classifier.alarms, classifier.calibration, doubts, seed=self.seed, **self.of_alarms)
        self._write_tables(alarms.tables)
        doubts.save(self.output_dir / DOUBTS_FILE)
        content = {
            "bundle": self.bundle_root.name,
            "split": self.split,
            **measured,
            "alarm": {"name": classifier.acting, "action": classifier.action, "method": classifier.method},
            "alarms": alarms.report | {"titles": {name: alarm_title(name) for name in classifier.alarms}},
            "alarm_figures": alarm_figures(alarms, [classifier.acting, *self.shown_alarms]),
            "model": self.model,
            "provenance": provenance(self.seed, self.data_files, self.weight_files),
        }
        write_metrics(self.output_dir / "metrics.json", content)

    def _write_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for name, table in tables.items():
            with atomic_path(self.output_dir / "alarms" / f"{name}.csv") as temporary:
                table.to_csv(temporary, index=False, lineterminator="\n")


def measure_findings(
    doubts: Doubts,
    found: Findings,
    classifier: InformerClassifier,
    records: Sequence[Mapping[str, Any]],
    *,
    seed: int = 0,
    n_bins: int = 15,
    resamples: int = 1000,
    target_risks: Sequence[float] = (0.05, 0.1),
    group_key: str | None = "patient",
    subgroup_keys: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure predictions: F1 and the like, calibration before and after, selection, decision curves, subgroups.

    Args:
        doubts: of labelled images.
        found: said of them.
        classifier: that said it.
        records: of the same images.
        seed: seed of the bootstrap and of the null bands.
        n_bins: bins of the calibration errors.
        resamples: bootstrap resamples.
        target_risks: risks at which coverage is reported.
        group_key: key of a record whose values are resampled as wholes.
        subgroup_keys: keys of a record that divide the images, see :mod:`shared.evaluation.subgroups`.

    Returns:
        The content of the metrics file but for bundle, split, alarms and provenance.

    Raises:
        DataError: if no label is known.
    """
    known = ~np.isnan(doubts.label)
    if not known.any():
        raise DataError("there is no labelled image to evaluate; check the datalist's section 'test'")
    classes = [name for name, column in zip(doubts.classes, known.T, strict=True) if column.any()]
    kept = [doubts.classes.index(name) for name in classes]
    drawn = group_records(records, group_key)
    bootstrap: dict[str, Any] = {"resamples": resamples, "seed": seed, "groups": drawn.groups}
    labels = doubts.label[:, kept]
    answers = [labels, found.predictions[:, kept].astype(np.float64), found.probabilities[:, kept]]
    names, statistic = multi_label_headline(labels)

    def calibration(probabilities: np.ndarray) -> dict[str, Any]:
        return multi_label_calibration_report(probabilities[:, kept], labels, classes, n_bins=n_bins, **bootstrap)

    def of_each(measure: Callable[[np.ndarray, int, Any], dict[str, Any]]) -> dict[str, Any]:
        groups = drawn.groups
        return {
            name: measure(known[:, k], k, None if groups is None else groups[known[:, k]])
            for name, k in zip(classes, kept, strict=True)
        }

    def selective(rows: np.ndarray, k: int, groups: Any) -> dict[str, Any]:
        wrong = found.predictions[rows, k] != doubts.label[rows, k]
        return selective_report(
            found.confidence[rows, k],
            wrong,
            target_risks=target_risks,
            unit=drawn.by,
            **{**bootstrap, "groups": groups},
        )

    def decisions(rows: np.ndarray, k: int, groups: Any) -> dict[str, Any]:
        return decision_curve(
            doubts.label[rows, k],
            found.probabilities[rows, k],
            thresholds=np.linspace(DECISION_GRID[0], DECISION_GRID[1], DECISION_GRID[2]),
            **{**bootstrap, "groups": groups},
        )

    return {
        "n": len(doubts),
        "classes": classes,
        "metrics": multilabel_metrics(
            labels, found.predictions[:, kept], found.probabilities[:, kept], classes, **bootstrap, unit=drawn.by
        ),
        "resampled": drawn.to_json(),
        "calibration": {
            "before": calibration(np.asarray(expit(doubts.logits))),
            "after": calibration(found.probabilities),
        },
        "selective": of_each(selective),
        "decision_curves": of_each(decisions),
        "thresholds": dict(zip(doubts.classes, classifier.calibration.thresholds.tolist(), strict=True)),
        "subgroups": subgroup_metrics(records, subgroup_keys, statistic, names, answers, **bootstrap),
    }


def alarm_figures(evaluation: AlarmEvaluation, shown: Sequence[str]) -> dict[str, Any]:
    """Return what the report's figures of some alarms are drawn from, in the order asked for.

    Args:
        evaluation: of all alarms.
        shown: names; one that was not fitted is left out.

    Returns:
        ``bootstrapped_sets``: mean F1 of each bootstrapped test set by alarm; ``risk_coverage``: by finding and alarm
        ``coverage`` and ``risk``.
    """
    sets, curves = evaluation.tables["bootstrapped_sets"], evaluation.tables["risk_coverage"]
    names = [name for name in dict.fromkeys(shown) if name in set(sets["alarm"])]
    boxes = {name: sets.loc[sets["alarm"] == name, "mean_f1"].tolist() for name in names}
    lines: dict[str, dict[str, Any]] = {}
    for (finding, name), part in curves.groupby(["finding", "alarm"], sort=False):
        if name in names:
            columns = {key: part[key].tolist() for key in ("coverage", "risk")}
            lines.setdefault(str(finding), {})[str(name)] = columns
    return {"bootstrapped_sets": boxes, "risk_coverage": lines}
