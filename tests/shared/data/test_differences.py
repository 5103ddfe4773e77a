from __future__ import annotations

from shared.data.differences import tell_differences


def test_settings_that_differ_are_named_by_their_place_and_no_others():
    before = {"a": {"b": {"c": 1, "same": 7}}, "list": [1, 2], "text": "x"}
    now = {"a": {"b": {"c": 2, "same": 7}}, "list": [1, 3], "text": None}
    assert tell_differences(before, now) == "a.b.c 1 → 2, list [1, 2] → [1, 3], text 'x' → none"
    assert tell_differences(before, before) == ""


def test_a_group_of_settings_on_one_side_is_not_written_out():
    """As of two layouts, of which only one is that of the source."""
    before = {"camelyon16": {f"setting{n}": "long" * 50 for n in range(9)}, "source": "slides"}
    now = {"table": {"columns": {}, "labels": {"0": 0}}, "source": "../mine"}
    found = tell_differences(before, now)
    assert found == "camelyon16 (9 settings) → none, source 'slides' → '../mine', table none → (2 settings)"


def test_five_are_named_and_the_others_counted():
    before, now = ({f"k{n}": value for n in range(8)} for value in (0, 1))
    assert tell_differences(before, now) == "k0 0 → 1, k1 0 → 1, k2 0 → 1, k3 0 → 1, k4 0 → 1 and 3 more"
    five = dict.fromkeys(list(before)[:5], 1)
    assert tell_differences({}, five).endswith("k4 none → 1")


def test_of_long_values_only_what_differs_is_told():
    name = "network(" + ", ".join(f"argument{n}={n}" for n in range(30)) + "), weights "
    found = tell_differences({"encoder": name + "5cbac1f7"}, {"encoder": name + "fccd6d6b"})
    assert found == "encoder …29=29), weights 5cbac1f7' → …29=29), weights fccd6d6b'"
    assert tell_differences({"hash": "ab" * 32}, {"hash": None}) == f"hash '{'ab' * 23}a… → none"
