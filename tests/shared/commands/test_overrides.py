"""Settings as a command line gives them."""

from __future__ import annotations

import pytest

from shared.commands.overrides import parse_overrides
from shared.data.errors import DataError


def test_values_are_json_where_they_are():
    given = ["--a#b", "1e-3", "--c=[1, null]", "--d", "a=b", "--e=", "--f=x=y", "--g", "true", "--h", "-1"]
    expected = {"a#b": 1e-3, "c": [1, None], "d": "a=b", "e": "", "f": "x=y", "g": True, "h": -1}
    assert parse_overrides(given) == expected


def test_what_a_command_of_the_bundle_takes_is_taken():
    given = ["--standardise", "True", "--formats", "['geojson']", "--weights", "None", "--place", "/data/x.pt"]
    assert parse_overrides(given) == {
        "standardise": True,
        "formats": ["geojson"],
        "weights": None,
        "place": "/data/x.pt",
    }


@pytest.mark.parametrize(("given", "found"), [(["stray"], "'stray'"), (["--seed", "1", "--rate"], "'--rate'")])
def test_what_is_no_key_with_a_value_is_named(given, found):
    with pytest.raises(DataError, match=f"expected --key value, found {found}"):
        parse_overrides(given)
