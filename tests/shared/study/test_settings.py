from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.data.files import write_json
from shared.study.settings import read_mode


def test_a_mode_replaces_single_values_and_whole_lists(tmp_path):
    file = tmp_path / "study.json"
    write_json(file, {"default": {"a": {"x": 1, "y": [1, 2]}, "b": 2}, "quick": {"a": {"y": [3]}}})
    assert read_mode(file) == {"a": {"x": 1, "y": [1, 2]}, "b": 2}
    assert read_mode(file, "quick") == {"a": {"x": 1, "y": [3]}, "b": 2}
    with pytest.raises(DataError, match="no settings 'full'; found default, quick"):
        read_mode(file, "full")
