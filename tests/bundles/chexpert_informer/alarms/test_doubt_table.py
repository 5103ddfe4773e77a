"""The table of doubts: file, rows, checks."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError


def assert_equal(first, second):
    assert first.classes == second.classes
    assert [*first.distances] == [*second.distances]
    for name in ("id", "patient", "logits", "label", "tta_std", "mc_std"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name, values in first.distances.items():
        np.testing.assert_array_equal(values, second.distances[name])


def test_reading_back_gives_the_same(scripts, make_table, tmp_path):
    table = make_table(20, methods=("lrp", "grad_cam"))
    table.save(tmp_path / "doubts.npz")
    assert_equal(scripts("alarms.doubt_table").Doubts.load(tmp_path / "doubts.npz"), table)


def test_columns_that_were_not_collected_stay_out(scripts, make_table, tmp_path):
    whole = make_table(20)
    table = scripts("alarms.doubt_table").Doubts(
        whole.id, whole.patient, whole.logits, whole.label, classes=whole.classes
    )
    table.save(tmp_path / "doubts.npz")
    read = scripts("alarms.doubt_table").Doubts.load(tmp_path / "doubts.npz")
    assert read.tta_std is None
    assert read.distances == {}
    with pytest.raises(DataError, match="different columns"):
        read.concatenate([whole, read])


def test_rows_and_concatenation_undo_each_other(make_table):
    table = make_table(30)
    parts = [table.rows(np.arange(10)), table.rows(np.arange(30) >= 10)]
    assert_equal(table.concatenate(parts), table)


def test_wrong_files_and_values_are_refused(scripts, make_table, tmp_path):
    doubts = scripts("alarms.doubt_table").Doubts
    with pytest.raises(DataError, match="no such file"):
        doubts.load(tmp_path / "doubts.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"text\.npz"):
        doubts.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", logits=np.zeros(3))
    with pytest.raises(DataError, match="classes, id, label, patient missing"):
        doubts.load(tmp_path / "other.npz")

    table = make_table(4)
    base = {"id": table.id, "patient": table.patient, "logits": table.logits, "label": table.label}
    base["classes"] = table.classes
    for change, message in (
        ({"id": ["a", "a", "b", "c"]}, "distinct ids"),
        ({"logits": np.full((4, 3), np.nan)}, "logits of image0_0 is not finite"),
        ({"label": np.full((4, 3), 2.0)}, "labels must be"),
        ({"label": table.label[:, :2]}, r"shape \(4, 3\)"),
        ({"distances": {"lrp": np.zeros((4, 3))}}, "distances of lrp"),
    ):
        with pytest.raises(DataError, match=message):
            doubts(**(base | change))
