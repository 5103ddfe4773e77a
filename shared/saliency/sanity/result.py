"""How alike two explanations of each sample are, and what a sanity check says of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evaluation.bootstrap import Interval, bootstrap_weights, count_groups, percentile_interval
from shared.evaluation.interpretability.file import row

__all__ = ["SanityResult", "crossed_interval"]

Floats = NDArray[np.float64]
Check = Literal["cascading_randomisation", "random_logit"]

RESAMPLES = 1000
WORDS: Mapping[Check, str] = {
    "cascading_randomisation": "the map of the network with all its parameters randomised",
    "random_logit": "the map of another class",
}


@dataclass(frozen=True)
class SanityResult:
    """What one check found of one method.

    Attributes:
        check: which one.
        method: key of the method.
        headline: key of ``likeness`` that the check judges: ``rank_correlation``, or ``rank_correlation_absolute``
            where a map's magnitude counts.
        likeness: by kind, ``(S, D, B)``: of the map of each of B samples to that of each of D draws at each of S
            stages, the last of which is judged; NaN where a map is constant, so that nothing can be said.
        stages: of the stages, what they are.
        limit: likeness above which the method fails.
        groups: patient or donor of each sample ``(B,)``, if samples belong together.
        seed: of the bootstrap.
    """

    check: Check
    method: str
    headline: str
    likeness: Mapping[str, Floats]
    stages: Sequence[Mapping[str, Any]] = field(default_factory=list)
    limit: float = 0.5
    groups: ArrayLike | None = None
    seed: int = 0

    def entry(self) -> dict[str, Any]:
        """Return ``value``, ``ci95``, ``chance``, ``n``, ``parameters`` and where it applies ``reason``.

        The value is the headline's mean at the last stage, see :func:`crossed_interval`. ``parameters`` has ``limit``,
        ``draws``, ``undefined`` (share of pairs of maps that cannot be compared because one is constant), and
        ``stages``, each with the means of all kinds.
        """
        judged = self.likeness[self.headline][-1]  # (D, B)
        n = int(np.isfinite(judged).any(axis=0).sum())
        parameters = {
            "limit": self.limit,
            "draws": len(judged),
            "similarity": self.headline,
            "undefined": float(np.isnan(judged).mean()),
            "stages": [
                dict(stage) | {kind: _mean(values[number]) for kind, values in self.likeness.items()}
                for number, stage in enumerate(self.stages)
            ],
        }
        rest = {"n": n, "parameters": parameters}
        if n == 0:
            reason = "one of the two maps is constant for every sample: of a map that shows nothing nothing can be said"
            return {"value": None, "ci95": None, "reason": reason, **rest}
        interval = crossed_interval(judged, groups=self.groups, seed=self.seed)
        return {**interval.to_json(), "chance": 0.0, **rest}

    def to_row(self) -> dict[str, Any]:
        """Return the row of the interpretability file."""
        return row(self.check, self.entry(), self.method)

    def failed(self) -> str | None:
        """Return the sentence that says that the method failed, ``None`` if it did not or nothing can be said.

        It failed if the whole interval of the likeness is above the limit; the value decides where there is none.
        """
        entry = self.entry()
        if entry["value"] is None:
            return None
        low = entry["ci95"][0] if entry.get("ci95") else entry["value"]
        if not low > self.limit:
            return None
        interval = f" (95 % {entry['ci95'][0]:.2f} to {entry['ci95'][1]:.2f})" if entry.get("ci95") else ""
        return (
            f"{_CHECK_NAMES[self.check]}: the likeness to {WORDS[self.check]} is {entry['value']:.2f}{interval}, above "
            f"{self.limit:g}."
        )


_CHECK_NAMES: Mapping[Check, str] = {
    "cascading_randomisation": "Randomised parameters",
    "random_logit": "Random logit",
}


def crossed_interval(
    likeness: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Return the mean likeness over samples of each sample's mean over draws, with its bootstrap interval.

    Samples, and draws of the random weights, are resampled both, crossed with each other (Owen 2007, "The pigeonhole
    bootstrap"): what happens with one draw happens to all samples.

    Args:
        likeness: ``(D, B)``; NaN is left out.
        groups: patient or donor of each sample ``(B,)``; whole groups are drawn.
        seed: of the bootstrap.
        resamples: number of resamples.
    """
    values = np.asarray(likeness, dtype=np.float64)
    draws, samples = values.shape
    of_samples = np.concatenate(list(bootstrap_weights(samples, resamples, seed=seed, groups=groups)))  # (R, B)
    of_draws = np.concatenate(list(bootstrap_weights(draws, resamples, seed=seed + 1)))  # (R, D)
    resampled = _crossed_mean(values, of_samples, of_draws)
    value = _crossed_mean(values, np.ones((1, samples)), np.ones((1, draws)))[0]
    interval = percentile_interval(value, resampled)
    return Interval(
        interval.value, interval.low, interval.high, interval.undefined, interval.level, count_groups(samples, groups)
    )


def _crossed_mean(values: Floats, of_samples: Floats, of_draws: Floats) -> Floats:
    """Return ``(R,)`` from values ``(D, B)``, weights of samples ``(R, B)`` and of draws ``(R, D)``."""
    defined = np.isfinite(values)
    total, weight = of_draws @ np.where(defined, values, 0), of_draws @ defined  # (R, B)
    counted = of_samples * (weight > 0)
    means = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    count = counted.sum(axis=1)
    return np.divide((counted * means).sum(axis=1), count, out=np.full(len(count), np.nan), where=count > 0)


def _mean(values: Floats) -> float | None:
    mean = _crossed_mean(values, np.ones((1, values.shape[1])), np.ones((1, len(values))))[0]
    return None if np.isnan(mean) else float(mean)
