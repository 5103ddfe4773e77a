"""What the table says of held-out predictions: means over seeds with intervals over cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.calibration.confidence import chance_corrected_confidence
from shared.evaluation.bootstrap import weighted_mean
from shared.evaluation.classification import metric_names, weighted_metrics
from shared.study.measures import Estimate, calibration_error, mean_over_repeats

__all__ = ["METRICS", "Meter"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
METRICS = ("macro_f1", "accuracy")


@dataclass(frozen=True)
class Meter:
    """Measures predictions ``(seeds, N, K)`` of cells with labels ``(N,)``.

    Args:
        labels: true class indices.
        num_classes: K.
        n_bins: equal-width bins of the calibration error.
        resamples: bootstrap resamples, and simulations for the null band.
        seed: of both.
    """

    labels: Labels
    num_classes: int
    n_bins: int = 15
    resamples: int = 1000
    seed: int = 0

    def classification(self, probabilities: Floats) -> dict[str, Estimate]:
        """Return :data:`METRICS` of the most probable class."""
        return dict(zip(METRICS, self._mean(self._metrics, [probabilities]), strict=True))

    def classification_change(self, probabilities: Floats, reference: Floats) -> dict[str, Estimate]:
        """Return the paired differences to other predictions of the same cells by the same seeds."""

        def difference(weights: Floats, labels: Labels, new: Floats, old: Floats) -> Floats:
            return self._metrics(weights, labels, new) - self._metrics(weights, labels, old)

        return dict(zip(METRICS, self._mean(difference, [probabilities, reference]), strict=True))

    def confidence(self, probabilities: Floats) -> Estimate:
        """Return the mean chance-corrected confidence."""

        def confidence(weights: Floats, _: Labels, chosen: Floats) -> Floats:
            return weighted_mean(weights, chance_corrected_confidence(chosen)[:, None])

        return self._mean(confidence, [probabilities])[0]

    def changed(self, probabilities: Floats, reference: Floats) -> Estimate:
        """Return the share of cells whose predicted class is another one."""

        def share(weights: Floats, _: Labels, new: Floats, old: Floats) -> Floats:
            return weighted_mean(weights, (new.argmax(axis=1) != old.argmax(axis=1)).astype(np.float64)[:, None])

        return self._mean(share, [probabilities, reference])[0]

    def calibration(self, probabilities: Floats) -> Estimate:
        """Return the top-label calibration error, with a basic bootstrap interval and its null band."""
        return calibration_error(
            probabilities, self.labels, n_bins=self.n_bins, resamples=self.resamples, seed=self.seed
        )

    def _metrics(self, weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
        names = metric_names([str(k) for k in range(self.num_classes)], with_roc_auc=False)
        measured = weighted_metrics(weights, labels, probabilities.argmax(axis=1), num_classes=self.num_classes)
        return measured[:, [names.index(name) for name in METRICS]]

    def _mean(self, statistic: Callable[..., Floats], predictions: Sequence[Floats]) -> list[Estimate]:
        return mean_over_repeats(statistic, [self.labels], predictions, resamples=self.resamples, seed=self.seed)
