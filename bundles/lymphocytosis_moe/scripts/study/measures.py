"""What the table says of held-out predictions: means over repeats with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scripts.cell_numbers import MEASURES as CELL_MEASURES
from scripts.disagreement import MEASURES as AGREEMENT
from scripts.disagreement import patient_measures
from shared.evaluation.binary import NAMES, weighted_binary_metrics
from shared.evaluation.bootstrap import weighted_mean
from shared.study.measures import Estimate, calibration_error, mean_over_repeats

__all__ = ["COMPARED", "Meter"]

Floats = NDArray[np.float64]
COMPARED = ("roc_auc", "balanced_accuracy")


@dataclass(frozen=True)
class Meter:
    """Measures predictions ``(S, P)`` of tumoral for patients with labels ``(P,)``.

    Intervals come from a bootstrap over patients, stratified by class: resamples have as many patients of each class as
    the data.

    Args:
        labels: 0 (reactive) or 1 (tumoral).
        n_bins: equal-width bins of the calibration error.
        resamples: bootstrap resamples, and simulations for the null band.
        seed: of both.
    """

    labels: NDArray[np.int64]
    n_bins: int
    resamples: int
    seed: int = 0

    def classification(self, probabilities: Floats) -> dict[str, Estimate]:
        """Return the metrics of :mod:`shared.evaluation.binary` at a probability of one half."""
        estimates = self._mean(weighted_binary_metrics, [self.labels == 1], [probabilities])
        return dict(zip(NAMES, estimates, strict=True))

    def at_threshold(self, called: NDArray[np.bool_]) -> Estimate:
        """Return the balanced accuracy of decisions ``(S, P)``."""
        return self.classification(called.astype(np.float64))["balanced_accuracy"]

    def difference(self, probabilities: Floats, reference: Floats) -> dict[str, Estimate]:
        """Return area and balanced accuracy minus those of a reference in the same repeats, paired by patient."""
        columns = [NAMES.index(name) for name in COMPARED]

        def statistic(weights: Floats, positive: NDArray[np.bool_], new: Floats, old: Floats) -> Floats:
            measured = weighted_binary_metrics(weights, positive, new) - weighted_binary_metrics(weights, positive, old)
            return measured[:, columns]

        return dict(zip(COMPARED, self._mean(statistic, [self.labels == 1], [probabilities, reference]), strict=True))

    def calibration(self, probabilities: Floats) -> Estimate:
        """Return the calibration error of the predicted class."""
        return calibration_error(
            np.stack([1 - probabilities, probabilities], axis=-1),
            self.labels,
            n_bins=self.n_bins,
            resamples=self.resamples,
            seed=self.seed,
            strata=self.labels,
        )

    def agreement(self, image_sets: Floats) -> dict[str, Estimate]:
        """Return the measures of :func:`scripts.disagreement.disagreement` for sets ``(S, P, sets)``."""
        return self._of_patients([image_sets])

    def agreement_difference(self, image_sets: Floats, reference: Floats) -> dict[str, Estimate]:
        """Return them minus those of a reference on the same sets, paired by patient."""
        return self._of_patients([image_sets, reference])

    def by_cells(self, fewer: Floats, sizes: Sequence[int]) -> list[tuple[int, dict[str, Estimate]]]:
        """Return accuracy, balanced accuracy and area for each number of cells.

        Args:
            fewer: ``(S, P, sizes, draws)``; measures are averaged over draws and repeats.
            sizes: the numbers.
        """
        columns = [NAMES.index(name) for name in CELL_MEASURES]

        def statistic(weights: Floats, positive: NDArray[np.bool_], drawn: Floats) -> Floats:
            measured = [weighted_binary_metrics(weights, positive, scores) for scores in drawn.T]
            return np.mean(measured, axis=0)[:, columns]

        rows = []
        for index, size in enumerate(sizes):
            estimates = self._mean(statistic, [self.labels == 1], [fewer[:, :, index]])
            rows.append((int(size), dict(zip(CELL_MEASURES, estimates, strict=True))))
        return rows

    def mean(self, values: Floats) -> Estimate:
        """Return the mean of values ``(S, P)`` over patients."""
        return self._mean(weighted_mean, [], [values[..., None]])[0]

    def _of_patients(self, image_sets: list[Floats]) -> dict[str, Estimate]:
        """Average the measures of each patient, or their differences."""
        kept = np.all([np.isfinite(values).all(axis=(0, 2)) for values in image_sets], axis=0)
        labels = self.labels[kept]
        per_patient = [np.stack([patient_measures(p[kept], labels) for p in values]) for values in image_sets]
        values = per_patient[0] if len(per_patient) == 1 else per_patient[0] - per_patient[1]
        estimates = mean_over_repeats(
            weighted_mean, [], [values], resamples=self.resamples, seed=self.seed, strata=labels
        )
        return dict(zip(AGREEMENT, estimates, strict=True))

    def _mean(self, statistic: object, shared: list[NDArray], repeated: list[NDArray]) -> list[Estimate]:
        return mean_over_repeats(
            statistic,  # type: ignore[arg-type]
            shared,
            repeated,
            resamples=self.resamples,
            seed=self.seed,
            strata=self.labels,
        )
