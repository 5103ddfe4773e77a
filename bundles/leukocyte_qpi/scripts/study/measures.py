"""Means over seeds with 95 % intervals over cells, and what a perfect predictor would get.

The networks of several seeds predict the same cells, so a resample draws cells and keeps all seeds' predictions of a
cell together: the interval is that of the mean over these seeds on other cells. The spread over seeds is given apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.calibration.binning import assign_bins, bin_edges, binned_sums
from shared.calibration.calibration_error import norm_of_gaps, top_label_event
from shared.calibration.confidence import chance_corrected_confidence
from shared.calibration.resampling import basic_interval, central_interval
from shared.evaluation.bootstrap import bootstrap_interval, bootstrap_weights, weighted_mean
from shared.evaluation.classification import metric_names, weighted_metrics

__all__ = ["Estimate", "Meter"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Statistic = Callable[[Floats, Labels, Floats], Floats]
CHUNK = 200


@dataclass(frozen=True)
class Estimate:
    """One number of the table.

    Attributes:
        value: mean over the seeds.
        low: lower bound of the 95 % interval.
        high: upper bound.
        n: number of cells.
        seeds: number of seeds.
        seed_sd: standard deviation over the seeds; None for one seed.
        null_low: lower bound of what 95 % of perfect predictors get; None where the measure has no such band.
        null_high: upper bound of it.
        chance: what a guess gets; None where that is not given.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int
    seed_sd: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    chance: float | None = None


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

    def classification(self, name: str, probabilities: Floats) -> Estimate:
        """Return ``macro_f1`` or ``accuracy`` of the most probable class."""
        return self._mean_over_seeds([probabilities], lambda w, y, p: self._metric(name, w, y, p))

    def classification_change(self, name: str, probabilities: Floats, reference: Floats) -> Estimate:
        """Return the paired difference to other predictions of the same cells by the same seeds."""

        def difference(weights: Floats, labels: Labels, new: Floats, old: Floats) -> Floats:
            return self._metric(name, weights, labels, new) - self._metric(name, weights, labels, old)

        return self._mean_over_seeds([probabilities, reference], difference)

    def confidence(self, probabilities: Floats) -> Estimate:
        """Return the mean chance-corrected confidence."""
        return self._mean_over_seeds([probabilities], lambda w, _, p: weighted_mean(w, chance_corrected_confidence(p)))

    def changed(self, probabilities: Floats, reference: Floats) -> Estimate:
        """Return the share of cells whose predicted class is another one."""

        def share(weights: Floats, _: Labels, new: Floats, old: Floats) -> Floats:
            return weighted_mean(weights, (new.argmax(axis=1) != old.argmax(axis=1)).astype(np.float64))

        return self._mean_over_seeds([probabilities, reference], share)

    def calibration_error(self, probabilities: Floats) -> Estimate:
        """Return the top-label calibration error, with a basic bootstrap interval and its null band.

        The null band holds 95 % of what predictors would get that are right as often as they say. The truth of a cell
        is one for all seeds, so in a simulation one uniform number decides for all of them.
        """
        per_seed = np.array([self._error(p) for p in probabilities])
        value = float(per_seed.mean())
        resampled = np.concatenate(
            [np.mean([self._error(p, w) for p in probabilities], axis=0) for w in self._weights()]
        )
        low, high = basic_interval(value, resampled, minimum=0.0)
        null_low, null_high = central_interval(self._null(probabilities))
        return Estimate(value, low, high, len(self.labels), len(probabilities), _spread(per_seed), null_low, null_high)

    def calibration_change(self, before: Floats, after: Floats) -> Estimate:
        """Return by how much the calibration error falls: before less after, paired."""
        per_seed = np.array([self._error(b) - self._error(a) for b, a in zip(before, after, strict=True)])
        value = float(per_seed.mean())
        resampled = np.concatenate(
            [
                np.mean([self._error(b, w) - self._error(a, w) for b, a in zip(before, after, strict=True)], axis=0)
                for w in self._weights()
            ]
        )
        low, high = basic_interval(value, resampled)
        return Estimate(value, low, high, len(self.labels), len(before), _spread(per_seed))

    def _mean_over_seeds(self, predictions: list[Floats], statistic: Callable[..., Floats]) -> Estimate:
        seeds = len(predictions[0])

        def mean(weights: Floats, labels: Labels, *per_cell: Floats) -> Floats:
            return np.mean([statistic(weights, labels, *(p[:, s] for p in per_cell)) for s in range(seeds)], axis=0)

        once = np.ones((1, len(self.labels)))
        per_seed = np.array([statistic(once, self.labels, *(p[s] for p in predictions))[0] for s in range(seeds)])
        # the bootstrap resamples the first axis
        arrays = [self.labels, *(np.swapaxes(p, 0, 1) for p in predictions)]
        interval = bootstrap_interval(mean, arrays, resamples=self.resamples, seed=self.seed)
        return Estimate(
            float(interval.value),
            float(interval.low),
            float(interval.high),
            len(self.labels),
            seeds,
            _spread(per_seed),
        )

    def _metric(self, name: str, weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
        predictions = probabilities.argmax(axis=1)
        names = metric_names([str(k) for k in range(self.num_classes)], with_roc_auc=False)
        return weighted_metrics(weights, labels, predictions, num_classes=self.num_classes)[:, names.index(name)]

    def _error(self, probabilities: Floats, weights: Floats | None = None) -> Floats:
        forecast, correct = top_label_event(probabilities, self.labels)
        return self._error_of(forecast, correct, weights)

    def _error_of(self, forecast: Floats, outcome: Floats, weights: Floats | None = None) -> Floats:
        bins = assign_bins(forecast, bin_edges(forecast, self.n_bins))
        return norm_of_gaps(binned_sums(forecast, outcome, bins, self.n_bins, weights), "l1")

    def _null(self, probabilities: Floats) -> Floats:
        rng = np.random.default_rng(self.seed)
        forecasts = probabilities.max(axis=2)
        parts = []
        for start in range(0, self.resamples, CHUNK):
            uniform = rng.random((min(CHUNK, self.resamples - start), len(self.labels)))
            parts.append(np.mean([self._error_of(f, (uniform < f).astype(np.float64)) for f in forecasts], axis=0))
        return np.concatenate(parts)

    def _weights(self) -> list[Floats]:
        return list(bootstrap_weights(len(self.labels), self.resamples, seed=self.seed))


def _spread(per_seed: Floats) -> float | None:
    return float(per_seed.std(ddof=1)) if len(per_seed) > 1 else None
