"""Result against explanation quality over several models: what a point of the picture is, and points from runs.

Points from the tables of studies are in :mod:`shared.report.trade_off_study`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.data.errors import DataError
from shared.evaluation.interpretability.measures import MEASURES
from shared.report.card.fields import is_unknown
from shared.report.card.undecided import undecided_checks
from shared.report.method_scores import LEADING, Score, scores
from shared.report.runs import Run, name_runs

__all__ = ["Model", "Point", "TradeOff", "trade_off_of_runs"]

#: what a result that knows nothing reaches, of results whose chance level does not depend on the data
RESULT_CHANCE = {"roc_auc": 0.5, "macro_roc_auc": 0.5, "roc auc": 0.5}
OWN_SAMPLES = (
    "Explanations are measured on samples that the model predicts rightly: not on the same ones for every model, so "
    "that chance levels may differ."
)


@dataclass(frozen=True)
class Point:
    """A number with its 95 % interval, what chance reaches and the number of samples, ``None`` where unknown."""

    value: float
    interval: tuple[float, float] | None
    chance: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        name: for readers.
        result: how good it is.
        qualities: title of the method to the quality of its explanations; empty if none was measured.
        controls: titles of methods that are controls.
        failed: titles of methods that failed a sanity check.
        undecided: titles of methods that a sanity check neither passed nor failed.
        untrained: whether it is a control itself, with random weights.
        missing: why the quality of no explanation was measured; ``None`` where one was.
    """

    name: str
    result: Point
    qualities: Mapping[str, Point]
    controls: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()
    untrained: bool = False
    missing: str | None = None

    @property
    def best(self) -> str | None:
        """Method of the highest quality that is no control and failed no sanity check."""
        return self._highest(self.controls | self.failed)

    @property
    def shown(self) -> str | None:
        """The best method; where all failed a sanity check, the highest of these, which must be marked."""
        return self.best or self._highest(self.controls)

    @property
    def caveats(self) -> list[str]:
        """What a reader must know before the best method's number is taken for what it seems to be."""
        shown = self.shown
        if shown is None:
            return [self.missing or "not measured"]
        found = []
        if shown in self.failed:
            found.append("failed a sanity check, as did every method of this model")
        higher = [name for name in self._of_methods(self.failed) if self.qualities[name].value > self._value(shown)]
        if shown not in self.failed and higher:
            found.append(f"higher, but failed a sanity check: {', '.join(higher)}")
        if shown in self.undecided:
            found.append("undecided in a sanity check")
        better = [name for name in self._of_methods(self.controls) if self.qualities[name].value >= self._value(shown)]
        if better:
            found.append(f"no higher than the control {', '.join(better)}")
        return found

    def _value(self, method: str) -> float:
        return self.qualities[method].value

    def _of_methods(self, group: frozenset[str]) -> list[str]:
        return [name for name in self.qualities if name in group]

    def _highest(self, without: frozenset[str]) -> str | None:
        chosen = [name for name in self.qualities if name not in without]
        return max(chosen, key=self._value, default=None)


@dataclass(frozen=True)
class TradeOff:
    """Models of one problem by one result and one quality.

    Attributes:
        title: what they were measured on.
        result: title of the result.
        quality: title of the quality of explanations; the higher, the better.
        models: at least one.
        notes: what holds for all of it, in sentences.
    """

    title: str
    result: str
    quality: str
    models: tuple[Model, ...]
    notes: tuple[str, ...] = ()


def trade_off_of_runs(runs: Sequence[Run], named: bool = False) -> list[TradeOff]:
    """Set runs of one bundle together: the first headline result against the leading measure of localization.

    Runs may have been explained by methods of different kinds, maps or values of instances: the measure is the one that
    the most runs have, of equals the leading one. A run without it stands with its result, and why it has none.

    Args:
        runs: of one or several bundles.
        named: whether their names tell them apart already.

    Raises:
        DataError: if a run has no result, or runs of a bundle have different results.
    """
    found = []
    for bundle in dict.fromkeys(str(run.card["bundle"]) for run in runs):
        same = [run for run in runs if run.card["bundle"] == bundle]
        same = same if named else [replace(run, name=_short(run.name, bundle)) for run in name_runs(same)]
        headlines = [_headline(run) for run in same]
        titles = sorted({str(entry["title"]) for entry in headlines})
        if len(titles) > 1:
            raise DataError(
                f"{bundle}: the runs are measured differently ({', '.join(titles)}); evaluate them with the same "
                "settings"
            )
        name = _common_measure(same)
        models = [_model(run, entry, name) for run, entry in zip(same, headlines, strict=True)]
        found.append(TradeOff(bundle, titles[0], MEASURES[name].title, tuple(models), tuple(_notes(same))))
    return found


def _short(name: str, bundle: str) -> str:
    """Leave out the bundle, which stands above: ``cells (eval_2)`` is ``eval_2`` among runs of ``cells``."""
    within = name.removeprefix(f"{bundle} (")
    return name if within == name else within.removesuffix(")")


def _common_measure(runs: Sequence[Run]) -> str:
    """Return the measure of localization that the most runs have, the first of equals."""
    names = LEADING["localization"]
    having = {name: sum(scores(run, "localization", [name])[0] is not None for run in runs) for name in names}
    return max(names, key=lambda name: having[name])


def _model(run: Run, result: Mapping[str, Any], measure: str) -> Model:
    known, by_method = scores(run, "localization", [measure])
    return Model(
        name=run.name,
        result=_point(result, RESULT_CHANCE.get(str(result["name"]))),
        qualities={score.title: _point(score.entry, score.entry.get("chance")) for score in by_method},
        controls=frozenset(score.title for score in by_method if score.method["control"]),
        failed=frozenset(score.title for score in by_method if score.method["failed"] and not score.method["control"]),
        undecided=frozenset(score.title for score in by_method if _undecided(run, score)),
        missing=None if known is not None else _why_missing(run, measure),
    )


def _undecided(run: Run, score: Score) -> bool:
    return not score.method["control"] and bool(undecided_checks(run.card, score.method["name"]))


def _why_missing(run: Run, measure: str) -> str:
    (table,) = (table for table in run.card["elements"] if table["element"] == "localization")
    reasons = dict.fromkeys(row["reason"] for row in table["rows"] if row["measure"] == measure and row.get("reason"))
    said = "; ".join(map(str, reasons)) or table["missing"] or f"{MEASURES[measure].title} was not taken"
    return said if said.lower().startswith("not measured") else f"not measured: {said}"


def _notes(runs: Sequence[Run]) -> list[str]:
    """Return what must be known of the comparison, and of all intervals."""
    found = [OWN_SAMPLES] if len(runs) > 1 else []
    return found + [f"{run.name}, {what}: {said}" for run in runs for what, said in run.warnings.items()]


def _headline(run: Run) -> Mapping[str, Any]:
    results = run.card["results"]
    if is_unknown(results) or not results["headline"]:
        raise DataError(f"{run.path}: no result to set against explanations; run evaluating")
    entry: Mapping[str, Any] = next(e for e in results["numbers"] if e["name"] == results["headline"][0])
    if entry["value"] is None:
        raise DataError(f"{run.path}: {entry['name']} has no value ({entry['reason']})")
    return entry


def _point(entry: Mapping[str, Any], chance: float | None) -> Point:
    interval = None if not entry["ci95"] else (float(entry["ci95"][0]), float(entry["ci95"][1]))
    return Point(float(entry["value"]), interval, chance, entry.get("n"))
