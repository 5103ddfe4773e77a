"""The difference of two intervals: closed form of normal ones, Newcombe's published example of proportions."""

from __future__ import annotations

import math

import pytest

from shared.evaluation.proportion import wilson_interval
from shared.evaluation.unpaired_difference import unpaired_difference


def test_of_normal_estimates_it_is_the_normal_interval():
    a, b, error_a, error_b = 1.2, 3.4, 0.3, 0.7
    ends = [(value - 1.96 * error, value + 1.96 * error) for value, error in ((a, error_a), (b, error_b))]
    difference, interval = unpaired_difference(a, ends[0], b, ends[1])
    half = 1.96 * math.sqrt(error_a**2 + error_b**2)
    assert difference == pytest.approx(2.2)
    assert interval == pytest.approx((2.2 - half, 2.2 + half))


def test_of_proportions_it_is_newcombes():
    # Newcombe, Statistics in Medicine 17 (1998) 873, table II, method 10, example (a): 56/70 less 48/80
    high, low = (tuple(map(float, wilson_interval(count, n))) for count, n in ((56, 70), (48, 80)))
    difference, interval = unpaired_difference(48 / 80, low, 56 / 70, high)
    assert difference == pytest.approx(0.2)
    assert interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_other_way_round_it_is_the_negative():
    forward, ends = unpaired_difference(0.3, (0.1, 0.35), 0.6, (0.5, 0.9))
    backward, reversed_ends = unpaired_difference(0.6, (0.5, 0.9), 0.3, (0.1, 0.35))
    assert backward == -forward
    assert reversed_ends == pytest.approx((-ends[1], -ends[0]))


def test_an_interval_beside_its_value_gives_no_imaginary_end():
    difference, (low, high) = unpaired_difference(0.5, (0.6, 0.7), 0.5, (0.3, 0.4))
    assert difference == 0
    assert (low, high) == pytest.approx((-math.hypot(0.2, 0.2), 0.0))
