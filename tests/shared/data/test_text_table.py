"""Tables of users: cells as text, and one sentence where there is no table."""

from __future__ import annotations

import pytest

from shared.data.errors import DataError
from shared.data.text_table import read_text_table


def test_cells_are_stripped_text_and_empty_where_nothing_stands(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfid ; mpp;kind\r\n 007;0.50 ;NA\r\n\r\n8;\r\n")
    table = read_text_table(path, ";")
    assert list(table) == ["id", "mpp", "kind"]
    assert table.to_numpy().tolist() == [["007", "0.50", "NA"], ["8", "", ""]]
    path.write_text("a, 1\nb,2\n")
    assert read_text_table(path, header=False).to_numpy().tolist() == [["a", "1"], ["b", "2"]]
    path.write_text("a,b\n")
    assert read_text_table(path).empty


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "No columns to parse"),
        ("name\nMüller\n".encode("latin-1"), "'utf-8' codec can't decode"),
        (b"a,b\n1,2\n3,4,5\n", "Expected 2 fields in line 3, saw 3"),
        (None, "No such file"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(tmp_path, content, found):
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"^.*table\.csv: cannot be read as a table \(.*\); expected CSV in UTF-8"
    ) as no:
        read_text_table(path)
    assert found in str(no.value)
    assert "\n" not in str(no.value)
