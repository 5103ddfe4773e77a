"""Items of requests: what they may be called, and that what they name is there."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.serving.items import Item, key_of


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "..", "$x", "@x", "a b", "x" * 121, "ä"])
def test_a_key_is_a_plain_name(tmp_path, key):
    with pytest.raises(DataError, match="letters, digits"):
        Item(key, tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cell\.npy: no such file"):
        Item("a", tmp_path / "cell.npy")


@pytest.mark.parametrize(
    "content",
    [{}, {"key": "a"}, {"key": "a", "source": 3}, {"key": None, "source": "/"}, {"key": "a", "source": "/", "run": 1}],
)
def test_what_is_no_item_is_refused(content):
    with pytest.raises(DataError, match="item: "):
        Item.of_json(content)


def test_an_item_of_a_request(tmp_path):
    item = Item.of_json({"key": "a", "source": str(tmp_path), "attributes": {"age": 3}, "label": "b"})
    assert (item.key, item.source, item.attributes, item.label) == ("a", tmp_path, {"age": 3}, "b")


@pytest.mark.parametrize("record_id", ["a-1.npy", "a-1.nii.gz", "a-1", "folder/a-1.png"])
def test_a_record_is_found_again_by_its_key(record_id):
    assert key_of(record_id) == "a-1"
