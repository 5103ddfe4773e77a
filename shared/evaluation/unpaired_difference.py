"""The difference of two numbers of which nothing is known but values and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["unpaired_difference"]


def unpaired_difference(
    first: float, first_ends: Sequence[float], second: float, second_ends: Sequence[float]
) -> tuple[float, tuple[float, float]]:
    """Return ``second - first`` with its interval, from the intervals of both.

    With estimates ``a`` and ``b`` and their intervals ``[l_a, u_a]`` and ``[l_b, u_b]``, the interval of ``b - a`` is

        L = b - a - sqrt((b - l_b)² + (u_a - a)²),    U = b - a + sqrt((u_b - b)² + (a - l_a)²)

    at the level of the two (MOVER: Zou and Donner, Statistics in Medicine 27 (2008) 1693, for independent estimates;
    of proportions it is Newcombe's). Two numbers that were measured on the same samples go up and down together as a
    rule: then the interval is wider than need be, and a difference that it shows is there all the more.

    Args:
        first: ``a``.
        first_ends: ``l_a`` and ``u_a``; an end on the wrong side of ``a`` counts as ``a``.
        second: ``b``.
        second_ends: ``l_b`` and ``u_b``, likewise.

    Example:
        >>> difference, (low, high) = unpaired_difference(0.5, (0.4, 0.6), 0.8, (0.7, 0.9))
        >>> print(f"{difference:.2f} [{low:.3f}, {high:.3f}]")
        0.30 [0.159, 0.441]
    """
    of_second, of_first = (
        (max(value - ends[0], 0.0), max(ends[1] - value, 0.0))
        for value, ends in ((second, second_ends), (first, first_ends))
    )
    difference = second - first
    return difference, (
        difference - math.hypot(of_second[0], of_first[1]),
        difference + math.hypot(of_second[1], of_first[0]),
    )
