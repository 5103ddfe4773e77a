"""Two runs side by side, and which of their differences exceed their intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.evaluation.unpaired_difference import unpaired_difference
from shared.report.card.fields import is_unknown
from shared.report.paired_runs import pair_runs
from shared.report.runs import Run

__all__ = ["ComparedRow", "Comparison", "compare"]

#: metrics of which a low value is good, and those that describe and do not judge
_LOW_IS_GOOD = ("negative_log_likelihood", "brier", "fpr95", "aurc")
_DESCRIBES = ("kept_share", "accepted_share")
NOTHING = "no difference shown"


@dataclass(frozen=True)
class ComparedRow:
    """One number of both runs.

    Attributes:
        section: what it belongs to.
        title: its name for readers, with method, class or thing that it is of.
        first: the number in the first run, as in its card; ``None`` where the run does not have it.
        second: in the second run.
        better: which direction is better; ``None`` for a number that describes.
        paired: the difference with its paired interval, where both runs measured the same samples.
    """

    section: str
    title: str
    first: Mapping[str, Any] | None
    second: Mapping[str, Any] | None
    better: str | None
    paired: Mapping[str, Any] | None = None

    @property
    def difference(self) -> float | None:
        """Second less first; ``None`` where one was not measured."""
        values = [entry["value"] for entry in (self.first, self.second) if entry is not None]
        return None if len(values) < 2 or None in values else float(values[1] - values[0])

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the difference: paired, or from those of both runs; ``None`` where there is none."""
        if self.paired is not None:
            ends = self.paired["ci95"]
            return None if not ends else (float(ends[0]), float(ends[1]))
        if self.difference is None or self.first is None or self.second is None:
            return None
        if not self.first["ci95"] or not self.second["ci95"]:
            return None
        return unpaired_difference(self.first["value"], self.first["ci95"], self.second["value"], self.second["ci95"])[
            1
        ]

    @property
    def exceeds(self) -> bool:
        """Whether the interval of the difference excludes 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)

    @property
    def verdict(self) -> str:
        """``second better``, ``first better``, ``differ``, ``no difference shown`` or why nothing can be said."""
        if self.difference is None:
            missing = [
                n for n, e in (("first", self.first), ("second", self.second)) if e is None or e["value"] is None
            ]
            return f"not measured in {' and '.join(missing)}"
        if self.interval is None:
            return "equal" if self.difference == 0 else "no interval"
        if not self.exceeds:
            return NOTHING
        if self.better is None:
            return "differ"
        return "second better" if (self.difference > 0) == (self.better == "higher") else "first better"


@dataclass(frozen=True)
class Comparison:
    """Two runs.

    Attributes:
        first: the run that differences are taken from.
        second: the run that is set against it.
        notes: what the runs have in common and in what they differ, in sentences.
        rows: every number that one of the runs has.
        warnings: why intervals of a run are not to be trusted, in sentences.
    """

    first: Run
    second: Run
    notes: tuple[str, ...]
    rows: tuple[ComparedRow, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exceeding(self) -> list[ComparedRow]:
        """Rows whose difference exceeds its interval."""
        return [row for row in self.rows if row.exceeds]

    @property
    def compared(self) -> int:
        """Number of differences that have an interval; one in twenty exceeds it by chance."""
        return sum(row.interval is not None for row in self.rows)


def compare(first: Run, second: Run) -> Comparison:
    """Set two runs side by side: results, and the five elements of interpretability over all samples.

    Results of the same samples are compared sample by sample, see :mod:`shared.report.paired_runs`. Controls of two
    bundles are not compared: what a random map reaches says how large causes are, and nothing of a run.
    """
    paired = pair_runs(first, second)
    left_out = _controls(first, second) if first.card["bundle"] != second.card["bundle"] else {}
    found = [dict(_numbers(run, left_out)) for run in (first, second)]
    rows = []
    for key in dict.fromkeys([*found[0], *found[1]]):
        entries = [numbers.get(key) for numbers in found]
        section, title, better = next(entry for entry in entries if entry is not None)[:3]
        numbers_of = [None if entry is None else entry[3] for entry in entries]
        if any(entry is not None and entry["value"] is not None for entry in numbers_of):
            row = ComparedRow(section, title, numbers_of[0], numbers_of[1], better)
            rows.append(replace(row, paired=paired.of(key, row.difference)))
    notes = (*_notes(first, second, tuple(left_out.values())), paired.note)
    warnings = tuple(f"{run.name}, {what}: {said}" for run in (first, second) for what, said in run.warnings.items())
    return Comparison(first, second, notes, tuple(rows), warnings)


_Entry = tuple[str, str, str | None, Mapping[str, Any]]


def _controls(*runs: Run) -> dict[str, str]:
    """Return the titles of methods that are a control in one of the runs, by key."""
    return {name: str(method["title"]) for run in runs for name, method in run.methods.items() if method["control"]}


def _numbers(run: Run, left_out: Collection[str] = ()) -> Iterator[tuple[tuple[str | None, ...], _Entry]]:
    """Yield key, and section, title, direction and number, of everything that is compared."""
    results = run.card["results"]
    for entry in [] if is_unknown(results) else results["numbers"]:
        name = entry["name"]
        better = None if name in _DESCRIBES else "lower" if name in _LOW_IS_GOOD else "higher"
        yield ("results", name), ("Results", entry["title"], better, entry)
    for table in run.card["elements"]:
        for row in table["rows"]:
            if row["label"] is not None or row["size"] is not None or row["method"] in left_out:
                continue
            method = row["method"] and run.methods[row["method"]]["title"]
            title = " · ".join(part for part in (row["title"], method, row["of"]) if part)
            key = ("element", row["measure"], row["method"], row["of"])
            yield key, (table["title"], title, row["better"], row)


def _notes(first: Run, second: Run, left_out: Sequence[str] = ()) -> Iterator[str]:
    cards = (first.card, second.card)
    if cards[0]["bundle"] != cards[1]["bundle"]:
        differ = f"The runs are of different bundles: {cards[0]['bundle']} and {cards[1]['bundle']}."
        yield f"{differ} Data, classes and what is explained differ, and so may any number for that reason alone."
        if left_out:
            yield f"Controls are not compared between bundles, and are left out: {', '.join(left_out)}."
    hashes = [_hashes(card["data"]["files"]) for card in cards]
    if None in hashes:
        yield "Whether both were evaluated on the same data is not recorded."
    elif hashes[0] != hashes[1]:
        yield "They were evaluated on different data lists: a difference may be one of the data, not of the models."
    else:
        yield "They were evaluated on the same data list."
    weights = [_hashes(card["model"]["weights"]) for card in cards]
    if None not in weights and weights[0] == weights[1]:
        yield "Both have the same weights and calibration."
    for name, keys in (("split", ("data", "split")), ("N", ("data", "n"))):
        values = [card[keys[0]][keys[1]] for card in cards]
        if values[0] != values[1] and not any(map(is_unknown, values)):
            yield f"They differ in {name}: {values[0]} and {values[1]}."


def _hashes(files: Any) -> set[str] | None:
    return None if is_unknown(files) else {entry["sha256"] for entry in files}
