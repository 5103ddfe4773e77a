"""Reading measured numbers: what is taken, what is left, what is refused."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.report.measures import Estimate, read_estimates, read_number, read_pair


def test_nested_entries_are_found_and_other_content_is_left_out():
    table = {
        "accuracy": {"value": 0.9, "ci95": [0.8, 0.95], "n": 40, "n_without_mask": 2, "chance": 0.25, "note": "x"},
        "labels": {"Edema": {"l1": 0.03}},
        "undefined": {"value": None, "ci95": [None, None], "reason": "no sample"},
        "list": [1, 2],
        "flag": True,
        "n_bins": 10,
    }
    found = read_estimates(table, "m.json", skip=("n_bins",))
    assert found == [
        Estimate("accuracy", 0.9, (0.8, 0.95), None, 0.25, 40, 2),
        Estimate("labels.Edema.l1", 0.03),
        Estimate("undefined", None, reason="no sample"),
    ]


@pytest.mark.parametrize("value", ["0.9", float("nan"), True, None, [1]])
def test_what_is_no_number_is_refused_with_file_and_key(value):
    with pytest.raises(DataError, match=r"m\.json: metrics\.f1"):
        read_number(value, "m.json: metrics.f1")


@pytest.mark.parametrize("value", [[0.9, 0.1], [0.1], 0.3, ["a", "b"]])
def test_what_is_no_interval_is_refused(value):
    with pytest.raises(DataError, match="ci95"):
        read_pair(value, "m.json: ci95")


@pytest.mark.parametrize(("value", "verdict"), [(0.05, "within"), (0.06, "above"), (0.01, "below"), (None, None)])
def test_verdict_against_the_null_band(value, verdict):
    assert Estimate("e", value, null_band=(0.02, 0.05)).against_null == verdict


@pytest.mark.parametrize(
    ("interval", "verdict"), [((0.3, 0.4), "above"), ((0.1, 0.2), "below"), ((0.2, 0.3), "includes"), (None, None)]
)
def test_verdict_against_chance(interval, verdict):
    assert Estimate("e", 0.25, interval, chance=0.25).against_chance == verdict
