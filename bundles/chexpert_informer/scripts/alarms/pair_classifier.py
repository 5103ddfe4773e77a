"""A small classifier that learns from the maps' distances which predictions are wrong, cross-fitted by patient.

The wish of the paper's discussion (INFORMER, section 4): "directly using the cosine distances from the pairwise
comparison in conjunction with a machine learning classification model". Its probability of an error is the doubt. The
threshold is searched on probabilities that each prediction got from a classifier which did not see its patient; the
classifier that is kept was fitted on all of the split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from scripts.alarms.distinctiveness import distinctiveness
from scripts.alarms.doubt import DoubtSource, binary_entropy
from scripts.alarms.doubt_table import Doubts
from shared.calibration.label_calibration import LabelCalibration
from shared.data.errors import DataError

__all__ = ["ErrorClassifier", "MapFeature", "ProbabilityFeature", "error_features", "fit_error_classifier"]

Floats = NDArray[np.float64]
MapFeature = Literal["pairs", "distinctiveness"]
ProbabilityFeature = Literal["none", "entropy", "logit"]

MINIMUM_ERRORS = 5


@dataclass(frozen=True)
class ErrorClassifier(DoubtSource):
    """Logistic regression per finding: sigmoid(bias + Σ_f weight_f · x_f) is the probability of a wrong prediction.

    The features x are those named below, then the prediction, then the products of both: what makes a positive call
    doubtful need not make a negative one so.

    Attributes:
        method: saliency method.
        maps: ``pairs``, the finding's K − 1 distances to the others, or ``distinctiveness``, their sum.
        probability: ``none``, the calibrated ``entropy`` in bits, or the calibrated ``logit``.
        weights: by finding, one weight per feature ``(K, F)``; none for a finding that could not be fitted.
        bias: by finding ``(K,)``; 0 for a finding that could not be fitted.
    """

    kind = "error_classifier"
    method: str = "lrp"
    maps: MapFeature = "pairs"
    probability: ProbabilityFeature = "none"
    weights: tuple[tuple[float, ...], ...] = ()
    bias: tuple[float, ...] = ()

    def doubt(self, table: Doubts, calibration: LabelCalibration) -> Floats:
        """Return the probabilities of an error; NaN where a map has no direction or the finding was not fitted."""
        result = np.full(table.logits.shape, np.nan)
        for index, (weights, bias) in enumerate(zip(self.weights, self.bias, strict=True)):
            if weights:
                features = error_features(table, calibration, index, self.method, self.maps, self.probability)
                result[:, index] = expit(features @ np.asarray(weights) + bias)
        return result

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ErrorClassifier:
        """Read what :meth:`to_json` wrote, without its kind."""
        numbers = {"weights": tuple(tuple(row) for row in content["weights"]), "bias": tuple(content["bias"])}
        return cls(**{**content, **numbers})


def error_features(
    table: Doubts,
    calibration: LabelCalibration,
    finding: int,
    method: str,
    maps: MapFeature,
    probability: ProbabilityFeature,
) -> Floats:
    """Return the features of one finding's predictions ``(N, F)``; NaN where a map has no direction."""
    distances = table.method_distances(method)
    if maps == "pairs":
        columns = [np.delete(distances[:, finding], finding, axis=1)]
    else:
        columns = [distinctiveness(distances)[:, [finding]]]
    if probability == "entropy":
        columns.append(binary_entropy(calibration.probabilities(table.logits)[:, [finding]]))
    elif probability == "logit":
        columns.append(calibration.logits(table.logits)[:, [finding]])
    own = np.concatenate(columns, axis=1)
    called = calibration.predictions(table.logits)[:, [finding]].astype(np.float64)
    return np.concatenate([own, called, own * called], axis=1)


def fit_error_classifier(
    table: Doubts,
    calibration: LabelCalibration,
    method: str,
    *,
    maps: MapFeature = "pairs",
    probability: ProbabilityFeature = "none",
    folds: int = 5,
    strength: float = 1.0,
    seed: int = 0,
) -> tuple[ErrorClassifier, Floats, dict[str, str]]:
    """Fit an :class:`ErrorClassifier`, and give each prediction a doubt that does not know its own patient.

    Args:
        table: the validation split.
        calibration: gives predictions and calibrated probabilities.
        method: saliency method.
        maps: see :class:`ErrorClassifier`.
        probability: see :class:`ErrorClassifier`.
        folds: number of folds, stratified by error, no patient in two of them.
        strength: of the quadratic penalty on the weights of standardised features (1 / C of scikit-learn).
        seed: seed of the folds.

    Returns:
        The classifier, the out-of-fold doubts ``(N, K)`` (NaN where the label is unknown or a map has no direction),
        and by finding the reason why none was fitted (too few errors or correct predictions with a known label).
    """
    doubts = np.full(table.logits.shape, np.nan)
    weights: list[tuple[float, ...]] = []
    biases: list[float] = []
    reasons: dict[str, str] = {}
    predictions = calibration.predictions(table.logits)
    for index, name in enumerate(table.classes):
        features = error_features(table, calibration, index, method, maps, probability)
        usable = np.flatnonzero(~np.isnan(table.label[:, index]) & ~np.isnan(features).any(axis=1))
        wrong = predictions[usable, index] != table.label[usable, index]
        try:
            split = _splits(wrong, table.patient[usable], folds, seed)
        except DataError as error:
            reasons[name] = str(error)
            weights.append(())
            biases.append(0.0)
            continue
        for rest, held in split:
            model = _fit(features[usable[rest]], wrong[rest], strength)
            doubts[usable[held], index] = expit(features[usable[held]] @ model[0] + model[1])
        coefficients, bias = _fit(features[usable], wrong, strength)
        weights.append(tuple(coefficients.tolist()))
        biases.append(bias)
    return ErrorClassifier(method, maps, probability, tuple(weights), tuple(biases)), doubts, reasons


def _splits(
    wrong: NDArray[np.bool_], patient: NDArray[np.str_], folds: int, seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    rarer = min(int(wrong.sum()), int((~wrong).sum()))
    groups = min(len(np.unique(patient[wrong])), len(np.unique(patient[~wrong])))
    if rarer < MINIMUM_ERRORS or groups < 2:
        raise DataError(
            f"{int(wrong.sum())} wrong and {int((~wrong).sum())} right predictions have a known label and maps with a "
            f"direction, at least {MINIMUM_ERRORS} of either, of two patients, are needed"
        )
    folder = StratifiedGroupKFold(min(folds, groups), shuffle=True, random_state=seed)
    split = [(rest, held) for rest, held in folder.split(patient, wrong, patient)]
    if any(wrong[rest].all() or not wrong[rest].any() for rest, _ in split):
        raise DataError("the wrong predictions are of so few patients that a fold's training part has none")
    return split


def _fit(features: Floats, wrong: NDArray[np.bool_], strength: float) -> tuple[Floats, float]:
    """Return weights ``(F,)`` of the features as they are, and the bias."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=1 / strength, max_iter=1000).fit((features - centre) / spread, wrong)
    weights = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - weights @ centre)
