"""Bits of truth images become masks; records without one have empty masks, and no background."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError
from shared.saliency.truth_regions import TruthRegions, read_cause


def record(folder, name, truth):
    path = folder / f"{name}.npy"
    np.save(path, truth)
    return {"id": name, "truth": str(path)}


def test_bits_are_what_they_are_said_to_be(tmp_path):
    truth = np.array([[1, 9], [16, 0]], np.uint8)
    records = [record(tmp_path, "a", truth), {"id": "b"}]
    regions = TruthRegions(cause=8, inside=1, distractor=16).of(records, (2, 2))
    assert set(regions) == {"cause", "distractor", "background"}
    assert regions["cause"].tolist() == [[[False, True], [False, False]], [[False] * 2] * 2]
    assert regions["distractor"][0].tolist() == [[False, False], [True, False]]
    assert regions["background"].tolist() == [[[False, False], [True, True]], [[False] * 2] * 2]


def test_nothing_is_known_without_a_truth_image():
    assert TruthRegions(cause=8).of([{"id": "a"}], (2, 2)) == {}


def test_the_cause_of_one_record_is_a_mask_or_none_where_it_is_nowhere(tmp_path):
    marked = record(tmp_path, "a", np.array([[1, 9], [16, 0]], np.uint8))
    assert read_cause(marked, 8, (2, 2)).tolist() == [[False, True], [False, False]]
    assert read_cause(marked, 4, (2, 2)) is None
    assert read_cause(marked, None, (2, 2)) is None
    assert read_cause({"id": "b"}, 8, (2, 2)) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [(np.zeros((3, 2), np.uint8), r"expected an integer array \(2, 2\)"), (np.zeros((2, 2)), "float64")],
)
def test_a_truth_image_that_does_not_fit_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        TruthRegions(cause=8).of([record(tmp_path, "a", content)], (2, 2))


def test_a_truth_image_that_is_cut_short_is_refused(tmp_path):
    broken = record(tmp_path, "a", np.zeros((2, 2), np.uint8))
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="not a readable NumPy file"):
        TruthRegions(cause=8).of([broken], (2, 2))
