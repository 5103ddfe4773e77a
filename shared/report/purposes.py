"""Which explanation to use for which purpose, and how sure that is: one choice for each element of a run.

A purpose is an element of interpretability, and a method is judged by one measure of it, the first in ``LEADING`` that
was taken of at least one method of the run. Methods that failed a sanity check are never chosen; of one that is
undecided in a check nothing is sure. The best of the others is chosen if it beats chance and, where controls say
something, every control; what it cannot be told apart from is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.evaluation.interpretability.measures import ELEMENTS, MEASURES, Element, Measure
from shared.evaluation.resampling_groups import MINIMUM_GROUPS
from shared.evaluation.unpaired_difference import unpaired_difference
from shared.report.card.undecided import undecided_checks
from shared.report.elements import CHANCE_IS_IDEAL
from shared.report.runs import Run

__all__ = ["LEADING", "PURPOSES", "Choice", "Score", "choices", "scores"]

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
#: a control that looks at no network is as stable, and as unlike itself after randomisation, as can be
CONTROLS_SAY_NOTHING = ("visual_recognizability", "model_transparency")
PURPOSES: Mapping[Element, str] = {
    "localization": "where the cause lies",
    "visual_recognizability": "a map that does not change with noise",
    "physical_attribution": "what the prediction rests on",
    "model_transparency": "what the network has learnt, and nothing else",
    "actionability": "what changes the prediction when it is taken away or put in",
}


@dataclass(frozen=True)
class Score:
    """A method by the leading measure of an element.

    Attributes:
        method: as the card describes it.
        entry: the number, as in the card; of several things that the measure was taken of, the worst.
    """

    method: Mapping[str, Any]
    entry: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Name of the method."""
        return str(self.method["title"])

    def beats(self, other: Score, measure: Measure) -> bool | None:
        """Whether it is better than another beyond the interval of the difference; ``None`` without intervals."""
        if not self.entry["ci95"] or not other.entry["ci95"]:
            return None
        (own, own_ends), (theirs, their_ends) = (_sized(score.entry, measure) for score in (self, other))
        low, high = unpaired_difference(theirs, their_ends, own, own_ends)[1]
        return low > 0 if measure.better == "higher" else high < 0


def _sized(entry: Mapping[str, Any], measure: Measure) -> tuple[float, Sequence[float]]:
    """Return value and ends; of likeness that should not be there their sizes, whatever their sign."""
    value, ends = float(entry["value"]), entry["ci95"]
    if measure.name not in CHANCE_IS_IDEAL:
        return value, ends
    sizes = sorted(abs(end) for end in ends)
    return abs(value), (0.0 if ends[0] <= 0 <= ends[1] else sizes[0], sizes[1])


@dataclass(frozen=True)
class Choice:
    """What to use for one purpose.

    Attributes:
        element: the purpose.
        measure: what methods were judged by; ``None`` if nothing was measured.
        scores: of all methods, the best first; controls and failed ones among them.
        best: the best that is no control and failed no sanity check; ``None`` if there is none.
        undecided: titles of the sanity checks that the best neither passed nor failed.
    """

    element: Element
    measure: Measure | None
    scores: tuple[Score, ...]
    best: Score | None
    undecided: tuple[str, ...] = ()

    @property
    def purpose(self) -> str:
        """The purpose in words."""
        return PURPOSES[self.element]

    @property
    def equals(self) -> list[Score]:
        """Other methods, neither control nor failed, that the best cannot be told apart from."""
        return [score for score in self._rivals() if not self._beats(score)]

    @property
    def doubts(self) -> list[str]:
        """Why the best should not be relied on: chance, or a control that it does not beat; empty if it may."""
        if self.best is None or self.measure is None:
            return []
        found = []
        entry = self.best.entry
        if entry.get("against_chance") in ("worse", "not told apart"):
            found.append(f"{'worse than' if entry['against_chance'] == 'worse' else 'not told apart from'} chance")
        controls = [score for score in self.scores if score.method["control"]]
        if self.element not in CONTROLS_SAY_NOTHING:
            found += [f"does not beat {score.title}" for score in controls if not self._beats(score)]
        if not entry["ci95"]:
            found.append(f"no interval ({entry.get('reason', 'none was computed')})")
        return found

    @property
    def failed(self) -> list[Score]:
        """Methods that failed a sanity check and would else have been chosen: they are better than the best."""
        before = self.scores if self.best is None else self.scores[: self.scores.index(self.best)]
        return [score for score in before if score.method["failed"] and not score.method["control"]]

    @property
    def few(self) -> bool:
        """Whether it was measured on too few samples for a bootstrap to tell how they differ."""
        return self.best is not None and self.best.entry.get("n", MINIMUM_GROUPS) < MINIMUM_GROUPS

    def _rivals(self) -> list[Score]:
        return [s for s in self.scores if not s.method["control"] and not s.method["failed"] and s is not self.best]

    def _beats(self, other: Score) -> bool:
        return self.best is not None and self.measure is not None and bool(self.best.beats(other, self.measure))


def choices(run: Run) -> list[Choice]:
    """Return the choice for each element."""
    found = []
    for element in ELEMENTS:
        measure, measured = scores(run, element)
        candidates = [score for score in measured if not score.method["control"] and not score.method["failed"]]
        best = candidates[0] if candidates else None
        undecided = () if best is None else undecided_checks(run.card, best.method["name"])
        found.append(Choice(element, measure, tuple(measured), best, undecided))
    return found


def scores(run: Run, element: Element, measures: Sequence[str] | None = None) -> tuple[Measure | None, list[Score]]:
    """Return the leading measure of an element in this run, and every method by it, the best first.

    Args:
        run: whose methods are compared.
        element: the element.
        measures: in the order of preference, by default those of ``LEADING``.
    """
    (table,) = (table for table in run.card["elements"] if table["element"] == element)
    rows = [row for row in table["rows"] if row["method"] and row["label"] is None and row["size"] is None]
    for name in LEADING[element] if measures is None else measures:
        of_methods: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if row["measure"] == name and row["value"] is not None:
                of_methods.setdefault(row["method"], []).append(row)
        found = [Score(run.methods[method], _weakest(entries, name)) for method, entries in of_methods.items()]
        if any(not score.method["control"] for score in found):
            return MEASURES[name], sorted(found, key=lambda score: _rank(name, float(score.entry["value"])))
    return None, []


def _rank(measure: str, value: float) -> float:
    """Return what is lowest for the best: likeness that should not be there is no less there with the sign turned."""
    if measure in CHANCE_IS_IDEAL:
        return abs(value)
    return -value if MEASURES[measure].better == "higher" else value


def _weakest(entries: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any]:
    """Return the number; where a measure is taken of several things, the worst: it holds for all of them."""
    return max(entries, key=lambda entry: _rank(measure, float(entry["value"])))
