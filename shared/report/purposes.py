"""Which explanation to use for which purpose, and how sure that is: one choice for each element of a run.

A purpose is an element of interpretability, and a method is judged by one measure of it, the first in ``LEADING`` that
was taken of at least one method of the run; whether the next one chooses another stands beside it. Methods that
failed a sanity check are never chosen; of one that is undecided in a check nothing is sure. The best of the others is
chosen if it beats chance and, where controls say something, every control; what it cannot be told apart from is named.

Where a run has maps and values of a bag's instances, each kind has a choice of its own: a share of pixels is neither
better nor worse than one of instances, and the likeness of maps is not that of values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr

from shared.evaluation.interpretability.measures import ELEMENTS, Element, Measure
from shared.evaluation.resampling_groups import MINIMUM_GROUPS
from shared.report.card.undecided import undecided_checks
from shared.report.method_scores import LEADING, Lead, Score, ends_of, scores
from shared.report.runs import Run

__all__ = ["PURPOSES", "Choice", "SecondMeasure", "choices"]

#: a control that looks at no network is as stable, and as unlike itself after randomisation, as can be
CONTROLS_SAY_NOTHING = ("visual_recognizability", "model_transparency")
PURPOSES: Mapping[Element, str] = {
    "localization": "where the cause lies",
    "visual_recognizability": "an explanation that does not change with noise",
    "physical_attribution": "what the prediction rests on",
    "model_transparency": "what the network has learnt, and nothing else",
    "actionability": "what changes the prediction when it is taken away or put in",
}
#: measures that are taken of the values of instances and of no map
OF_INSTANCES = ("instance_auc", "instance_ndcg", "instance_ap", "aupc_drop", "aupc_add", "aopc_r")
#: fewer methods have no ranking to speak of
MINIMUM_RANKED = 3


@dataclass(frozen=True)
class SecondMeasure:
    """What a second measure of the same element says.

    Attributes:
        measure: which.
        best: the best method by it that is no control and failed no sanity check.
        agreement: Spearman's correlation of the two measures' rankings of methods, controls and failed ones left out;
            ``None`` for fewer than three methods, or where all tie.
        methods: number of methods that both rank.
        judges: whether it was taken of the method that the first measure chose.
        lead: by how much its best is ahead of that method, by it; ``None`` where they are one, or without intervals.
    """

    measure: Measure
    best: Score
    agreement: float | None
    methods: int
    judges: bool = True
    lead: Lead | None = None

    @property
    def disagrees(self) -> bool:
        """Whether it puts another method ahead of the chosen one, beyond the interval of the difference."""
        return self.lead is not None and self.lead.shown


@dataclass(frozen=True)
class Choice:
    """What to use for one purpose.

    Attributes:
        element: the purpose.
        measure: what methods were judged by; ``None`` if nothing was measured.
        scores: of all methods, the best first; controls and failed ones among them.
        best: the best that is no control and failed no sanity check; ``None`` if there is none.
        undecided: titles of the sanity checks that the best neither passed nor failed.
        second: what a second measure says; ``None`` where there is none.
        kind: of the explanations that were compared, where the run has several kinds.
    """

    element: Element
    measure: Measure | None
    scores: tuple[Score, ...]
    best: Score | None
    undecided: tuple[str, ...] = ()
    second: SecondMeasure | None = None
    kind: str = ""

    @property
    def purpose(self) -> str:
        """The purpose in words, with the kind of explanation where there are several."""
        return f"{PURPOSES[self.element]} ({self.kind})" if self.kind else PURPOSES[self.element]

    @property
    def equals(self) -> list[Score]:
        """Other methods, neither control nor failed, that the best cannot be told apart from."""
        return [score for score in self._rivals() if not self._beats(score)]

    @property
    def runner_up(self) -> tuple[Score, Lead | None] | None:
        """The next method that is neither control nor failed, and by how much the best is ahead of it."""
        rivals = self._rivals()
        if not rivals or self.best is None or self.measure is None:
            return None
        return rivals[0], self.best.lead(rivals[0], self.measure)

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
        if not ends_of(entry):
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
    """Return the choice for each element and kind of explanation."""
    kinds = _kinds(run)
    return [_choice(run, element, kind, methods) for element in ELEMENTS for kind, methods in kinds.items()]


def _kinds(run: Run) -> dict[str, frozenset[str]]:
    """Return the methods of each kind, by its name; of one kind alone by no name."""
    rows = [row for table in run.card["elements"] for row in table["rows"] if row["method"]]
    values = frozenset(row["method"] for row in rows if row["measure"] in OF_INSTANCES)
    maps = frozenset(row["method"] for row in rows) - values
    return {"maps": maps, "values of instances": values} if maps and values else {"": maps | values}


def _choice(run: Run, element: Element, kind: str, methods: frozenset[str]) -> Choice:
    measure, measured = scores(run, element, methods=methods)
    candidates = _candidates(measured)
    best = candidates[0] if candidates else None
    undecided = () if best is None else undecided_checks(run.card, best.method["name"])
    second = None if measure is None else _second(run, element, measure, candidates, methods)
    return Choice(element, measure, tuple(measured), best, undecided, second, kind)


def _candidates(measured: Sequence[Score]) -> list[Score]:
    """Return the methods that may be chosen, the best first."""
    return [score for score in measured if not score.method["control"] and not score.method["failed"]]


def _second(
    run: Run, element: Element, first: Measure, candidates: Sequence[Score], methods: frozenset[str]
) -> SecondMeasure | None:
    names = LEADING[element][LEADING[element].index(first.name) + 1 :]
    measure, measured = scores(run, element, names, methods)
    own = _candidates(measured)
    if measure is None or not own:
        return None
    place = {score.method["name"]: rank for rank, score in enumerate(own)}
    both = [score.method["name"] for score in candidates if score.method["name"] in place]
    agreement = None
    if len(both) >= MINIMUM_RANKED:
        agreement = float(spearmanr(range(len(both)), [place[name] for name in both]).statistic)
    rank = place.get(candidates[0].method["name"]) if candidates else None
    lead = own[0].lead(own[rank], measure) if rank else None
    return SecondMeasure(measure, own[0], agreement, len(both), rank is not None, lead)
