"""What each explanation method is, what it was shown to satisfy, and the sanity checks that it passed or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.evaluation.interpretability.verdict import SANITY_CHECKS
from shared.report.elements import ElementRow, ElementTable, Method
from shared.report.flat_rows import flat_rows
from shared.report.sources import Sources

__all__ = ["CheckedMethod", "sanity_section"]

Stage = tuple[int, int, float | None]
"""Of a cascade: layers that are randomised, layers in all, and the mean likeness there."""


@dataclass(frozen=True)
class CheckedMethod:
    """A method with its sanity checks.

    Attributes:
        method: as explaining describes it.
        checks: rows of the sanity checks, measured or not.
        parameters: name and value of each.
    """

    method: Method
    checks: Sequence[ElementRow]
    parameters: Sequence[tuple[str, str]]

    @property
    def verdict(self) -> str:
        """``failed``, ``undecided``, ``passed`` or ``not measured``: the worst of its checks.

        Of a control it is ``control``, and ``control, as expected`` if it failed: it is there to fail.
        """
        found = {row.verdict for row in self.checks} - {None}
        failed = bool(self.method.failed) or "failed" in found
        if self.method.control:
            return "control, as expected" if failed else "control"
        if failed:
            return "failed"
        if "undecided" in found:
            return "undecided"
        return "passed" if found else "not measured"

    def stages(self, row: ElementRow) -> list[Stage]:
        """Return the stages of a cascade, the last of which is judged; none of another check."""
        kind = row.parameters.get("similarity")
        return [
            (stage["randomised"], stage["layers"], stage.get(kind))
            for stage in row.parameters.get("stages", ())
            if "randomised" in stage and "layers" in stage
        ]


def sanity_section(sources: Sources, elements: Sequence[ElementTable]) -> dict[str, Any] | None:
    """Return all methods with their checks; ``None`` if explaining has not measured them."""
    if sources.interpretability is None:
        return None
    table = next(table for table in elements if table.element == "model_transparency")
    methods = [
        CheckedMethod(
            method=method,
            checks=[row for check in SANITY_CHECKS for row in table.cells(check, method.name)],
            parameters=flat_rows(dict(method.parameters)),
        )
        for method in table.methods
    ]
    return {
        "methods": methods,
        "failed": [checked.method for checked in methods if checked.verdict == "failed"],
        "undecided": [checked.method for checked in methods if checked.verdict == "undecided"],
        "model": flat_rows(dict(sources.interpretability["model"])),
    }
