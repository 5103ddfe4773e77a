"""How alike two explanations of each sample are, and what a sanity check says of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from shared.evaluation.bootstrap import count_groups
from shared.evaluation.interpretability.file import row
from shared.evaluation.interpretability.verdict import Verdict, sanity_verdict

__all__ = ["SanityResult", "crossed_interval"]

Floats = NDArray[np.float64]
Check = Literal["cascading_randomisation", "random_logit"]

LEVEL = 0.95
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
            stages, the last of which is judged; NaN where a map is constant, so that nothing can be said, or a stage
            was not computed with a draw.
        stages: of the stages, what they are.
        limit: likeness above which the method fails.
        groups: patient or donor of each sample ``(B,)``, if samples belong together.
        shuffled: by kind, likeness of each sample's explanation to those of other samples ``(B,)``, see
            :func:`~shared.saliency.sanity.shuffled.shuffled_likeness`; empty if it was not measured.
        unmeasured: why the check was not made; ``likeness`` is empty then.
    """

    check: Check
    method: str
    headline: str
    likeness: Mapping[str, Floats]
    stages: Sequence[Mapping[str, Any]] = field(default_factory=list)
    limit: float = 0.5
    groups: ArrayLike | None = None
    shuffled: Mapping[str, Floats] = field(default_factory=dict)
    unmeasured: str | None = None

    def entry(self) -> dict[str, Any]:
        """Return ``value``, ``ci95``, ``chance``, ``n``, ``parameters`` and where it applies ``reason``.

        The value is the headline's mean at the last stage, see :func:`crossed_interval`. ``chance`` is the mean
        likeness of maps of different samples. ``parameters`` has ``limit``, ``draws``, ``similarity`` (the headline),
        ``undefined`` (share of pairs of maps that cannot be compared because one is constant), and ``stages``, each
        with the means of all kinds.
        """
        if self.unmeasured is not None:
            return {"value": None, "ci95": None, "reason": self.unmeasured}
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
        return {**crossed_interval(judged, groups=self.groups), **self._chance(), **rest}

    def _chance(self) -> dict[str, float]:
        levels = np.asarray(self.shuffled.get(self.headline, ()))
        known = levels[np.isfinite(levels)]
        return {"chance": float(known.mean())} if known.size else {}

    def to_row(self) -> dict[str, Any]:
        """Return the row of the interpretability file."""
        return row(self.check, self.entry(), self.method)

    def verdict(self) -> Verdict | None:
        """Return what the check says, ``None`` where it was not made or nothing could be compared."""
        entry = self.entry()
        if entry["value"] is None:
            return None
        return sanity_verdict(entry["value"], entry["ci95"], entry.get("chance"), self.limit)

    def failed(self) -> str | None:
        """Return the sentence that says that the method failed, ``None`` if that is not shown.

        See :func:`~shared.evaluation.interpretability.verdict.sanity_verdict`.
        """
        if self.verdict() != "failed":
            return None
        entry = self.entry()
        interval = f" (95 % {entry['ci95'][0]:.2f} to {entry['ci95'][1]:.2f})" if entry["ci95"] else ""
        return (
            f"{_CHECK_NAMES[self.check]}: the likeness to {WORDS[self.check]} is {entry['value']:.2f}{interval}, above "
            f"{self.limit:g}."
        )


_CHECK_NAMES: Mapping[Check, str] = {
    "cascading_randomisation": "Randomised parameters",
    "random_logit": "Random logit",
}


def crossed_interval(likeness: ArrayLike, *, groups: ArrayLike | None = None) -> dict[str, Any]:
    """Return the mean likeness over samples of each sample's mean over draws, with its 95 % interval.

    Samples and draws of the random weights (or other trainings) are both taken from more of them, crossed with each
    other: what happens with one draw happens to all samples. Draws are two or three as a rule, of which a bootstrap
    knows next to nothing. So the half-widths of Student's intervals of the means of samples and of draws are added in
    quadrature, ``√((t_{B−1} s_B/√B)² + (t_{D−1} s_D/√D)²)`` (the sum rule of Zou and Donner 2008, as for differences):
    with two draws that differ, where ``t_1 = 12.7``, it is wide; with two that agree, it is that of the samples. What
    differs by sample and draw at once is counted in both terms, which makes it wider rather than narrower. The ends
    stay in [−1, 1].

    Args:
        likeness: ``(D, B)``; NaN is left out. With one draw the interval is of that draw alone.
        groups: patient or donor of each sample ``(B,)``; samples of one group are taken together (Cochran 1977,
            section 11.7: the variance of a mean of clusters of several sizes).

    Returns:
        ``{"value", "ci95"}``, and ``reason`` where there is no interval; ``value`` is ``None`` if nothing is defined.
    """
    values = np.asarray(likeness, dtype=np.float64)
    known = np.isfinite(values).any(axis=0)
    if not known.any():
        return {"value": None, "ci95": None, "reason": "nothing could be compared"}
    values = values[:, known]
    drawn = None if groups is None else np.asarray(groups)[known]
    of_samples = np.nanmean(values, axis=0)
    value = float(of_samples.mean())
    count = count_groups(len(of_samples), drawn)
    if count < 2:
        return {"value": value, "ci95": None, "reason": "only one group"}
    squared = _student(count - 1) ** 2 * _variance_of_groups(of_samples, drawn, count)
    of_draws = np.nanmean(values[np.isfinite(values).any(axis=1)], axis=1)
    draws = len(of_draws)
    if draws > 1:
        squared += _student(draws - 1) ** 2 * float(of_draws.var(ddof=1)) / draws
    half = squared**0.5
    if half < 1e-9:
        return {"value": value, "ci95": None, "reason": "all samples and draws agree"}
    return {"value": value, "ci95": [max(value - half, -1.0), min(value + half, 1.0)]}


def _student(freedom: int) -> float:
    return float(student.ppf((1 + LEVEL) / 2, freedom))


def _variance_of_groups(values: Floats, groups: NDArray[Any] | None, count: int) -> float:
    """Return the variance of the mean of values ``(B,)`` of which those of one group belong together."""
    codes = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    residuals = np.bincount(codes, weights=values - values.mean()) / len(values)
    return float(np.square(residuals).sum()) * count / (count - 1)


def _mean(values: Floats) -> float | None:
    """Return the mean over samples of their means over draws of ``(D, B)``, ``None`` if nothing is defined."""
    known = values[:, np.isfinite(values).any(axis=0)]
    return float(np.nanmean(known, axis=0).mean()) if known.size else None
