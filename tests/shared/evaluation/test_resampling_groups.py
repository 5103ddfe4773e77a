"""What is drawn together, and what is said where that is not known."""

from __future__ import annotations

import pytest

from shared.evaluation.resampling_groups import group_records, whole_groups

RECORDS = [{"id": "a", "donor": "D1"}, {"id": "b", "donor": 2}, {"id": "c", "donor": "D1"}]


def test_records_are_grouped_by_what_they_say():
    records = [{"id": str(i), "donor": i if i % 2 else f"D{i}"} for i in range(12)] + [{"id": "last", "donor": 1}]
    drawn = group_records(records, "donor")
    assert drawn.groups.tolist() == ["D0", "1", "D2", "3", "D4", "5", "D6", "7", "D8", "9", "D10", "11", "1"]
    assert drawn.to_json() == {"by": "donor", "n": 12}


def test_few_groups_are_not_resampled():
    """Three donors drawn with replacement give nearly the same cells again and again."""
    drawn = group_records(RECORDS, "donor")
    assert drawn.groups is None
    assert (drawn.by, drawn.n) == ("sample", 3)
    assert drawn.warning.startswith("the samples are of 2 donors, too few to resample")
    assert group_records([{"id": str(i), "donor": i} for i in range(10)], "donor").groups is not None


def test_without_a_key_samples_are_drawn():
    drawn = group_records(RECORDS, None)
    assert drawn.groups is None
    assert drawn.to_json() == {"by": "sample", "n": 3}


@pytest.mark.parametrize("lacking", [{"id": "d"}, {"id": "d", "donor": None}])
def test_a_record_without_the_key_is_named(lacking):
    drawn = group_records([*RECORDS, lacking], "donor")
    assert drawn.groups is None
    assert (drawn.by, drawn.n) == ("sample", 4)
    assert "1 of 4 records have no 'donor', the first is 'd'" in drawn.to_json()["warning"]


def test_groups_that_are_drawn_whole_are_counted_and_few_are_warned_of():
    assert whole_groups([f"P{i // 2}" for i in range(20)], "patient").to_json() == {"by": "patient", "n": 10}
    few = whole_groups([f"P{i // 2}" for i in range(18)], "patient")
    assert (few.by, few.n, len(few.groups)) == ("patient", 9, 18)
    assert few.to_json()["warning"].startswith("there are 9 patients only")
    assert whole_groups(["a", "a"], "patient").warning.startswith("there is 1 patient only")
