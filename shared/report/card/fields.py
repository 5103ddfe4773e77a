"""The few forms that a field of the card takes: a number, or the reason why something is not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.report.elements import ElementRow
from shared.report.measures import Estimate
from shared.report.wording import measure_title

__all__ = ["NOT_TRUSTED", "element_row", "is_unknown", "number", "numbers", "unknown", "value_or_unknown", "warning_of"]

#: how a warning of intervals begins
NOT_TRUSTED = "These intervals are not to be trusted as they stand"
UNDEFINED = "not defined on these data"


def unknown(reason: str) -> dict[str, Any]:
    """Return the form of a field that was not measured or not stated."""
    return {"value": None, "reason": reason}


def is_unknown(value: Any) -> bool:
    """Whether a field of the card has that form."""
    return isinstance(value, Mapping) and "reason" in value and value.get("value") is None


def value_or_unknown(value: Any, reason: str) -> Any:
    """Return the value, or where it is missing or empty the reason."""
    return unknown(reason) if value is None or value == "" or value == [] or value == {} else value


def warning_of(resampled: Any) -> str | None:
    """Return the sentence that warns of intervals, from what the card says was resampled; ``None`` without one.

    Example:
        >>> warning_of({"by": "sample", "n": 40, "warning": "the samples are of 3 donors"})
        'These intervals are not to be trusted as they stand: the samples are of 3 donors.'
    """
    warning = resampled.get("warning") if isinstance(resampled, Mapping) and not is_unknown(resampled) else None
    return f"{NOT_TRUSTED}: {str(warning).rstrip('.')}." if warning else None


def number(estimate: Estimate, title: str | None = None) -> dict[str, Any]:
    """Return an estimate as a field: ``name``, ``title``, ``value``, and as far as known interval, null band, chance.

    Args:
        estimate: the number.
        title: its name for readers; by default the title of a measure of that name.
    """
    content: dict[str, Any] = {
        "name": estimate.name,
        "title": measure_title(estimate.name) if title is None else title,
        "value": estimate.value,
        "ci95": None if estimate.interval is None else list(estimate.interval),
    }
    if estimate.interval_from is not None:
        content["interval"] = estimate.interval_from
    if estimate.null_band is not None:
        content["null_band"] = list(estimate.null_band)
    for key in ("chance", "n", "n_without_mask"):
        if (value := getattr(estimate, key)) is not None:
            content[key] = value
    reason = estimate.reason or (UNDEFINED if estimate.value is None else None)
    if estimate.interval is None and reason is None:
        reason = "no interval was computed"
    return content if reason is None else content | {"reason": reason}


def numbers(estimates: Iterable[Estimate]) -> list[dict[str, Any]]:
    """Return several."""
    return [number(estimate) for estimate in estimates]


def element_row(row: ElementRow) -> dict[str, Any]:
    """Return a row of an element: the number, what it is of, which direction is better and how it lies to chance."""
    content = {
        "measure": row.measure.name,
        "method": None if row.method is None else row.method.name,
        "label": row.label,
        "size": row.size,
        "of": row.of,
        "better": row.measure.better,
        **number(row.estimate, row.measure.title),
        "against_chance": row.against_chance,
    }
    del content["name"]
    if (difference := row.estimate.difference) is not None and difference.value is not None:
        content["difference"] = {
            "value": difference.value,
            "ci95": None if difference.interval is None else list(difference.interval),
        }
    return content | ({"parameters": dict(row.parameters)} if row.parameters else {})
