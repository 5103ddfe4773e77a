from __future__ import annotations

from dataclasses import dataclass

import pytest

from shared.data.errors import DataError
from shared.data.files import write_json
from shared.study.settings import as_settings, read_mode


def test_a_mode_replaces_single_values_and_whole_lists(tmp_path):
    file = tmp_path / "study.json"
    write_json(file, {"default": {"a": {"x": 1, "y": [1, 2]}, "b": 2}, "quick": {"a": {"y": [3]}}})
    assert read_mode(file) == {"a": {"x": 1, "y": [1, 2]}, "b": 2}
    assert read_mode(file, "quick") == {"a": {"x": 1, "y": [3]}, "b": 2}
    with pytest.raises(DataError, match="no settings 'full'; found default, quick"):
        read_mode(file, "full")


def test_one_file_may_hold_the_modes_of_several_studies(tmp_path):
    file = tmp_path / "study.json"
    write_json(file, {"one": {"default": {"a": 1}}, "two": {"default": {"a": 2, "b": 3}, "quick": {"a": 4}}})
    assert read_mode(file, study="one") == {"a": 1}
    assert read_mode(file, "quick", "two") == {"a": 4, "b": 3}
    with pytest.raises(DataError, match="no study 'three'; found one, two"):
        read_mode(file, study="three")
    with pytest.raises(DataError, match="'one': no settings 'quick'; found default"):
        read_mode(file, "quick", "one")


@dataclass
class Two:
    a: int
    b: int


def test_settings_that_do_not_fit_are_named():
    assert as_settings(Two, {"a": 1, "b": 2}, "study.json") == Two(1, 2)
    with pytest.raises(DataError, match=r"study\.json: the settings do not fit: .*missing.*'b'"):
        as_settings(Two, {"a": 1}, "study.json")
    with pytest.raises(DataError, match="unexpected keyword argument 'c'"):
        as_settings(Two, {"a": 1, "b": 2, "c": 3}, "study.json")
