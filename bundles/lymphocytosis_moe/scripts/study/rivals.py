"""The models without a network: on attributes, on the number of images, and the classical route on the cells."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import clone

from scripts.rivals.attribute_classifiers import attribute_classifiers, attribute_inputs
from scripts.rivals.bag_classifier import BagClassifier
from scripts.rivals.bags import append_attributes
from scripts.rivals.feature_extraction import FeatureExtraction
from scripts.shortcuts import shortcut_probabilities
from scripts.study.choices import choose, settings_of
from scripts.study.grid import Run
from scripts.study.subsets import cell_sets, in_arrays
from scripts.study.workshop import Workshop

__all__ = ["attribute_run", "bag_classifier", "classical_run", "extract_features", "shortcut_run"]

Arrays = dict[str, NDArray[Any]]
Result = tuple[Arrays, dict[str, Any]]
SMALLEST_PROBABILITY = 1e-4  # of trees, which may say 0; a hundred patients cannot support less


def attribute_run(workshop: Workshop, run: Run) -> Result:
    """Fit a classifier on age and lymphocyte count."""
    model, split, patients = workshop.settings.models[run.model], workshop.split(run), workshop.patients
    base = attribute_classifiers(seed=run.repeat)[model["classifier"]]
    attributes, labels = patients.attributes, patients.labels

    def fit(setting: dict[str, Any], indices: NDArray[np.intp] = split.training) -> Any:
        return clone(base).set_params(**setting).fit(attributes[indices], labels[indices])

    fitted, setting = choose(
        settings_of(model.get("grid", {})),
        fit,
        lambda m: _logits(m, attributes[split.validation]),
        labels[split.validation],
    )
    refit = bool(model.get("refit", False))
    if refit:
        fitted = fit(setting, np.concatenate([split.training, split.validation]))
    arrays = {
        "validation_logits": _logits(fitted, attributes[split.validation]),
        "test_logits": _logits(fitted, attributes[split.test]),
    }
    return arrays, {"chosen": setting, "calibrate": not refit}


def shortcut_run(workshop: Workshop, run: Run) -> Result:
    """Fit a logistic regression on features that say nothing of a cell; there is nothing to choose."""
    split, patients = workshop.split(run), workshop.patients
    training = patients.of(np.concatenate([split.training, split.validation]))
    features = workshop.settings.models[run.model]["features"]
    arrays = {
        f"{section}_logits": logit(shortcut_probabilities(training, patients.of(indices), features))
        for section, indices in (("validation", split.validation), ("test", split.test))
    }
    return arrays, {"calibrate": False}


def extract_features(workshop: Workshop, workers: int) -> None:
    """Compute the 94 features of all cells, as far as they are not in the study's file."""
    paths = [path for record in workshop.patients.records for path in record["image"]]
    FeatureExtraction().many(paths, workers=max(workers, 1), cache=workshop.features_path)


def classical_run(workshop: Workshop, run: Run) -> Result:
    """Fit a multiple-instance classifier on the features of the segmented cells."""
    model, split, patients = workshop.settings.models[run.model], workshop.split(run), workshop.patients
    bags = _bags(workshop, with_attributes=bool(model.get("attributes", False)))

    def fit(setting: dict[str, Any]) -> BagClassifier:
        classifier = bag_classifier({**model["classifier"], **setting}, run.repeat)
        return classifier.fit([bags[i] for i in split.training], patients.labels[split.training])

    def scores(classifier: BagClassifier) -> NDArray[np.float64]:
        return classifier.decision_function([bags[i] for i in split.validation])

    fitted, setting = choose(settings_of(model.get("grid", {})), fit, scores, patients.labels[split.validation])
    sets = [cell_sets(patients.records[i], int(i), run.repeat, workshop.settings) for i in split.test]
    logits = [
        fitted.decision_function([bags[i][members] for members in of_patient.all])
        for i, of_patient in zip(split.test, sets, strict=True)
    ]
    arrays = {"validation_logits": scores(fitted), **in_arrays(logits, sets, workshop.settings)}
    fraction = {"fraction": fitted.fraction_} if hasattr(fitted, "fraction_") else {}
    return arrays, {"chosen": {**setting, **fraction}, "calibrate": True}


def bag_classifier(config: dict[str, Any], repeat: int) -> BagClassifier:
    """Return a multiple-instance classifier, not fitted.

    Args:
        config: ``_target_`` with arguments, as the settings have it; ``@repeat`` in it is the repeat.
        repeat: of the cross-validation.
    """
    parser = ConfigParser({"repeat": repeat, "classifier": config})
    classifier: BagClassifier = parser.get_parsed_content("classifier")
    return classifier


def _bags(workshop: Workshop, with_attributes: bool) -> list[NDArray[np.float64]]:
    """Return the features of each patient's cells, ``(N, 94)``, or ``(N, 96)`` with age and log count."""
    patients = workshop.patients
    paths = tuple(str(path) for record in patients.records for path in record["image"])
    features = _features(paths, patients.sha256, workshop.features_path)
    if with_attributes:
        features = append_attributes(features, patients.lengths, attribute_inputs(patients.attributes))
    return np.split(features, np.cumsum(patients.lengths)[:-1])


@lru_cache(maxsize=1)
def _features(paths: tuple[str, ...], contents: str, file: Path) -> NDArray[np.float64]:  # noqa: ARG001
    """Return the features of images, ``(T, 94)``, once for all runs of a process.

    To know which of the kept features are those of an image, each image is read.

    Args:
        paths: the images.
        contents: hash of what is in them, which tells the cache when they changed.
        file: where features are kept.
    """
    features = FeatureExtraction().many(paths, cache=file)
    features.flags.writeable = False  # all runs share it
    return features


def _logits(model: Any, attributes: NDArray[np.float64]) -> NDArray[np.float64]:
    tumoral = model.predict_proba(attributes)[:, 1]
    return logit(np.clip(tumoral, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
