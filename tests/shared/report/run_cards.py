"""Small cards of runs, made by hand: what a test sets beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.evaluation.interpretability.measures import ELEMENT_TITLES, ELEMENTS, MEASURES
from shared.report.runs import Run

UNKNOWN = {"value": None, "reason": "not recorded"}


def entry(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    """A number of the card; without ends it has no interval."""
    reason = {} if low is not None else {"reason": "only one group" if value is not None else "not taken"}
    return {"value": value, "ci95": None if low is None else [low, high], **reason, **more}


def element_row(measure: str, method: str | None, number: Mapping[str, Any], of: str | None = None) -> dict[str, Any]:
    """A row of an element, over all samples."""
    place = {"measure": measure, "method": method, "label": None, "size": None, "of": of}
    described = {"better": MEASURES[measure].better, "title": MEASURES[measure].title, "against_chance": None}
    return place | described | dict(number)


def run(
    name: str = "first",
    results: Mapping[str, Mapping[str, Any]] | None = None,
    rows: Sequence[Mapping[str, Any]] = (),
    methods: Sequence[str] = ("lime", "grad_cam", "random_map"),
    failed: Sequence[str] = (),
    data: str | None = None,
    weights: str | None = None,
    n: int = 100,
    bundle: str = "cells",
) -> Run:
    """A run whose controls are the methods that begin with ``random`` or ``edge``."""
    numbers = [{"name": key, "title": key.replace("_", " "), **value} for key, value in (results or {}).items()]
    card = {
        "bundle": bundle,
        "model": {"weights": UNKNOWN if weights is None else [{"file": "model.pt", "sha256": weights}]},
        "data": {
            "files": UNKNOWN if data is None else [{"file": "datalist.json", "sha256": data}],
            "n": n,
            "split": "test",
        },
        "results": {"headline": list(results or {})[:1], "numbers": numbers} if results else UNKNOWN,
        "methods": [
            {
                "name": method,
                "title": method.replace("_", " "),
                "control": method.startswith(("random", "edge")),
                "failed": ["Likeness 0.9 is not below 0.5."] if method in failed else [],
            }
            for method in methods
        ],
        "elements": [
            {
                "element": element,
                "title": ELEMENT_TITLES[element],
                "missing": None,
                "rows": [row for row in rows if MEASURES[row["measure"]].element == element],
            }
            for element in ELEMENTS
        ],
    }
    return Run(name, card, Path(name))
