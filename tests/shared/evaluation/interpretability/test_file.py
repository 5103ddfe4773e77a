"""The interpretability file: what is written is read again, and what is malformed is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.data.errors import DataError
from shared.data.files import read_json, write_json
from shared.evaluation.interpretability.file import not_measured, read_interpretability, row, write_interpretability
from shared.evaluation.interpretability.measures import ELEMENTS, MEASURES, measures_of

METHODS = {"lrp": {"title": "LRP", "control": False, "parameters": {}}}
REST = {"bundle": "b", "unit": "cell", "model": {"name": "LeNet5"}, "provenance": {"seed": 0}}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = [
        row("iou", {"value": 0.5, "ci95": [0.4, 0.6], "chance": 0.1, "n": 9, "curve": [1]}, "lrp", label="a"),
        row("iou", {"value": float("nan"), "reason": "no mask", "n": 0}, "lrp", size="small"),
        row("physical_correlation", {"value": 0.3, "ci95": [0.1, 0.5], "n": 40}, of="dry mass"),
        not_measured("reader_study", "no readers yet", "lrp"),
    ]
    path = write_interpretability(tmp_path / "interpretability.json", rows, METHODS, **REST)
    content = read_interpretability(path)
    assert [entry["value"] for entry in content["rows"]] == [0.5, None, 0.3, None]
    assert "curve" not in content["rows"][0]
    assert content["rows"][0]["chance"] == 0.1
    assert content["rows"][2]["of"] == "dry mass"
    assert content["rows"][3]["reason"] == "no readers yet"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing", {"value": 1.0}, "lrp"), "unknown measure 'nothing'"),
        (("iou", {"value": 1.0}), "needs a method"),
        (("coverage", {"value": 1.0}, "lrp"), "needs no method"),
        (("iou", {"value": None}, "lrp"), "say why"),
    ],
)
def test_a_row_that_says_nothing_is_refused(arguments: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        row(*arguments)


def test_rows_of_the_same_thing_and_of_unknown_methods_are_refused(tmp_path: Path) -> None:
    entry = row("iou", {"value": 0.5}, "lrp")
    with pytest.raises(ValueError, match="two rows"):
        write_interpretability(tmp_path / "a.json", [entry, entry], METHODS, **REST)
    with pytest.raises(ValueError, match="rise"):
        write_interpretability(tmp_path / "a.json", [row("iou", {"value": 0.5}, "rise")], METHODS, **REST)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measure": "other"}, r"rows\[0\]: measure: found 'other'"),
        ({"method": "rise"}, r"rows\[0\]: method 'rise'"),
        ({"value": None}, r"rows\[0\]: value is null without a reason"),
        ({"value": "high"}, r"rows\[0\]: value: found 'high'"),
        ({"ci95": [0.1]}, r"rows\[0\]: ci95: found \[0.1\]"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, change: dict, said: str) -> None:
    path = write_interpretability(tmp_path / "a.json", [row("iou", {"value": 0.5}, "lrp")], METHODS, **REST)
    content = read_json(path)
    content["rows"][0] |= change
    write_json(path, content)
    with pytest.raises(DataError, match=said):
        read_interpretability(path)


def test_what_was_resampled_is_kept_with_its_warning(tmp_path: Path) -> None:
    drawn = {"by": "sample", "n": 40, "warning": "the samples are of 3 donors"}
    path = write_interpretability(tmp_path / "a.json", [], METHODS, **REST, resampled=drawn)
    assert read_interpretability(path)["resampled"] == drawn
    assert "resampled" not in read_interpretability(write_interpretability(tmp_path / "b.json", [], METHODS, **REST))


@pytest.mark.parametrize("drawn", [None, "donor", {"by": "donor"}, {"by": "donor", "n": 3, "warning": 1}])
def test_a_malformed_resampled_is_named(tmp_path: Path, drawn: object) -> None:
    path = write_interpretability(tmp_path / "a.json", [], METHODS, **REST)
    write_json(path, read_json(path) | {"resampled": drawn})
    with pytest.raises(DataError, match="resampled: found"):
        read_interpretability(path)


def test_every_element_has_measures_of_its_own() -> None:
    assert len(ELEMENTS) == 5
    assert sum(len(measures_of(element)) for element in ELEMENTS) == len(MEASURES)
    assert all(measures_of(element) for element in ELEMENTS)
