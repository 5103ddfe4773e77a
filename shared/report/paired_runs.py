"""Differences of two runs that were measured on the same samples, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.evaluation.paired_predictions import labelled_rows, paired_differences, same_samples
from shared.evaluation.paired_samples import paired_mean_difference
from shared.report.runs import Run

__all__ = ["PairedRuns", "pair_runs"]

Key = tuple[str | None, ...]

WIDER = (
    "Intervals that are not marked as paired come from those of both runs, which take no account of what makes a "
    "sample hard for both: they are wider than need be where the samples are the same, and what they do not show may "
    "yet be there."
)
#: a paired difference is shown only if it is the difference of the two numbers that are shown
SAME = 1e-4


@dataclass(frozen=True)
class PairedRuns:
    """What two runs differ in, sample by sample.

    Attributes:
        results: by metric, ``second - first`` with its paired interval.
        explanations: likewise, by measure, method and what the measure is of.
        note: which differences are paired, in sentences.
    """

    results: Mapping[str, Mapping[str, Any]]
    explanations: Mapping[Key, Mapping[str, Any]]
    note: str

    def of(self, key: Key, difference: float | None) -> Mapping[str, Any] | None:
        """Return a paired difference; ``None`` where there is none, or it is not the one of the two numbers.

        Args:
            key: ``results`` and a metric, or ``element``, a measure, a method and what the measure is of.
            difference: of the numbers that are shown.
        """
        found = self.results.get(str(key[1])) if key[0] == "results" else self.explanations.get(key[1:])
        if found is None or difference is None or not math.isclose(found["value"], difference, abs_tol=SAME):
            return None
        return found


def pair_runs(first: Run, second: Run) -> PairedRuns:
    """Find what two runs measured on the same samples."""
    results, said = _results(first, second)
    explanations, of_methods = _explanations(first, second)
    return PairedRuns(results, explanations, f"{said} {of_methods} {WIDER}")


def _explanations(first: Run, second: Run) -> tuple[dict[Key, Mapping[str, Any]], str]:
    """Return the paired differences of explanation methods, measured on samples of the same names."""
    measured = [run.samples for run in (first, second)]
    both = [key for key in measured[0] if key in measured[1]]
    if not both:
        return {}, "Explanations are not compared sample by sample: no values of single samples of both are at hand."
    named = [key for key in both if all(isinstance(name, str) for run in measured for name in run[key]["ids"])]
    if not named:
        return {}, (
            "Explanations are not compared sample by sample: interpretability.json of a run does not name its samples; "
            "explaining anew would."
        )
    found: dict[Key, Mapping[str, Any]] = {}
    for key in named:
        one, other = (run[key] for run in measured)
        if set(one["ids"]) == set(other["ids"]):
            difference = paired_mean_difference(one, other)
            if difference is not None:
                found[key] = difference
    same = f"{len(found)} of {len(both)} numbers of explanation methods are of the same samples in both runs"
    return found, f"{same}{' and compared on them, marked as paired' if found else ''}."


def _results(first: Run, second: Run) -> tuple[dict[str, Mapping[str, Any]], str]:
    tables = [None if run.sources is None else run.sources.predictions for run in (first, second)]
    if tables[0] is None or tables[1] is None:
        return {}, "Results are not compared sample by sample: predictions.csv of one run is not at hand."
    if not same_samples(tables[0], tables[1]):
        return {}, "Results are not compared sample by sample: the runs predicted other samples, or labels differ."
    rows = labelled_rows(tables[0])
    drawn = first.card["data"].get("resampled") or {}
    by, n = drawn.get("by", "sample"), drawn.get("n")
    # groups of one sample each are the samples
    single = by == "sample" or n == len(rows)
    if not single and by not in rows:
        return {}, f"Results are not compared sample by sample: predictions.csv does not say the {by} of a sample."
    unit = "samples" if single else f"{by}s"
    return (
        paired_differences(tables[0], tables[1], None if single else by),
        f"Results marked as paired are compared on the same {len(rows)} samples, {unit} resampled.",
    )
