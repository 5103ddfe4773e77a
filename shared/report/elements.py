"""The five elements of interpretability as tables: what explaining measured of the methods, evaluating of the model.

Page, card and the table over all bundles show the same tables, which are made here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.evaluation.interpretability.measures import (
    ELEMENT_TITLES,
    ELEMENTS,
    MEASURES,
    Element,
    Measure,
    measures_of,
)
from shared.evaluation.interpretability.verdict import LIMIT, SANITY_CHECKS, Verdict, sanity_verdict
from shared.report.actionability import actionability_rows
from shared.report.measures import Estimate, read_estimates, read_table
from shared.report.sources import Sources

__all__ = ["ElementRow", "ElementTable", "Method", "element_tables", "methods_of"]

READERS_MISSING = "no readers have been asked"
#: likeness of maps that should have nothing in common: no map is better in it than unrelated ones
CHANCE_IS_IDEAL = SANITY_CHECKS


@dataclass(frozen=True)
class Method:
    """An explanation method as explaining describes it.

    Attributes:
        name: its key.
        title: its name for readers.
        control: whether it is one.
        rule: how it is computed, in words.
        parameters: what it was run with.
        satisfies: what it was shown to satisfy, in sentences.
        failed: sanity checks that it failed, in sentences; where there is one, its maps must not be trusted.
    """

    name: str
    title: str
    control: bool = False
    rule: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    satisfies: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ElementRow:
    """One number, or the reason why there is none.

    Attributes:
        measure: what was measured.
        method: of which method; ``None`` for the model.
        estimate: the number.
        label: of which class; ``None`` for all.
        size: of which tertile of lesion size; ``None`` for all.
        of: what the number was taken of, where a measure is taken of several things.
        parameters: what the measure was taken with, a threshold that was tuned for instance.
    """

    measure: Measure
    method: Method | None
    estimate: Estimate
    label: str | None = None
    size: str | None = None
    of: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The measure's name, with the tolerance where it was taken with one."""
        radius = self.parameters.get("radius")
        return f"{self.measure.title} (within {radius:.3g} px)" if radius else self.measure.title

    @property
    def measured(self) -> bool:
        """Whether there is a number."""
        return self.estimate.value is not None

    @property
    def whole(self) -> bool:
        """Whether it is of all samples, of whatever class and size."""
        return self.label is None and self.size is None

    @property
    def verdict(self) -> Verdict | None:
        """What a sanity check says; ``None`` of other measures, and where nothing was measured."""
        number = self.estimate
        if self.measure.name not in SANITY_CHECKS or number.value is None:
            return None
        return sanity_verdict(number.value, number.interval, number.chance, self.parameters.get("limit", LIMIT))

    @property
    def against_chance(self) -> str | None:
        """``"better"``, ``"worse"`` or ``"not told apart"`` from chance, by the interval; ``None`` if that is unknown.

        A measure that describes and does not judge is never better or worse; nor is one that no map can be better in
        than chance.
        """
        lies = self.estimate.against_chance
        if lies is None or self.measure.better is None or self.measure.name in CHANCE_IS_IDEAL:
            return None
        if lies == "includes":
            return "not told apart"
        return "better" if (lies == "above") == (self.measure.better == "higher") else "worse"


@dataclass(frozen=True)
class ElementTable:
    """All that is known of one element.

    Attributes:
        element: its key.
        title: its name for readers.
        methods: all methods that were explained with, the controls last.
        rows: measured or not, in the order of the measures.
        missing: why no method was measured at all; ``None`` if one was.
    """

    element: Element
    title: str
    methods: tuple[Method, ...]
    rows: tuple[ElementRow, ...]
    missing: str | None = None

    @property
    def measures(self) -> list[Measure]:
        """Measures of methods that have a number for at least one of them: the columns of a table of methods."""
        return measures_of(self.element, {row.measure.name for row in self.rows if row.method and row.measured})

    @property
    def unmeasured(self) -> list[tuple[Measure, str]]:
        """Measures without any number, of methods or of the model, with the reasons, each once."""
        numbers = {row.measure.name for row in self.rows if row.measured}
        found: dict[str, dict[str, None]] = {}
        for row in self.rows:
            if row.measure.name not in numbers and row.estimate.reason:
                found.setdefault(row.measure.name, {})[row.estimate.reason] = None
        return [(MEASURES[name], "; ".join(reasons)) for name, reasons in found.items()]

    def of_model(self) -> list[ElementRow]:
        """Rows of the model, of all samples."""
        return [row for row in self.rows if row.method is None and row.whole]

    def cells(self, measure: str, method: str) -> list[ElementRow]:
        """Rows of a method over all samples: one as a rule, several where a measure is taken of several things."""
        return [row for row in self.rows if row.method and row.whole and _is(row, measure, method)]

    def groups(self, measure: str | None = None, method: str | None = None) -> list[ElementRow]:
        """Rows of one class or size, of a measure and of a method if named."""
        return [row for row in self.rows if not row.whole and _is(row, measure, method)]


def _is(row: ElementRow, measure: str | None, method: str | None) -> bool:
    own = None if row.method is None else row.method.name
    return measure in (None, row.measure.name) and method in (None, own)


def methods_of(sources: Sources) -> list[Method]:
    """Return the methods that explaining describes, the controls last; none if it has not run."""
    if sources.interpretability is None:
        return []
    table = read_table(sources.interpretability["methods"], f"{sources.files['interpretability.json']}: methods")
    methods = [_method(sources, str(name), read_table(entry, f"methods.{name}")) for name, entry in table.items()]
    return sorted(methods, key=lambda method: method.control)


def _method(sources: Sources, name: str, entry: Mapping[str, Any]) -> Method:
    return Method(
        name=name,
        title=str(entry.get("title") or sources.method_title(name)),
        control=bool(entry.get("control")),
        rule=None if entry.get("rule") is None else str(entry["rule"]),
        parameters=dict(entry.get("parameters") or {}),
        satisfies=tuple(str(sentence) for sentence in entry.get("satisfies") or ()),
        failed=tuple(str(sentence) for sentence in entry.get("failed") or ()),
    )


def element_tables(sources: Sources) -> list[ElementTable]:
    """Return a table for each of the five elements, in their order.

    Args:
        sources: of one evaluation. Without an interpretability file, what is known of the model alone is there, and
            each table says what to run.

    Raises:
        DataError: if a file is malformed.
    """
    methods = methods_of(sources)
    rows = [*_explained_rows(sources, methods), *_model_rows(sources)]
    rows += _reader_rows(rows, methods)
    order = {name: index for index, name in enumerate(MEASURES)}
    rows.sort(key=lambda row: order[row.measure.name])
    return [
        ElementTable(
            element=element,
            title=ELEMENT_TITLES[element],
            methods=tuple(methods),
            rows=(own := tuple(row for row in rows if row.measure.element == element)),
            missing=_missing(sources, own),
        )
        for element in ELEMENTS
    ]


def _explained_rows(sources: Sources, methods: Sequence[Method]) -> list[ElementRow]:
    if sources.interpretability is None:
        return []
    named = {method.name: method for method in methods}
    where = f"{sources.files['interpretability.json']}: rows"
    rows = []
    for index, entry in enumerate(sources.interpretability["rows"]):
        measure = MEASURES[entry["measure"]]
        (estimate,) = read_estimates({measure.name: entry}, f"{where}[{index}]")
        method = None if entry.get("method") is None else named[entry["method"]]
        groups = {key: entry.get(key) for key in ("label", "size", "of")}
        rows.append(ElementRow(measure, method, estimate, **groups, parameters=entry.get("parameters") or {}))
    return rows


def _model_rows(sources: Sources) -> list[ElementRow]:
    return [
        ElementRow(MEASURES[row.measure], None, row.estimate, label=row.label, of=row.of)
        for row in actionability_rows(sources)
    ]


def _reader_rows(rows: Sequence[ElementRow], methods: Sequence[Method]) -> list[ElementRow]:
    """Return the open rows of the reader study, which stay open until readers existed."""
    measure = MEASURES["reader_study"]
    done = {row.method.name for row in rows if row.measure is measure and row.method}
    estimate = Estimate(measure.name, None, reason=READERS_MISSING)
    return [ElementRow(measure, method, estimate) for method in methods if method.name not in done | _controls(methods)]


def _controls(methods: Sequence[Method]) -> set[str]:
    return {method.name for method in methods if method.control}


def _missing(sources: Sources, rows: Sequence[ElementRow]) -> str | None:
    """Say why no method was measured."""
    if sources.interpretability is None:
        return "Not measured: there is no interpretability.json; run explaining."
    if any(row.method is not None and row.measured for row in rows):
        return None
    reasons = dict.fromkeys(row.estimate.reason for row in rows if row.method is not None and row.estimate.reason)
    return f"Not measured: {'; '.join(map(str, reasons)) or 'explaining took no measure of this element'}."
