"""The interpretable end of the trade-off: logistic regression on the mean features of a patient's segmented cells.

With standardised features ``z_i`` of the N cells of a patient, ``w`` and ``b`` fitted on the training patients,

    logit = b + w · (1/N) Σ_i z_i = b + Σ_i (w · z_i) / N:

the coefficients are the model, and ``w · z_i / N`` is what cell i adds to the logit, exactly and without any method of
explanation. Results and the values of the cells are written as those of a network are, so that both stand in one table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from scripts.cell_truth import abnormal_cells
from scripts.rivals.feature_extraction import FeatureExtraction
from scripts.rivals.features import FEATURE_NAMES
from shared.data.errors import DataError
from shared.evaluation.binary import binary_metrics
from shared.evaluation.classification import classification_metrics
from shared.evaluation.interpretability.file import FILE, row, write_interpretability
from shared.evaluation.metrics_file import write_metrics
from shared.evaluation.predictions import predictions_table, write_predictions
from shared.evaluation.resampling_groups import group_records, whole_groups
from shared.saliency.bags.bag_elements import BAG_MEASURES, unmeasured_rows
from shared.saliency.bags.bag_measures import BagMeasures
from shared.saliency.bags.quality.bag_quality import ordered_bag_quality
from shared.saliency.transparency.completeness import Completeness, relative_error

__all__ = ["ClassicalModel", "FittedFeatures"]

Floats = NDArray[np.float64]
Record = Mapping[str, Any]

COEFFICIENTS = "coefficients"
RANDOM = "random_values"
RULE = "What a cell adds to the logit: its standardised features times the coefficients, over the number of cells."
NO_NETWORK = "the model has no layers or other trainings: its coefficients are the explanation"
#: features named beside the method, those of the largest coefficients
NAMED = 10


class FittedFeatures:
    """The model, fitted.

    Args:
        pipeline: standardisation and logistic regression of mean features.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    @classmethod
    def fit(
        cls,
        training: tuple[Sequence[Floats], Sequence[int]],
        validation: tuple[Sequence[Floats], Sequence[int]],
        regularisation: Sequence[float],
    ) -> FittedFeatures:
        """Fit on the training patients, with the penalty of the lowest loss on the validation patients.

        Args:
            training: features of the cells of each patient ``(N_i, F)``, and the classes.
            validation: the same of the validation patients.
            regularisation: inverse strengths C of the penalty to choose from.

        Raises:
            DataError: if the training patients are all of one class.
        """
        labels = list(training[1])
        if len(set(labels)) < 2:
            raise DataError(
                f"the {len(labels)} training patients are all of one class; both are needed, check the data"
            )
        means, held_out = (np.stack([cells.mean(axis=0) for cells in part[0]]) for part in (training, validation))
        fitted = [
            make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000)).fit(means, labels)
            for strength in regularisation
        ]
        losses = [log_loss(validation[1], model.predict_proba(held_out), labels=[0, 1]) for model in fitted]
        return cls(fitted[int(np.argmin(losses))])

    @property
    def weights(self) -> Floats:
        """Coefficients ``w`` of the standardised features ``(F,)``."""
        return self.pipeline[-1].coef_[0]

    @property
    def intercept(self) -> float:
        """The logit ``b`` of a patient whose features are the means of the training patients."""
        return float(self.pipeline[-1].intercept_[0])

    def scores(self, cells: Floats) -> Floats:
        """Return ``w · z_i`` of each cell ``(N,)``."""
        return self.pipeline[0].transform(cells) @ self.weights

    def logits(self, patients: Sequence[Floats]) -> Floats:
        """Return the logits of tumoral ``(P,)``."""
        return self.pipeline.decision_function(np.stack([cells.mean(axis=0) for cells in patients]))


class ClassicalModel:
    """Fits the model, and writes ``metrics.json``, ``predictions.csv`` and ``interpretability.json``.

    Args:
        sections: records of ``training``, ``validation`` and ``test``.
        classes: class names; the second is the one to be found.
        output_dir: folder of the files.
        bundle_root: root of the bundle; its name goes into the files.
        features_file: where features of images are kept, ``.npz``.
        regularisation: see :meth:`FittedFeatures.fit`.
        workers: processes that compute features.
        resamples: bootstrap resamples of patients.
        group_key: key of a record whose values are resampled as wholes.
        seed: of the bootstrap and of the random values.
        provenance: where the data come from.
    """

    def __init__(
        self,
        sections: Mapping[str, Sequence[Record]],
        classes: Sequence[str],
        output_dir: str | os.PathLike[str],
        bundle_root: str | os.PathLike[str],
        features_file: str | os.PathLike[str],
        regularisation: Sequence[float] = (0.001, 0.01, 0.1, 1.0),
        workers: int = 1,
        resamples: int = 1000,
        group_key: str | None = "patient",
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.sections = sections
        self.classes = list(classes)
        self.output_dir = Path(output_dir)
        self.bundle = Path(bundle_root).name
        self.features_file = Path(features_file)
        self.regularisation = list(regularisation)
        self.workers = workers
        self.bootstrap: dict[str, int] = {"resamples": resamples, "seed": seed}
        self.group_key = group_key
        self.seed = seed
        self.provenance = dict(provenance or {})

    def run(self) -> None:
        """Fit, predict the test patients, and measure the values of their cells."""
        bags = {name: self._features(records) for name, records in self.sections.items()}
        labels = {name: [record["label"] for record in records] for name, records in self.sections.items()}
        model = FittedFeatures.fit(
            (bags["training"], labels["training"]), (bags["validation"], labels["validation"]), self.regularisation
        )
        logits = model.logits(bags["test"])
        self._write_results(logits)
        self._write_elements(model, bags["test"], logits)

    def _features(self, records: Sequence[Record]) -> list[Floats]:
        paths = [path for record in records for path in record["image"]]
        rows = FeatureExtraction().many(paths, workers=self.workers, cache=self.features_file)
        return np.split(rows, np.cumsum([len(record["image"]) for record in records])[:-1])

    def _write_results(self, logits: Floats) -> None:
        records = self.sections["test"]
        labels = np.array([record["label"] for record in records])
        tumoral = expit(logits)
        probabilities = np.stack([1 - tumoral, tumoral], axis=1)
        called = probabilities.argmax(axis=1)
        drawn = group_records(records, self.group_key)
        options: dict[str, Any] = {**self.bootstrap, "groups": drawn.groups}
        found = binary_metrics(labels == 1, tumoral, **options)
        write_metrics(
            self.output_dir / "metrics.json",
            {
                "bundle": self.bundle,
                "split": "test",
                "n": len(records),
                "classes": self.classes,
                "positive_class": self.classes[1],
                "metrics": {
                    **classification_metrics(labels, called, self.classes, probabilities, **options),
                    **{name: found[name] for name in ("sensitivity", "specificity", "roc_auc")},
                },
                "resampled": drawn.to_json(),
                "calibration": {},
                "provenance": self.provenance,
            },
        )
        table = predictions_table(
            ids=[str(record["id"]) for record in records],
            classes=self.classes,
            logits=np.stack([np.zeros_like(logits), logits], axis=1),
            probabilities=probabilities,
            predictions=[self.classes[index] for index in called],
            confidence=2 * probabilities.max(axis=1) - 1,
            decisions=["accept"] * len(records),
            reasons=["not calibrated: nothing is deferred"] * len(records),
            labels=[self.classes[label] for label in labels],
        )
        write_predictions(self.output_dir / "predictions.csv", table)

    def _write_elements(self, model: FittedFeatures, bags: Sequence[Floats], logits: Floats) -> None:
        """Write what is measured of the values of cells, on the patients predicted rightly, as of a network."""
        records = self.sections["test"]
        measures = BagMeasures(self.classes, self.seed)
        right = [place for place, record in enumerate(records) if (logits[place] > 0) == (record["label"] == 1)]
        if not right:
            raise DataError("no test patient was predicted rightly: there is nothing to explain")
        sums = []
        for place in right:
            scores, abnormal = model.scores(bags[place]), abnormal_cells(records[place])
            generator = np.random.default_rng([self.seed, place])
            values = {COEFFICIENTS: scores / len(scores), RANDOM: generator.standard_normal(len(scores))}
            quality = ordered_bag_quality(
                _MeanBag(scores, model.intercept),
                {name: torch.from_numpy(rows) for name, rows in values.items()},
                abnormal,
                seed=self.seed,
            )
            record, patient = records[place], str(records[place]["id"])
            measures.add(values, int(record["label"]), patient, abnormal, quality, patient)
            sums.append(values[COEFFICIENTS].sum())
        whole = Completeness(np.array(sums), logits[right] - model.intercept, "difference of the logit from the mean")
        rows = [*measures.rows(), row("completeness_error", relative_error(whole, seed=self.seed), COEFFICIENTS)]
        rows += unmeasured_rows(rows, [COEFFICIENTS, RANDOM], BAG_MEASURES, {}, NO_NETWORK)
        write_interpretability(
            self.output_dir / FILE,
            rows,
            self._methods(model),
            bundle=self.bundle,
            unit="patient",
            model={"name": "Logistic regression of mean features", "parameters": len(model.weights) + 1},
            provenance=self.provenance,
            resampled=whole_groups([str(records[place]["id"]) for place in right], "patient").to_json(),
        )

    @staticmethod
    def _methods(model: FittedFeatures) -> dict[str, dict[str, Any]]:
        largest = np.argsort(-np.abs(model.weights))[:NAMED]
        coefficients = {FEATURE_NAMES[index]: round(float(model.weights[index]), 4) for index in largest}
        return {
            COEFFICIENTS: {
                "title": "Coefficients of the features",
                "control": False,
                "parameters": {"largest coefficients": coefficients, "C": model.pipeline[-1].C},
                "rule": RULE,
                "satisfies": ["Adds up to the logit by the definition of the model."],
                "failed": [],
            },
            RANDOM: {
                "title": "Random values (control)",
                "control": True,
                "parameters": {},
                "rule": "Normal deviates that know nothing of the cells.",
                "satisfies": [],
                "failed": [],
            },
        }


class _MeanBag:
    """A patient whose cells are put in one after another, an :class:`OrderedBag` of the bag measures.

    Args:
        scores: ``w · z_i`` of the cells ``(N,)``.
        intercept: ``b``, the logit without any cell.
    """

    def __init__(self, scores: Floats, intercept: float) -> None:
        self.size = len(scores)
        self._scores = torch.from_numpy(scores)
        self._intercept = intercept

    def prefixes(self, orders: torch.Tensor) -> torch.Tensor:
        """Return the probability of tumoral of the first 0, 1, … N cells of orders ``(P, N)``, ``(P, N + 1)``."""
        sums = self._scores[orders].cumsum(dim=1)  # (P, N)
        means = sums / torch.arange(1, self.size + 1, dtype=sums.dtype)
        return torch.sigmoid(self._intercept + torch.cat([torch.zeros(len(orders), 1, dtype=sums.dtype), means], dim=1))
