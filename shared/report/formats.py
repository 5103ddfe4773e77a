"""How numbers, intervals and texts of the files are written on the page."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from shared.report.measures import Estimate

__all__ = [
    "code_spans",
    "compact",
    "interval",
    "number",
    "percent",
    "percent_interval",
    "signed",
    "significant",
    "whole_percent",
]

DASH = "\u2013"
MINUS = "\u2212"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with fixed digits; a dash for an undefined one.

    Example:
        >>> number(0.91249), number(None), number(-0.0004), number(-0.25, 2)
        ('0.912', '–', '0.000', '−0.25')
    """
    if value is None:
        return DASH
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def percent(value: float | None) -> str:
    """Write a share in percent.

    Example:
        >>> percent(0.9731), percent(None)
        ('97.3\u202f%', '–')
    """
    return DASH if value is None else f"{100 * value:.1f}\u202f%"


def whole_percent(value: float) -> str:
    """Write a share that someone chose, without digits that were not chosen.

    Example:
        >>> whole_percent(1 - 0.9), whole_percent(0.975)
        ('10\u202f%', '97.5\u202f%')
    """
    return f"{100 * value:.6g}\u202f%"


def signed(value: float | None, digits: int = 3) -> str:
    """Write a number with its sign; nothing is neither above nor below zero.

    Example:
        >>> signed(0.0312), signed(-1.5, 2), signed(0.0001), signed(None)
        ('+0.031', '−1.50', '0.000', '–')
    """
    written = number(value, digits)
    if value is None or not round(value, digits):
        return written
    return f"+{written}" if value > 0 else written


def significant(value: float) -> str:
    """Write a number with four significant digits, a count in full.

    Example:
        >>> significant(999.9999999999998), significant(0.78695361), significant(8.29e-10), significant(12345)
        ('1000', '0.787', '8.29 × 10⁻¹⁰', '12345')
    """
    if isinstance(value, int):
        return str(value)
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")) if exponent else ""
    return f"{mantissa} \u00d7 10{raised}" if raised else mantissa


def compact(value: float) -> str:
    """Write a number with two significant digits and its sign, whatever its size.

    Example:
        >>> compact(0.01234), compact(-1.26), compact(3.2e-7), compact(0)
        ('+0.012', '−1.3', '+3.2 × 10⁻⁷', '0')
    """
    if not value:
        return "0"
    return f"{'+' if value > 0 else MINUS}{significant(float(f'{abs(value):.2g}'))}"


def interval(estimate: Estimate | tuple[float, float] | None, digits: int = 3) -> str:
    """Write an interval as ``low to high``; without one, why there is none.

    Example:
        >>> interval((0.25, 0.5)), interval(Estimate("accuracy", 0.9, reason="only one group"))
        ('0.250 to 0.500', 'no interval: only one group')
        >>> interval(Estimate("sensitivity", 1.0, (0.566, 1.0), interval_from="Wilson over 5 patients"))
        '0.566 to 1.000 (Wilson over 5 patients)'
    """
    ends = estimate.interval if isinstance(estimate, Estimate) else estimate
    if ends is None:
        return _why_none(estimate)
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}{_found_from(estimate)}"


def percent_interval(estimate: Estimate | tuple[float, float] | None) -> str:
    """Write an interval of a share in percent; without one, why there is none."""
    ends = estimate.interval if isinstance(estimate, Estimate) else estimate
    return _why_none(estimate) if ends is None else f"{100 * ends[0]:.1f} to {percent(ends[1])}{_found_from(estimate)}"


def _found_from(estimate: Estimate | tuple[float, float] | None) -> str:
    how = estimate.interval_from if isinstance(estimate, Estimate) else None
    return f" ({how})" if how else ""


def _why_none(estimate: Estimate | tuple[float, float] | None) -> str:
    reason = estimate.reason if isinstance(estimate, Estimate) else None
    if reason and isinstance(estimate, Estimate) and estimate.value is None:
        return reason
    return f"no interval: {reason}" if reason else "no interval"


def code_spans(text: object) -> Markup:
    """Escape a text, and set what stands between back-ticks as code.

    Example:
        >>> print(code_spans("run `a < b` first"))
        run <code>a &lt; b</code> first
    """
    parts = re.split(r"`([^`]+)`", str(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )
