"""What the runs of the study of explanations found, by set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from scripts.study.explanation_run import ExplanationRun, ExplanationWorkshop, read_qualities
from shared.saliency.bags.quality.bag_quality import CONTROL
from shared.saliency.bags.quality.quality_table import Table, over_runs, quality_table
from shared.study.measures import RunsEstimate

__all__ = ["ExplanationResults", "FoundSet"]

#: measures that are not between 0 and 1, with the least and the greatest that they can be
BOUNDS = {"aopc_r": (-1.0, 1.0), "peak": (1.0, math.inf)}
#: measures whose logarithm is averaged over the runs: a half and the double are one, not five quarters
RATIOS = ("peak_ratio",)


@dataclass(frozen=True)
class FoundSet:
    """What the runs of one set found.

    Attributes:
        methods: their names; the last is the control.
        quality: mean, standard deviation and values of the runs by kind of bags, method and measure, see
            :func:`~shared.saliency.bags.quality.quality_table.over_runs`.
        curves: ``drop`` and ``add`` of positive bags, ``(R, M, 101)`` each.
        milliseconds: for a bag, by method, ``(M - 1,)``: the median.
        bags: number of positive and of negative bags of all runs together.
        accuracy: of the networks on all held-out bags, ``(R,)``.
        refused: why methods are missing, by name.
        seconds: of all runs together.
        froc: of slides, the number of lesions that count and of slides in each run, ``(R, 2)``; else None.
    """

    methods: tuple[str, ...]
    quality: Table
    curves: dict[str, NDArray[np.float64]]
    milliseconds: NDArray[np.float64]
    bags: dict[str, int]
    accuracy: NDArray[np.float64]
    refused: dict[str, str]
    seconds: float
    froc: NDArray[np.int64] | None = None

    def estimate(self, kind: str, method: str, measure: str) -> RunsEstimate | None:
        """Return the mean over the runs, with the interval of Student's t; None if it was not measured.

        Of ratios it is the geometric mean, and the interval is that of the logarithms; the standard deviation is that
        of the ratios.

        Args:
            kind: ``positive`` or ``negative``.
            method: name of a method.
            measure: name of a measure.
        """
        entry: dict[str, Any] | None = self.quality[kind].get(method, {}).get(measure)
        if entry is None:
            return None
        values = np.array(entry["runs"])
        mean, deviation, runs = entry["mean"], entry["std"], len(values)
        bags = self.bags[kind] if measure != "froc" or self.froc is None else int(self.froc[:, 0].sum())
        ratio = measure in RATIOS
        mean = float(np.exp(np.log(values).mean())) if ratio else mean
        if deviation is None:
            return RunsEstimate(mean, math.nan, math.nan, bags)
        reach = float(student_t.ppf(0.975, runs - 1)) / math.sqrt(runs)
        if ratio:
            factor = math.exp(reach * float(np.log(values).std(ddof=1)))
            return RunsEstimate(mean, mean / factor, mean * factor, bags, runs, deviation)
        reach *= deviation
        least, greatest = BOUNDS.get(measure, (0.0, 1.0))
        low, high = max(mean - reach, least), min(mean + reach, greatest)
        return RunsEstimate(mean, low, high, bags, runs, deviation)


@dataclass(frozen=True)
class ExplanationResults:
    """What is there of the study.

    Attributes:
        workshop: shared by the runs.
        found: by name of the set.
        missing: runs without result, in words.
    """

    workshop: ExplanationWorkshop
    found: dict[str, FoundSet]
    missing: list[str]

    @classmethod
    def read(cls, workshop: ExplanationWorkshop, runs: Sequence[ExplanationRun]) -> ExplanationResults:
        """Read the results of the runs that are done."""
        found, missing = {}, []
        for name, explained in workshop.settings.sets.items():
            of_set = [run for run in runs if run.name == name]
            done = [run for run in of_set if workshop.is_done(run)]
            if len(done) < len(of_set):
                missing.append(f"{explained.title}: {len(done)} of {len(of_set)} runs")
            if done:
                found[name] = _found(workshop, done)
        return cls(workshop, found, missing)


def _found(workshop: ExplanationWorkshop, runs: Sequence[ExplanationRun]) -> FoundSet:
    results, facts = [workshop.result(run) for run in runs], [workshop.facts(run) for run in runs]
    qualities = [read_qualities(result) for result in results]
    tables = []
    for result, of_run in zip(results, qualities, strict=True):
        # intervals are those over the runs: the bootstrap within a run is not used
        table = quality_table(of_run, result["labels"], resamples=1)
        for method, score in zip(of_run[0].methods, result.get("froc", ()), strict=False):
            if not np.isnan(score):
                table["positive"][method]["froc"] = {"value": float(score)}
        tables.append(table)
    methods = qualities[0][0].methods
    assert methods[-1] == CONTROL
    curves = {
        kind: np.stack([result[kind][result["labels"] == 1].mean(axis=0) for result in results])
        for kind in ("drop", "add")
    }
    labels = np.concatenate([result["labels"] for result in results])
    return FoundSet(
        methods,
        over_runs(tables),
        curves,
        1000 * np.median(np.concatenate([result["seconds"] for result in results]), axis=0),
        {"positive": int((labels == 1).sum()), "negative": int((labels == 0).sum())},
        np.array([fact["accuracy"] for fact in facts]),
        facts[0]["refused"],
        sum(fact["seconds"] for fact in facts),
        np.array([[fact["froc_lesions"], fact["froc_slides"]] for fact in facts]) if "froc" in results[0] else None,
    )
