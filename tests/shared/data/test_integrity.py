from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.data.integrity import (
    Exclusion,
    check_array,
    check_records,
    content_digest,
    find_duplicates,
    write_excluded,
)

SHAPE = (6, 5)


@pytest.fixture
def good():
    return np.random.default_rng(0).normal(size=SHAPE)


def _with(array, value):
    changed = array.copy()
    changed[2, 3] = value
    return changed


def test_only_sound_records_are_kept_and_each_other_has_its_reason(tmp_path, good):
    arrays = {
        "good": good,
        "shape": good[:4],
        "nan": _with(good, np.nan),
        "infinite": _with(good, np.inf),
        "constant": np.full(SHAPE, 1.5),
        "label": good + 1,
        "text": np.full(SHAPE, "x"),
    }
    records = [{"id": name, "image": str(tmp_path / f"{name}.npy"), "label": 0, "source": "s"} for name in arrays]
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    records[-2]["label"] = 7
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    records += [
        {"id": "broken", "image": str(tmp_path / "broken.npy"), "label": 0},
        {"id": "gone", "image": str(tmp_path / "gone.npy"), "label": 0},
        {"id": "empty", "label": 0},
        {"id": "good", "image": str(tmp_path / "good.npy"), "label": 1},
    ]
    report = check_records(records, SHAPE, known_labels=[0, 1])
    assert report.kept == [records[0]]
    reasons = {(item.item, item.reason.split(",")[0]) for item in report.excluded}
    assert len(report.excluded) == len(records) - 1
    expected = {
        "shape": "shape 4 x 5, expected 6 x 5",
        "nan": "1 of 30 values that are NaN or infinite",
        "infinite": "1 of 30 values that are NaN or infinite",
        "constant": "constant (every value is 1.5)",
        "label": "unknown label 7, expected one of 0, 1",
        "text": "expected numbers",
        "broken": "cannot be read as .npy",
        "gone": "no such file",
        "empty": "no 'image' in the record",
        "good": "the id 'good' is taken",
    }
    found = {item.item: item.reason for item in report.excluded}
    assert found.keys() == expected.keys(), reasons
    for name, text in expected.items():
        assert text in found[name]


def test_records_without_label_pass_the_label_check(tmp_path, good):
    np.save(tmp_path / "a.npy", good)
    record = {"id": "a", "image": str(tmp_path / "a.npy"), "kind": "empty"}
    assert check_records([record], None, known_labels=[0]).kept == [record]


def test_free_shape():
    check_array(np.arange(3), None)
    with pytest.raises(DataError, match="0 values"):
        check_array(np.zeros((0, 3)))


def test_duplicates_are_reported_across_sections_and_groups_only(tmp_path, good):
    contents = {"a": good, "b": good, "c": good, "d": good + 1, "e": good + 2, "f": good + 2, "g": good.astype("f4")}
    for name, array in contents.items():
        np.save(tmp_path / f"{name}.npy", array)
    records = {name: {"id": name, "image": str(tmp_path / f"{name}.npy"), "donor": name} for name in contents}
    records["b"]["donor"] = "a"
    records["f"]["donor"] = "e"
    report = check_records(list(records.values()))
    sections = {"training": [records[name] for name in "abdefg"], "test": [records["c"]]}
    # e and f are equal, but of one donor and in one section
    assert find_duplicates(sections, report.digests, "donor") == [["test: c", "training: a", "training: b"]]
    in_one = {"training": [records["a"], records["d"], records["c"]]}
    assert find_duplicates(in_one, report.digests) == []
    assert find_duplicates(in_one, report.digests, "donor") == [["training: a", "training: c"]]


def test_excluded_are_written_even_if_none(tmp_path):
    path = tmp_path / "excluded.csv"
    write_excluded(path, [])
    assert list(pd.read_csv(path).columns) == ["source", "item", "reason", "what"]
    write_excluded(path, [Exclusion("a.phase", "00001", 'found "x", expected y', "frame")])
    assert pd.read_csv(path, dtype=str).to_dict("records") == [
        {"source": "a.phase", "item": "00001", "reason": 'found "x", expected y', "what": "frame"}
    ]


def test_digests_tell_values_shapes_and_types_apart(good):
    assert content_digest(good) == content_digest(np.asfortranarray(good.copy()))
    others = [good.reshape(-1), good.astype(np.float32), _with(good, 0.0), good.T]
    assert len({content_digest(array) for array in (good, *others)}) == 5
