"""What could be diagnosed without looking at a single cell: from the number of images, the age or the count alone.

A model has learned something from the images only as far as it does better. A number of images that tells the classes
apart is a flaw of the data (how many cells were photographed), and every pooling that depends on it would exploit it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.calibration.output_collector import CollectedOutputs
from shared.data.errors import DataError
from shared.evaluation.binary import NAMES, binary_metrics, weighted_binary_metrics
from shared.evaluation.bootstrap import bootstrap_difference

__all__ = ["SHORTCUTS", "ShortcutCheck", "shortcut_features", "shortcut_probabilities"]

#: Name to the features that are used together.
SHORTCUTS: Mapping[str, tuple[str, ...]] = {
    "number of images": ("images",),
    "age": ("age",),
    "lymphocyte count": ("log_count",),
    "age and lymphocyte count": ("age", "log_count"),
}


class ShortcutCheck:
    """Logistic regressions on single features, fitted on the training patients and measured on those evaluated.

    A measure for :class:`shared.calibration.classifier_evaluation.ClassifierEvaluation`, under ``further``.

    Args:
        training: records of the training patients, with ``label``, ``image``, ``age`` and ``lymphocyte_count``.
        resamples: bootstrap resamples of patients.
        seed: seed of the bootstrap.
    """

    def __init__(self, training: Sequence[Mapping[str, Any]], resamples: int = 1000, seed: int = 0) -> None:
        self.training = list(training)
        self.bootstrap: dict[str, Any] = {"resamples": resamples, "seed": seed}

    def __call__(self, collected: CollectedOutputs) -> dict[str, Any]:
        """Measure the shortcuts on the patients of an evaluation, and the model against each.

        Args:
            collected: labelled records and ``probabilities`` ``(P, 2)`` of the model.

        Returns:
            ``n_training`` and, for each of ``SHORTCUTS``, its ``metrics`` (at a probability of one half) and
            ``model_minus_shortcut``: the difference in ROC AUC and balanced accuracy with its paired interval.

        Raises:
            DataError: if the training patients are all of one class, or a record lacks a feature.
        """
        labels = np.array([record["label"] for record in collected.records])
        model = np.asarray(collected.outputs["probabilities"], dtype=np.float64)[:, 1]
        checks = {}
        for name, features in SHORTCUTS.items():
            alone = shortcut_probabilities(self.training, collected.records, features)
            checks[name] = {
                "metrics": binary_metrics(labels, alone, **self.bootstrap),
                "model_minus_shortcut": self._difference(labels, model, alone),
            }
        return {"n_training": len(self.training), "checks": checks}

    def _difference(
        self, labels: NDArray[np.integer], model: NDArray[np.float64], alone: NDArray[np.float64]
    ) -> dict[str, Any]:
        positive = labels == 1
        interval = bootstrap_difference(weighted_binary_metrics, [positive, model], [positive, alone], **self.bootstrap)
        return {name: interval[NAMES.index(name)].to_json() for name in ("roc_auc", "balanced_accuracy")}


def shortcut_probabilities(
    training: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]], features: Sequence[str]
) -> NDArray[np.float64]:
    """Return the probability of tumoral by logistic regression on standardised features.

    Args:
        training: records to fit on.
        records: records to predict, P of them.
        features: names of :func:`shortcut_features`.

    Returns:
        ``(P,)``.

    Raises:
        DataError: if the training records are all of one class.
    """
    labels = [record["label"] for record in training]
    if len(set(labels)) < 2:
        raise DataError(
            f"the {len(labels)} training patients are all of one class; the shortcut check needs both, check the "
            "datalist's section 'training'"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(_columns(training, features), labels)
    return model.predict_proba(_columns(records, features))[:, 1]


def shortcut_features(record: Mapping[str, Any]) -> dict[str, float]:
    """Return what a record says of a patient without its cells: number of images, age in years, log of the count.

    The count is skewed by two orders of magnitude; a linear model gets out of its logarithm what it can.

    Raises:
        DataError: if age or count is missing.

    Example:
        >>> shortcut_features({"id": "P0", "image": ["a.jpg", "b.jpg"], "age": 78.0, "lymphocyte_count": 1.0})
        {'images': 2.0, 'age': 78.0, 'log_count': 0.0}
    """
    for key in ("age", "lymphocyte_count"):
        if record.get(key) is None:
            raise DataError(f"{record.get('id')}: has no {key}, which the shortcut check needs; prepare the data anew")
    return {
        "images": float(len(record["image"])),
        "age": float(record["age"]),
        "log_count": float(np.log(record["lymphocyte_count"])),
    }


def _columns(records: Sequence[Mapping[str, Any]], features: Sequence[str]) -> ArrayLike:
    known = [shortcut_features(record) for record in records]
    return np.array([[row[name] for name in features] for row in known])
