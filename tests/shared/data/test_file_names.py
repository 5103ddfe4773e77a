"""File names of hostile ids."""

from __future__ import annotations

import re

import pytest

from shared.data.file_names import safe_name

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/abs",
    "a/b",
    "a_b",
    "a\\b",
    "a:b",
    "a\0b",
    "A/B",
    "con",
    "NUL.txt",
    "é" * 300,
]
HOSTILE += [
    "-rf",
    "~",
    ".hidden",
    "a\nb",
    "a b",
    "a  b",
    "x" * 79 + "1" * 20,
    "x" * 79 + "1" * 21,
    "\udce9",
    "trailing.",
]


@pytest.mark.parametrize("sample_id", HOSTILE)
def test_is_a_plain_file_name(sample_id, tmp_path):
    name = safe_name(sample_id)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,96}", name)
    (tmp_path / f"{name}.png").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]


def test_no_two_ids_share_a_name():
    names = [safe_name(name).lower() for name in HOSTILE]
    # an id that looks like the file name of another
    names += [safe_name(safe_name("a/b")).lower()]
    assert len(set(names)) == len(HOSTILE) + 1


def test_stays_readable_and_stable():
    assert safe_name("D01_Mon_001/00003/02").startswith("D01_Mon_001_00003_02-")
    assert safe_name("x") == safe_name("x")
