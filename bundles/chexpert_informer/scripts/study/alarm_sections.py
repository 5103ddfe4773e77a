"""The sections on alarms: what each makes of the predictions, and whether that is more than its rivals make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from scripts.alarm_titles import alarm_title
from scripts.alarms.applied import AppliedAlarms
from scripts.alarms.evaluation import MEAN, RANDOM_FLAGS, evaluate_applied
from scripts.alarms.resampled import resampled_measures
from scripts.findings import FINDINGS
from scripts.study.cells import POINTS, cell_of_entry
from scripts.study.pooled import Pooled
from scripts.study.settings import StudySettings
from shared.evaluation.multi_label import mean_of_defined
from shared.study.measures import Estimate
from shared.study.table import Cell, Row, Section

__all__ = [
    "Evaluated",
    "alarm_section",
    "deferral_section",
    "difference_section",
    "evaluate",
    "finding_section",
    "goal_section",
    "mean_f1_differences",
    "over_networks",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluated:
    """The alarms of one experiment, measured.

    Attributes:
        name: of the experiment, in words.
        pooled: tested images.
        report: of :func:`scripts.alarms.evaluation.evaluate_applied`.
        independent: whether the networks were trained and tested on images of their own, so that their spread tells
            how another network would do.
    """

    name: str
    pooled: Pooled
    report: Mapping[str, Any]
    independent: bool

    @property
    def alarms(self) -> list[str]:
        """Names of the alarms."""
        return list(self.report["alarms"])

    def cell(self, alarm: str, use: str, metric: str, finding: str = MEAN) -> Cell:
        """Return a measured number."""
        found = self.report["alarms"][alarm].get(use, {}).get(metric)
        return "no order" if found is None else self._cell(found[finding])

    def difference(self, alarm: str, rival: str, use: str = "swapping", metric: str = "f1") -> Mapping[str, Any]:
        """Return the entry of a paired difference of means over the findings."""
        entry: Mapping[str, Any] = self.report["alarms"][alarm]["differences"][rival][use][metric][MEAN]
        return entry

    def difference_cell(self, alarm: str, rival: str) -> Cell:
        """Return a paired difference of mean F1 after swapping, in hundredths."""
        return self._cell(self.difference(alarm, rival), POINTS)

    def _cell(self, entry: Mapping[str, Any], scale: float = 1.0) -> Cell:
        return cell_of_entry(entry, self.report["n"], len(self.pooled.parts), scale)


def evaluate(name: str, pooled: Pooled, settings: StudySettings, independent: bool) -> Evaluated:
    """Measure all alarms of an experiment by the paired bootstrap over patients."""
    rivals = [rival for rival in settings.goal["rivals"] if rival != RANDOM_FLAGS]
    found = evaluate_applied(pooled.applied, baselines=[*rivals, "no_alarm"], resamples=settings.resamples)
    return Evaluated(name, pooled, found.report, independent)


def alarm_section(evaluated: Evaluated) -> Section:
    """All alarms: swapping, and how well doubts put the wrong predictions last."""
    rows = []
    for alarm in evaluated.alarms:
        flags = evaluated.report["alarms"][alarm]["flagged"].values()
        cells: dict[str, Cell] = {
            "mean F1": evaluated.cell(alarm, "swapping", "f1"),
            "sensitivity": evaluated.cell(alarm, "swapping", "sensitivity"),
            "specificity": evaluated.cell(alarm, "swapping", "specificity"),
            "flagged": f"{100 * np.mean([flag['share'] for flag in flags]):.1f} %",
            "without a direction": str(sum(flag["without_doubt"] for flag in flags)),
            "AUC for errors": evaluated.cell(alarm, "ranking", "error_auc"),
            "AURC": evaluated.cell(alarm, "ranking", "aurc"),
        }
        rows.append(Row({"alarm": alarm_title(alarm)}, cells))
    return Section(
        f"Alarms, {evaluated.name}",
        "Means over the five findings after flagged predictions were inverted, with the alarms of each network pooled. "
        "AUC for errors: probability that a wrong prediction is more doubtful than a right one. AURC: area under the "
        "risk\u2013coverage curve, lower is better. Without a direction: predictions whose map is 0 everywhere.",
        rows,
    )


def finding_section(evaluated: Evaluated) -> Section:
    """The paper's table 1: F1 of each finding after swapping."""
    rows = [
        Row(
            {"alarm": alarm_title(alarm)},
            {_words(name): evaluated.cell(alarm, "swapping", "f1", name) for name in (*FINDINGS, MEAN)},
        )
        for alarm in evaluated.alarms
    ]
    present = evaluated.report["findings"]
    counts = ", ".join(f"{_words(name)} {present[name]['positive']} of {present[name]['known']}" for name in FINDINGS)
    return Section(
        f"F1 after swapping by finding, {evaluated.name}",
        f"The structure of the paper's table 1. Tested images with the finding: {counts}.",
        rows,
    )


def difference_section(evaluated: Evaluated, rivals: Sequence[str]) -> Section:
    """Each alarm against each rival, paired."""
    rows = [
        Row(
            {"alarm": alarm_title(alarm)},
            {f"less {_rival(rival).lower()}": evaluated.difference_cell(alarm, rival) for rival in rivals},
        )
        for alarm in evaluated.alarms
    ]
    return Section(
        f"Differences of mean F1, in hundredths, {evaluated.name}",
        "Paired by patient: both alarms of a column see the same resamples. Random flags: as many flags as the alarm "
        "raises of each finding, dealt out at random; their expectation, so that no chance of a draw is in it. With so "
        "many comparisons about one in twenty intervals excludes 0 by chance; the goal's were named beforehand.",
        rows,
    )


def deferral_section(evaluated: Evaluated) -> Section:
    """All alarms when flagged predictions are left to a person."""
    rows = []
    for alarm in evaluated.alarms:
        names = {"coverage": "kept", "error_rate": "errors", "sensitivity": "sensitivity", "specificity": "specificity"}
        cells = {heading: evaluated.cell(alarm, "deferring", metric) for metric, heading in names.items()}
        less = evaluated.report["alarms"][alarm]["differences"][RANDOM_FLAGS]["deferring"]["error_rate"][MEAN]
        number = len(evaluated.pooled.parts)
        cells["errors less those of random flags, in hundredths"] = cell_of_entry(
            less, evaluated.report["n"], number, POINTS
        )
        rows.append(Row({"alarm": alarm_title(alarm)}, cells))
    return Section(
        f"Deferring, {evaluated.name}",
        "Flagged predictions are left to a person; rates of those that are kept, means over the findings. The alarms' "
        "thresholds are those that were fitted for swapping.",
        rows,
    )


def goal_section(evaluated: Evaluated, goal: Mapping[str, Sequence[str]]) -> Section:
    """The comparisons that were named before any alarm was fitted, with the power of each."""
    rows = []
    for alarm in goal["alarms"]:
        for rival in goal["rivals"]:
            entry = evaluated.difference(alarm, rival)
            cells: dict[str, Cell] = {
                "difference": evaluated.difference_cell(alarm, rival),
                "p": "\u2013" if entry["p"] is None else f"{entry['p']:.3f}",
                "smallest detectable": f"{POINTS * entry['detectable']:.2f}",
            }
            if evaluated.independent and len(evaluated.pooled.parts) > 1:
                each = mean_f1_differences(evaluated.pooled.parts, alarm, rival)
                cells["mean of the seeds"] = over_networks(POINTS * each, evaluated.report["n"])
                cells["seeds above 0"] = f"{int((each > 0).sum())} of {len(each)}"
            cells["goal"] = _verdict(entry, evaluated.independent)
            rows.append(Row({"alarm": alarm_title(alarm), "against": _rival(rival)}, cells))
    firm = evaluated.independent
    aim = "the interval lies above 0" if firm else "the alarm is not significantly worse: the interval not below 0"
    seeds = (
        " Mean of the seeds: each network's own difference, with Student's interval over networks, which holds the "
        "chance of training and of fitting the alarms as well."
        if evaluated.independent
        else ""
    )
    return Section(
        f"Goal and power, {evaluated.name}",
        f"Differences of mean F1 after swapping, in hundredths, paired bootstrap by patient; the goal is met if {aim}. "
        "Smallest detectable: the true difference that so many images show with a power of 80 % in a two-sided test at "
        f"5 %, (1.96 + 0.84) standard errors of the bootstrap.{seeds}",
        rows,
    )


def mean_f1_differences(parts: Sequence[AppliedAlarms], alarm: str, rival: str) -> Floats:
    """Return of each network the mean F1 after swapping by one alarm less that by another, or by random flags."""
    differences = []
    for part in parts:
        names = list(part.flags)
        measures = resampled_measures(part, np.ones((1, len(part.id))))
        own = measures["swapping", "f1"][0, names.index(alarm)]
        if rival == RANDOM_FLAGS:
            other = measures[RANDOM_FLAGS, "f1"][0, names.index(alarm)]
        else:
            other = measures["swapping", "f1"][0, names.index(rival)]
        differences.append(mean_of_defined(own - other))
    return np.array(differences, dtype=np.float64)


def over_networks(values: Floats, n: int) -> Estimate:
    """Return the mean of independent networks' numbers with Student's 95 % interval.

    Args:
        values: ``(S,)``, at least two.
        n: number of images, for the table.
    """
    spread = float(values.std(ddof=1))
    half = float(student.ppf(0.975, len(values) - 1)) * spread / np.sqrt(len(values))
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, n, len(values), spread)


def _verdict(entry: Mapping[str, Any], firm: bool) -> str:
    if entry["ci95"] is None:
        # the two alarms decide alike on every resample
        return "missed: no difference" if firm else "met: no difference"
    low, high = entry["ci95"]
    if firm:
        return "met" if low > 0 else "missed: significantly worse" if high < 0 else "missed: not above 0"
    return "missed: significantly worse" if high < 0 else "met"


def _rival(name: str) -> str:
    return "Random flags" if name == RANDOM_FLAGS else alarm_title(name)


def _words(name: str) -> str:
    return name.replace("_", " ")
