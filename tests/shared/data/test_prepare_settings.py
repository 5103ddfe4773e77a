"""Recorded settings replace the file's, overrides replace both, and a shared value stays shared."""

from __future__ import annotations

import json

import pytest

from shared.data.datalist import write_datalist
from shared.data.errors import DataError
from shared.data.prepare_settings import PREPARED_WITH, read_prepare_settings, recorded_settings

CONFIG = {
    "size": 0.36,
    "limits": {"a": 1, "b": 2},
    "optics": {"_target_": "collections.Counter", "size": "@size", "wavelength": 528},
    "extraction": {"_target_": "collections.Counter", "optics": "@optics", "also": "@size", "limits": "@limits"},
}
RECORDED = {"extraction": {"optics": {"size": 0.2, "wavelength": 633, "not_in_the_file": 1}, "limits": {"c": 3}}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "prepare.json"
    path.write_text(json.dumps(CONFIG))
    return path


def test_recorded_values_land_where_the_file_takes_them_from(file):
    settings = read_prepare_settings(file, {}, RECORDED)
    extraction = settings.get_parsed_content("extraction")
    assert extraction["optics"] == {"size": 0.2, "wavelength": 633}
    assert extraction["also"] == 0.2
    assert extraction["limits"] == {"c": 3}, "a plain mapping is replaced as a whole"


def test_an_override_replaces_a_recorded_value_everywhere(file):
    extraction = read_prepare_settings(file, {"size": 0.1}, RECORDED).get_parsed_content("extraction")
    assert (extraction["optics"]["size"], extraction["also"], extraction["optics"]["wavelength"]) == (0.1, 0.1, 633)
    nested = read_prepare_settings(file, {"optics": {"wavelength": 500}}, RECORDED)
    assert nested.get_parsed_content("optics") == {"size": 0.2, "wavelength": 500}


def test_an_unknown_override_is_refused_and_an_unknown_record_left_alone(file):
    with pytest.raises(DataError, match=r"prepare_overrides: .*prepare\.json has no key 'sise'; did you mean 'size'"):
        read_prepare_settings(file, {"sise": 1})
    assert read_prepare_settings(file, {}, {"gone": 1}).get() == read_prepare_settings(file, {}).get()


def test_a_datalist_records_them_or_not(tmp_path):
    for info, expected in (({PREPARED_WITH: RECORDED}, RECORDED), ({}, None)):
        write_datalist(tmp_path / "datalist.json", {"test": []}, ["x"], info)
        assert recorded_settings(tmp_path / "datalist.json") == expected
