"""What each explanation method is, what it was shown to satisfy, and the sanity checks that it passed or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.report.elements import ElementRow, ElementTable, Method
from shared.report.flat_rows import flat_rows
from shared.report.sources import Sources

__all__ = ["CheckedMethod", "sanity_section"]

CHECKS = ("cascading_randomisation", "random_logit")


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
        """``failed``, ``passed``, ``control`` or ``not measured``."""
        if self.method.control:
            return "control"
        if self.method.failed:
            return "failed"
        return "passed" if any(row.measured for row in self.checks) else "not measured"


def sanity_section(sources: Sources, elements: Sequence[ElementTable]) -> dict[str, Any] | None:
    """Return all methods with their checks; ``None`` if explaining has not measured them."""
    if sources.interpretability is None:
        return None
    table = next(table for table in elements if table.element == "model_transparency")
    methods = [
        CheckedMethod(
            method=method,
            checks=[row for check in CHECKS for row in table.cells(check, method.name)],
            parameters=flat_rows(dict(method.parameters)),
        )
        for method in table.methods
    ]
    return {
        "methods": methods,
        "failed": [checked.method for checked in methods if checked.verdict == "failed"],
        "model": flat_rows(dict(sources.interpretability["model"])),
    }
