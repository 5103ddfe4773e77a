"""What a hash of code tells apart."""

from __future__ import annotations

import sys

import pytest

from shared.data.errors import DataError
from shared.study.code_hash import code_sha256, source_sha256

CODE = '"""Draws."""\n\nSIZE = 3\n\n\ndef draw(x):\n    """Return it."""\n    return SIZE * x\n'


def test_only_what_is_done_counts(tmp_path, monkeypatch):
    same = 'SIZE = 3  # cells\ndef draw(x):\n    """Return the drawing,\n    larger."""\n    return (SIZE * x)\n'
    assert source_sha256(CODE) == source_sha256(same)
    for old, new in (("SIZE = 3", "SIZE = 4"), ("SIZE * x", "SIZE + x"), ("draw(x)", "draw(x, y=0)")):
        assert source_sha256(CODE) != source_sha256(CODE.replace(old, new))

    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for name, text in (("first_of_two", CODE), ("second_of_two", CODE)):
        (tmp_path / f"{name}.py").write_text(text)
        hashes.append(code_sha256([name]))
    assert hashes[0] != hashes[1]
    both = code_sha256(["second_of_two", "first_of_two"])
    assert both == code_sha256(["first_of_two", "second_of_two"])
    (tmp_path / "second_of_two.py").write_text(CODE.replace("3", "5"))
    assert code_sha256(["first_of_two", "second_of_two"]) != both
    assert "first_of_two" not in sys.modules  # nothing is run


@pytest.mark.parametrize("name", ["no_such_module_here", "sys"])
def test_a_module_without_source_is_named(name):
    with pytest.raises(DataError, match=f"{name}: no source file"):
        code_sha256([name])
