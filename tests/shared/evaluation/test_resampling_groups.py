"""What is drawn together, and what is said where that is not known."""

from __future__ import annotations

import pytest

from shared.evaluation.resampling_groups import group_records

RECORDS = [{"id": "a", "donor": "D1"}, {"id": "b", "donor": 2}, {"id": "c", "donor": "D1"}]


def test_records_are_grouped_by_what_they_say():
    drawn = group_records(RECORDS, "donor")
    assert drawn.groups.tolist() == ["D1", "2", "D1"]
    assert drawn.to_json() == {"by": "donor", "n": 2}


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
