"""What the figures show, against closed forms and plain counting."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.report.curves import (
    confidence_histogram,
    operating_point,
    oracle_risk,
    read_reliability,
    read_risk_coverage,
    row_shares,
    wilson,
)


def task(rows):
    return pd.DataFrame(rows, columns=["label", "prediction", "confidence", "decision", "kind"])


ROWS = task(
    [
        ("a", "a", 1.0, "accept", ""),
        ("a", "a", 0.72, "accept", ""),
        ("b", "a", 0.65, "accept", ""),
        ("b", "b", 0.4, "defer", ""),
        ("b", "a", 0.1, "reject", ""),
        ("", "a", 0.05, "reject", "empty"),
        ("", "b", 0.9, "accept", ""),
    ]
)


def test_row_shares_sum_to_one_and_an_empty_row_has_none():
    shares = row_shares(np.array([[3, 1], [0, 0]]))
    np.testing.assert_allclose(shares[0], [0.75, 0.25])
    assert np.isnan(shares[1]).all()


def test_wilson_interval_is_the_papers():
    count, n, z = 7, 20, 1.959963984540054
    p = count / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert wilson(count, n) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_null_band_holds_the_binomial_quantiles():
    (found,) = read_reliability({"bins": [{"count": 12, "confidence": 0.8, "accuracy": 0.5}]}, "m.json")
    cumulative = np.cumsum([math.comb(12, i) * 0.8**i * 0.2 ** (12 - i) for i in range(13)])
    low, high = (int(np.argmax(cumulative >= q)) for q in (0.025, 0.975))
    assert found.null == (low / 12, high / 12)
    assert found.interval == wilson(6, 12)


def test_empty_bins_are_left_out():
    empty = {"count": 0, "confidence": None, "accuracy": None}
    assert read_reliability({"bins": [empty, {"count": 1, "confidence": 1.0, "accuracy": 1.0}]}, "m")[0].count == 1


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"bins": [{"count": 3, "confidence": 0.5}]}, r"bins\[0\]\.accuracy"),
        ({"bins": [{"count": 3, "confidence": 1.5, "accuracy": 0.5}]}, r"bins\[0\]\.confidence"),
        ({"bins": None}, "bins"),
        ([], "JSON object"),
    ],
)
def test_malformed_reliability_is_named(table, named):
    with pytest.raises(DataError, match=named):
        read_reliability(table, "m.json")


def test_risk_coverage_is_sorted_without_undefined_points():
    curve = read_risk_coverage({"coverage": [1.0, 0.0, 0.5], "risk": [0.3, None, 0.1]}, "m")
    np.testing.assert_array_equal(curve.coverage, [0.5, 1.0])
    np.testing.assert_array_equal(curve.risk, [0.1, 0.3])
    assert (curve.at(0.5), curve.at(0.6), curve.at(1.0)) == (0.1, 0.3, 0.3)


@pytest.mark.parametrize("table", [{"coverage": [1.0]}, {"coverage": [1.0], "risk": [0.1, 0.2]}, {}])
def test_malformed_risk_coverage_is_refused(table):
    with pytest.raises(DataError, match="coverage and risk"):
        read_risk_coverage(table, "m.json: selective")


def test_oracle_risk_equals_that_of_perfectly_ranked_answers():
    wrong = np.array([0] * 7 + [1] * 3)  # every right answer before every wrong one
    counted = wrong.cumsum() / np.arange(1, 11)
    np.testing.assert_allclose(oracle_risk(np.arange(1, 11) / 10, 0.3), counted, atol=1e-12)


def test_operating_point_counts_labelled_samples_only():
    point = operating_point(ROWS)
    assert (point.accepted, point.n) == (3, 5)
    assert point.coverage == pytest.approx(0.6)
    assert point.risk == pytest.approx(1 / 3)
    assert point.interval == wilson(1, 3)
    assert operating_point(ROWS[ROWS["decision"] != "accept"]) is None


def test_histogram_counts_each_group_and_certainty_in_the_last_bin():
    counts = confidence_histogram(ROWS, bins=10)
    assert counts["right"].tolist() == [0, 0, 0, 0, 1, 0, 0, 1, 0, 1]
    assert counts["wrong"].tolist() == [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]
    assert counts["outlier"].tolist() == [1] + [0] * 9
    assert "outlier" not in confidence_histogram(ROWS[ROWS["kind"] == ""])
