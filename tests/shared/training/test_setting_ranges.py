"""Settings that are numbers are looked at before a command does anything; what the bundles say themselves passes."""

from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from shared.data.errors import DataError
from shared.training.setting_ranges import RANGES, check_ranges
from shared.training.settings_check import check_settings


@pytest.fixture(scope="module")
def configs(repository):
    """All configs of all bundles that are settings of a command."""
    files = sorted((repository / "bundles").glob("*/configs/*.json"))
    assert len(files) > 40
    return {file: ConfigParser(ConfigParser.load_config_file(str(file))) for file in files}


def test_what_the_bundles_say_passes_and_every_rule_is_of_a_setting_of_theirs(configs):
    for parser in configs.values():
        check_ranges(parser)
    assert [name for name in RANGES if not any(name in parser for parser in configs.values())] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("max_epochs", 0),
        ("max_epochs", 2.5),
        ("batch_size", 0),
        ("tiles_per_step", 0),
        ("target_sensitivity", 1.5),
        ("seconds_per_slide", -5),
        ("seconds_per_slide", "abc"),
        ("bootstrap_resamples", 0),
        ("checked_samples", -1),
        ("region_threshold", 7),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_its_name(name, value):
    with pytest.raises(DataError, match=f"^{name}: found {value!r}, expected a "):
        check_settings(ConfigParser({name: value}))


def test_what_is_computed_or_not_given_is_left_alone():
    made = []
    parser = ConfigParser({"seed": 0, "max_epochs": "$made.append(1)", "batch_size": "@seed", "tiles_per_step": None})
    parser.globals["made"] = made
    check_ranges(parser)
    assert made == []
