from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from shared.evaluation.interpretability.physical import physical_rows


def place(row):
    return row.get("of"), row.get("label")


def test_correlation_of_all_and_within_each_class():
    """A quantity that tells the classes apart and nothing within them, and one that only tells within."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 60)
    between, within = label + rng.normal(0, 0.1, 120), rng.normal(size=120)
    outputs = 4 * label + within
    rows = physical_rows(
        {"count, 10⁹/L": between, "area, µm²": within},
        outputs,
        ["reactive" if one == 0 else "tumoral" for one in label],
        logit="tumoral",
    )
    assert [place(row)[1] for row in rows] == ["reactive", "tumoral", None] * 2
    assert all(row["parameters"] == {"logit": "tumoral"} for row in rows)
    found = {place(row): row for row in rows}
    assert found["count, 10⁹/L", None]["value"] == pytest.approx(spearmanr(between, outputs).statistic)
    assert found["count, 10⁹/L", None]["ci95"][0] > 0.5
    for name in ("reactive", "tumoral"):
        low, high = found["count, 10⁹/L", name]["ci95"]
        assert low < 0.2
        assert high > -0.2
        assert found["area, µm²", name]["value"] == pytest.approx(1.0)
        assert found["area, µm²", name]["n"] == 60
    assert all(row["measure"] == "physical_correlation" and row["method"] is None for row in rows)


def test_logits_of_different_classes_are_not_pooled():
    """Each sample has the logit of its own class: within both the relation is perfect, and over all there is none."""
    outputs = np.array([1.0, 2, 3, 4, 5, 101, 102, 103, 104, 105])
    quantity = np.array([6.0, 7, 8, 9, 10, 1, 2, 3, 4, 5])
    rows = physical_rows({"area": quantity}, outputs, ["a"] * 5 + ["b"] * 5)
    assert [(*place(row), row["value"]) for row in rows] == [("area", "a", 1.0), ("area", "b", 1.0)]
    (row,) = physical_rows({"area": quantity}, outputs, ["a"] * 5 + [None] * 5)
    assert (*place(row), row["n"]) == ("area", "a", 5)
    (row,) = physical_rows({"area": quantity}, outputs)
    assert row["value"] is None
    assert "classes of the samples are unknown" in row["reason"]


def test_what_is_not_known_is_left_out_and_said():
    quantity = np.array([1.0, np.nan, 3.0, 2.0, 5.0])
    (row,) = physical_rows({"area": quantity}, [0.1, 9.0, 0.3, 0.2, 0.5], logit="a")
    assert (row["value"], row["n"]) == (1.0, 4)
    (row,) = physical_rows({"area": [1.0, np.nan, np.nan]}, [1.0, 2.0, 3.0], logit="a")
    assert row["value"] is None
    assert "known of 1 samples" in row["reason"]
    (row,) = physical_rows({"area": [1.0] * 5}, range(5), logit="a")
    assert "the quantity is the same in all 5" in row["reason"]
    (row,) = physical_rows({}, [1.0])
    assert "no physical measurement" in row["reason"]
