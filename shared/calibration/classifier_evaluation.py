"""Handlers that end an evaluation: the predictions file and the metrics file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pandas as pd
from ignite.engine import Engine, Events
from sklearn.metrics import confusion_matrix

from shared.calibration.calibration_report import calibration_report
from shared.calibration.outlier_metrics import outlier_metrics
from shared.calibration.output_collector import CollectedOutputs, OutputCollector
from shared.calibration.selective import selective_report
from shared.data.errors import DataError
from shared.evaluation.binary import binary_metrics, roc_curve
from shared.evaluation.classification import classification_metrics
from shared.evaluation.headline_statistics import classification_headline, headline_proportions
from shared.evaluation.metrics_file import write_metrics
from shared.evaluation.precision_recall import average_precision, precision_recall_curve
from shared.evaluation.predictions import DECISIONS, predictions_table, write_predictions
from shared.evaluation.proportion import wilson_interval
from shared.evaluation.provenance import provenance
from shared.evaluation.resampling_groups import group_records
from shared.evaluation.subgroups import subgroup_metrics

__all__ = ["ClassifierEvaluation", "FurtherMeasure", "PredictionsWriter", "evaluate_predictions", "prediction_rows"]

FurtherMeasure = Callable[[CollectedOutputs], Any]
"""What a bundle measures besides: takes the labelled samples, returns what is ready for JSON."""

# what records say of a sample: readers of the predictions file group by it, and find the sample again
RECORD_COLUMNS = ("donor", "source", "kind", "frame", "row", "column", "opd_peak_nm", "area_um2", "dry_mass_pg")


class PredictionsWriter:
    """Ignite handler that writes ``predictions.csv`` when an evaluator completes.

    Args:
        collector: collects the columns that a calibrated classifier gives.
        classes: class names in the order of the logits.
        output_dir: where to write.
        labelled: whether the file has a column ``label``.
    """

    def __init__(
        self, collector: OutputCollector, classes: Sequence[str], output_dir: str | os.PathLike[str], labelled: bool
    ) -> None:
        self.collector = collector
        self.classes = list(classes)
        self.output_dir = Path(output_dir)
        self.labelled = labelled
        self.table: pd.DataFrame | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator, behind the collector."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, _: Engine) -> None:
        """Write the file."""
        if self.collector.collected is None:
            raise RuntimeError("the collector has nothing: list it before this handler")
        self.table = prediction_rows(self.collector.collected, self.classes, self.labelled)
        if idist.get_rank() == 0:
            path = self.output_dir / "predictions.csv"
            write_predictions(path, self.table)
            counts = self.table["decision"].value_counts()
            decided = ", ".join(f"{counts.get(decision, 0)} {decision}" for decision in DECISIONS)
            logging.getLogger(type(self).__name__).info(f"{path}: {len(self.table)} samples ({decided})")


class ClassifierEvaluation(PredictionsWriter):
    """Ignite handler that writes ``predictions.csv`` and ``metrics.json`` when an evaluator completes.

    Args:
        collector: collects the columns that a calibrated classifier gives, for samples with a ``label`` (class index)
            and for outliers with a ``kind``.
        classes: class names in the order of the logits.
        output_dir: where to write.
        bundle_root: root of the bundle; its name goes into the metrics file.
        data_files: files to hash for the provenance: the datalist.
        weight_files: weights and calibration to hash for the provenance.
        seed: seed of the run, of the bootstrap and of the null bands.
        n_bins: bins of the calibration errors.
        resamples: bootstrap resamples.
        target_risks: risks at which coverage is reported.
        group_key: key of a record that says which samples belong together (donor, patient); whole groups are resampled.
            Where labelled records do not have it, single samples are resampled: the metrics file says so, and a warning
            is logged.
        subgroup_keys: keys of a record that divide the samples into subgroups, each measured by itself.
        split: name of the split that is evaluated.
        further: what else is measured on the labelled samples, by its key in the metrics file.
        settings: of the network that is evaluated.
        default_settings: those of the bundle; the report says where they differ.
    """

    def __init__(
        self,
        collector: OutputCollector,
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        bundle_root: str | os.PathLike[str],
        data_files: Sequence[str | os.PathLike[str]],
        weight_files: Sequence[str | os.PathLike[str]],
        seed: int = 0,
        n_bins: int = 15,
        resamples: int = 1000,
        target_risks: Sequence[float] = (0.01, 0.05, 0.1),
        group_key: str | None = None,
        subgroup_keys: Sequence[str] = (),
        split: str = "test",
        further: Mapping[str, FurtherMeasure] | None = None,
        settings: Mapping[str, Any] | None = None,
        default_settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(collector, classes, output_dir, labelled=True)
        self.bundle_root = Path(bundle_root)
        self.data_files = list(data_files)
        self.weight_files = list(weight_files)
        self.model = {"settings": dict(settings or {}), "default": dict(default_settings or {})}
        self.measures: dict[str, Any] = {
            "seed": seed,
            "n_bins": n_bins,
            "resamples": resamples,
            "target_risks": list(target_risks),
            "group_key": group_key,
            "subgroup_keys": list(subgroup_keys),
        }
        self.split = split
        self.further = dict(further or {})

    def __call__(self, engine: Engine) -> None:
        """Write the files."""
        super().__call__(engine)
        if idist.get_rank() != 0 or self.collector.collected is None:
            return
        measured = evaluate_predictions(self.collector.collected, self.classes, **self.measures)
        labelled = self.collector.collected.where(["label" in record for record in self.collector.collected.records])
        measured |= {key: measure(labelled) for key, measure in self.further.items()}
        if warning := measured["resampled"].get("warning"):
            logging.getLogger("ClassifierEvaluation").warning(warning)
        content = {
            "bundle": self.bundle_root.name,
            "split": self.split,
            "model": self.model,
            **measured,
            "provenance": provenance(self.measures["seed"], self.data_files, self.weight_files),
        }
        write_metrics(self.output_dir / "metrics.json", content)


def prediction_rows(collected: CollectedOutputs, classes: Sequence[str], labelled: bool) -> pd.DataFrame:
    """Put the columns of a calibrated classifier into the table of the predictions file.

    Args:
        collected: records and columns as :class:`~shared.calibration.calibrated_classifier.CalibratedClassifier` gives.
        classes: class names.
        labelled: whether to write a column ``label``, empty where a record has none.
    """
    records, columns = collected
    # a kind of outlier; a record with a label has none, though its lesions may be of a kind
    described = [
        {name: value for name, value in record.items() if name != "kind" or "label" not in record} for record in records
    ]
    extra: dict[str, Any] = {
        name: [str(record.get(name, "")) for record in described]
        for name in RECORD_COLUMNS
        if any(name in record for record in described)
    }
    extra |= {name: columns[name] for name in ("predictive_entropy", "mutual_information")}
    extra |= {name: values for name, values in columns.items() if name.startswith("outlier_")}
    extra |= {name.removeprefix("extra_"): values for name, values in columns.items() if name.startswith("extra_")}
    for name in ("median", "standard_deviation"):
        extra |= {f"{name}_{label}": columns[name][:, index] for index, label in enumerate(classes)}
    with np.errstate(divide="ignore"):
        logits = np.log(columns["probabilities"])
    return predictions_table(
        ids=[str(record["id"]) for record in records],
        classes=classes,
        logits=logits,
        probabilities=columns["probabilities"],
        predictions=[classes[index] for index in columns["prediction"]],
        confidence=columns["confidence"],
        decisions=list(columns["decision"]),
        reasons=list(columns["reason"]),
        labels=[classes[record["label"]] if "label" in record else "" for record in records] if labelled else None,
        extra=extra,
    )


def evaluate_predictions(
    collected: CollectedOutputs,
    classes: Sequence[str],
    *,
    seed: int = 0,
    n_bins: int = 15,
    resamples: int = 1000,
    target_risks: Sequence[float] = (0.01, 0.05, 0.1),
    group_key: str | None = None,
    subgroup_keys: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure predictions: classification, calibration before and after, selective prediction, outliers, subgroups.

    Args:
        collected: records (with ``label`` or ``kind``) and columns of a calibrated classifier.
        classes: class names.
        seed: seed of the bootstrap and of the null bands.
        n_bins: bins of the calibration errors.
        resamples: bootstrap resamples.
        target_risks: risks at which coverage is reported.
        group_key: key of a record whose values are resampled as wholes; ``None`` resamples single samples.
        subgroup_keys: keys of a record that divide the samples, see :mod:`shared.evaluation.subgroups`.

    Returns:
        The content of the metrics file but for bundle, split and provenance. Of two classes the second is the one to
        be found: ``positive_class`` names it, the metrics hold its ``sensitivity``, ``specificity``, ``roc_auc`` and
        ``average_precision``, and ``roc_curve`` and ``precision_recall_curve`` its curves
        (:mod:`shared.evaluation.binary`, :mod:`shared.evaluation.precision_recall`). ``resampled`` says what the
        bootstrap drew, see :func:`shared.evaluation.resampling_groups.group_records`; shares of decisions carry Wilson
        intervals, which take the samples for independent.

    Raises:
        DataError: if no sample has a label.
    """
    inliers = collected.where(["label" in record for record in collected.records])
    if not inliers.records:
        raise DataError("there is no labelled sample to evaluate; check the datalist's section 'test'")
    labels = np.array([record["label"] for record in inliers.records])
    columns = inliers.outputs
    drawn = group_records(inliers.records, group_key)
    wrong = columns["prediction"] != labels
    bootstrap: dict[str, Any] = {"resamples": resamples, "seed": seed, "groups": drawn.groups}
    kept = columns["decision"] != "reject"
    accepted = columns["decision"] == "accept"
    rates, found = _class_to_be_found(labels, columns["probabilities"], classes, bootstrap, drawn.by)
    names, statistic = classification_headline(classes, labels)
    arrays = [labels, columns["prediction"], columns["probabilities"]]
    return {
        "n": len(labels),
        "classes": list(classes),
        "metrics": {
            **classification_metrics(
                labels, columns["prediction"], classes, columns["probabilities"], **bootstrap, unit=drawn.by
            ),
            "kept_share": _share(kept.sum(), len(kept)),
            "accepted_share": _share(accepted.sum(), len(accepted)),
            "accepted_accuracy": _share((accepted & ~wrong).sum(), accepted.sum()),
            **rates,
        },
        **found,
        "resampled": drawn.to_json(),
        "calibration": {
            "before": calibration_report(columns["uncalibrated_probabilities"], labels, n_bins=n_bins, **bootstrap),
            "after": calibration_report(columns["probabilities"], labels, n_bins=n_bins, **bootstrap),
        },
        "confusion_matrix": confusion_matrix(labels, columns["prediction"], labels=range(len(classes))),
        "selective": selective_report(
            columns["confidence"], wrong, target_risks=target_risks, **bootstrap, unit=drawn.by
        ),
        "outliers": _outliers(collected, inliers),
        "subgroups": subgroup_metrics(
            inliers.records,
            subgroup_keys,
            statistic,
            names,
            arrays,
            **bootstrap,
            unit=drawn.by,
            counted=headline_proportions(classes, labels),
        ),
    }


def _class_to_be_found(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], bootstrap: Mapping[str, Any], unit: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics and further content on the second of two classes, the one to be found; nothing for more."""
    if len(classes) != 2:
        return {}, {}
    positive, scores = labels == 1, probabilities[:, 1]
    measured = binary_metrics(positive, scores, **bootstrap, unit=unit)
    found: dict[str, Any] = {"positive_class": classes[1]}
    if 0 < positive.sum() < len(positive):
        found["roc_curve"] = roc_curve(positive, scores, **bootstrap)
        found["precision_recall_curve"] = precision_recall_curve(positive, scores, **bootstrap)
    # accuracy and balanced accuracy are those of any number of classes
    rates = {name: measured[name] for name in ("sensitivity", "specificity", "roc_auc")}
    return rates | {"average_precision": average_precision(positive, scores, **bootstrap)}, found


def _outliers(collected: CollectedOutputs, inliers: CollectedOutputs) -> dict[str, Any]:
    """Return for each kind how many were caught, and how well each score tells them from the inliers."""
    # the kind of a labelled sample (of a metastasis) says what it is, not that it is none
    kind_of = [None if "label" in record else record.get("kind") for record in collected.records]
    kinds = sorted({kind for kind in kind_of if kind is not None})
    scores = [name for name in collected.outputs if name.startswith("outlier_")]
    measured = {}
    for kind in kinds:
        outputs = collected.where([other == kind for other in kind_of]).outputs
        caught = _share((outputs["decision"] == "reject").sum(), len(outputs["decision"]))
        metrics: Mapping[str, Mapping[str, float]] = {
            name.removeprefix("outlier_"): outlier_metrics(inliers.outputs[name], outputs[name]) for name in scores
        }
        measured[kind] = {
            "n": len(outputs["decision"]),
            "caught": caught["value"],
            "ci95": caught["ci95"],
            "auroc": {name: values["auroc"] for name, values in metrics.items()},
            "fpr95": {name: values["fpr95"] for name, values in metrics.items()},
        }
    return measured


def _share(count: int, total: int) -> dict[str, Any]:
    """Return a share with its Wilson interval."""
    if total == 0:
        return {"value": np.nan, "ci95": [np.nan, np.nan]}
    return {"value": float(count / total), "ci95": [float(bound) for bound in wilson_interval(count, total)]}
