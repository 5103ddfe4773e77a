from dataclasses import dataclass

import pytest

from shared.data.errors import DataError
from shared.data.layouts import recognise


@dataclass(frozen=True)
class Table:
    """A folder with a table of some name."""

    table: str

    def describe(self):
        return f"{self.table} with images"

    def fits(self, source):
        return (source / self.table).is_file()

    def files(self, source):
        return [source / self.table]


LAYOUTS = {"first": Table("a.csv"), "second": Table("b.csv")}


def test_the_layout_that_fits_is_named(tmp_path):
    (tmp_path / "b.csv").touch()
    assert recognise(tmp_path, LAYOUTS) == ("second", LAYOUTS["second"])


def test_several_layouts_are_refused(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"has several layouts \(a\.csv with images and b\.csv with images\); keep"):
        recognise(tmp_path, LAYOUTS)


def test_anything_else_says_what_was_found_and_what_is_expected(tmp_path):
    expected = r"expected .*a\.csv with images; or b\.csv with images"
    with pytest.raises(DataError, match=rf"nothing to prepare; found an empty folder, {expected}"):
        recognise(tmp_path, LAYOUTS)
    (tmp_path / "c.csv").touch()
    with pytest.raises(DataError, match=rf"nothing to prepare; found c\.csv, {expected}"):
        recognise(tmp_path, LAYOUTS)
    with pytest.raises(DataError, match=rf"c\.csv: is a file; {expected}"):
        recognise(tmp_path / "c.csv", LAYOUTS)
    with pytest.raises(DataError, match=rf"nowhere: no such folder; {expected}"):
        recognise(tmp_path / "nowhere", LAYOUTS)
