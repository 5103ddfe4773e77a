"""Explanation methods of a run by the measures of an element: which is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.evaluation.interpretability.measures import MEASURES, Element, Measure
from shared.evaluation.paired_samples import paired_mean_difference
from shared.evaluation.unpaired_difference import unpaired_difference
from shared.report.elements import CHANCE_IS_IDEAL
from shared.report.runs import Run

__all__ = ["LEADING", "Lead", "Score", "ends_of", "scores"]

#: The measure that a method is judged by, in the order of preference. Of where the cause lies it is one of the top of
#: the ranking: maps that are zero on the background tie there, and an area under the curve counts each tie half. Of
#: what a prediction rests on it is the share on the cause: the response to an altered cause is of few samples.
LEADING: Mapping[Element, tuple[str, ...]] = {
    "localization": ("rank_accuracy", "instance_ndcg", "localisation_auc", "instance_auc", "pointing_game"),
    "visual_recognizability": ("noise_stability", "seed_stability"),
    "physical_attribution": ("cause_share", "map_response", "distractor_share", "shortcut_share"),
    "model_transparency": ("cascading_randomisation", "random_logit", "completeness_error"),
    "actionability": ("insertion_auc", "deletion_auc", "aopc_r", "aupc_drop", "aupc_add"),
}
#: reasons for no interval that leave no doubt of the number
AGREED = ("all resamples agree", "all samples and draws agree")


@dataclass(frozen=True)
class Lead:
    """By how much one method is better than another.

    Attributes:
        value: the difference, positive where the first is better, whichever direction of the measure is good.
        interval: 95 % interval.
        paired: whether it is of the same samples; else it comes from the intervals of both and is wider than need be.
    """

    value: float
    interval: tuple[float, float]
    paired: bool

    @property
    def shown(self) -> bool:
        """Whether the interval says that the first is better."""
        return self.interval[0] > 0


@dataclass(frozen=True)
class Score:
    """A method by the leading measure of an element.

    Attributes:
        method: as the card describes it.
        entry: the number, as in the card; of several things that the measure was taken of, the worst.
        samples: the values of single samples behind it, where they are known.
    """

    method: Mapping[str, Any]
    entry: Mapping[str, Any]
    samples: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """Name of the method."""
        return str(self.method["title"])

    def lead(self, other: Score, measure: Measure) -> Lead | None:
        """Return by how much it is better than another, on the same samples if these are known.

        Returns:
            ``None`` where there is no interval.
        """
        sign = 1.0 if measure.better == "higher" else -1.0
        paired = measure.name not in CHANCE_IS_IDEAL and self.samples is not None and other.samples is not None
        if paired and self.samples is not None and other.samples is not None:
            found = paired_mean_difference(other.samples, self.samples)
            if found is not None and found["ci95"]:
                ends = sorted(sign * end for end in found["ci95"])
                return Lead(sign * found["value"], (ends[0], ends[1]), True)
        if not ends_of(self.entry) or not ends_of(other.entry):
            return None
        (own, own_ends), (theirs, their_ends) = (_sized(score.entry, measure) for score in (self, other))
        value, interval = unpaired_difference(theirs, their_ends, own, own_ends)
        ends = sorted(sign * end for end in interval)
        return Lead(sign * value, (ends[0], ends[1]), False)

    def beats(self, other: Score, measure: Measure) -> bool | None:
        """Whether it is better than another beyond the interval of the difference; ``None`` without intervals."""
        lead = self.lead(other, measure)
        return None if lead is None else lead.shown


def ends_of(entry: Mapping[str, Any]) -> Sequence[float]:
    """Return the ends of a number's interval; none where it has none, twice the number where all resamples agree.

    A game that every sample won is no such number: the next sample may lose it.
    """
    if (
        not entry["ci95"]
        and entry.get("measure") != "pointing_game"
        and str(entry.get("reason", "")).startswith(AGREED)
    ):
        return [float(entry["value"])] * 2
    return entry["ci95"] or ()


def _sized(entry: Mapping[str, Any], measure: Measure) -> tuple[float, Sequence[float]]:
    """Return value and ends; of likeness that should not be there their sizes, whatever their sign."""
    value, ends = float(entry["value"]), ends_of(entry)
    if measure.name not in CHANCE_IS_IDEAL:
        return value, ends
    sizes = sorted(abs(end) for end in ends)
    return abs(value), (0.0 if ends[0] <= 0 <= ends[1] else sizes[0], sizes[1])


def scores(
    run: Run, element: Element, measures: Sequence[str] | None = None, methods: Collection[str] | None = None
) -> tuple[Measure | None, list[Score]]:
    """Return the leading measure of an element in this run, and every method by it, the best first.

    Args:
        run: whose methods are compared.
        element: the element.
        measures: in the order of preference, by default those of ``LEADING``.
        methods: keys of the methods to compare, by default all.
    """
    (table,) = (table for table in run.card["elements"] if table["element"] == element)
    rows = [row for row in table["rows"] if row["method"] and row["label"] is None and row["size"] is None]
    if methods is not None:
        rows = [row for row in rows if row["method"] in methods]
    for name in LEADING[element] if measures is None else measures:
        of_methods: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if row["measure"] == name and row["value"] is not None:
                of_methods.setdefault(row["method"], []).append(row)
        found = [_score(run, method, _weakest(entries, name)) for method, entries in of_methods.items()]
        if any(not score.method["control"] for score in found):
            return MEASURES[name], sorted(found, key=lambda score: _rank(name, float(score.entry["value"])))
    return None, []


def _score(run: Run, method: str, entry: Mapping[str, Any]) -> Score:
    return Score(run.methods[method], entry, run.samples.get((entry["measure"], method, entry["of"])))


def _rank(measure: str, value: float) -> float:
    """Return what is lowest for the best: likeness that should not be there is no less there with the sign turned."""
    if measure in CHANCE_IS_IDEAL:
        return abs(value)
    return -value if MEASURES[measure].better == "higher" else value


def _weakest(entries: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any]:
    """Return the number; where a measure is taken of several things, the worst: it holds for all of them."""
    return max(entries, key=lambda entry: _rank(measure, float(entry["value"])))
