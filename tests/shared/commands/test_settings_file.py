"""Settings from a file: what says something of the wanted configs, and what is no setting of the bundle."""

from __future__ import annotations

import json

import pytest

from shared.commands.settings_file import read_settings, settings_of
from shared.data.errors import DataError


@pytest.fixture
def bundle(tmp_path):
    configs = tmp_path / "configs"
    configs.mkdir()
    contents = {
        "inference": {"width": 64, "network": {"depth": 3}},
        "export": {"opset": 17},
        "train": {"width": 64, "epochs": 9},
        "metadata": {"version": "1"},
    }
    for name, content in contents.items():
        (configs / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_settings_of_training_say_nothing_of_an_export(bundle):
    given = {"width": 16, "epochs": 2, "network#depth": 1}
    assert settings_of(given, bundle, ("inference", "export")) == {"width": 16, "network#depth": 1}
    assert settings_of({}, bundle, ("inference",)) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"widht": 16, "epochs": 2}, "widht: no config of the bundle has such a key"),
        ({"version": "2"}, "version: no config of the bundle has such a key"),
        ({"epochs": 2}, "epochs: no key of inference.json or export.json"),
    ],
)
def test_a_key_that_says_nothing_is_refused(bundle, given, said):
    with pytest.raises(DataError, match=said):
        settings_of(given, bundle, ("inference", "export"))


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match=r"list\.json: found list, expected a JSON object"):
        read_settings(tmp_path / "list.json")
    (tmp_path / "own.json").write_text('{"width": 16}')
    assert read_settings(tmp_path / "own.json") == {"width": 16}
