from __future__ import annotations

import logging

import pandas as pd
import pytest

from shared.data.errors import DataError
from shared.data.integrity import Exclusion
from shared.data.left_out import LeftOut, Nouns, check_usable, left_out, main_reasons, tell_left_out

LOGGER = logging.getLogger("inference_records")
PATIENTS = Nouns("patient", "patients", "image", "images")


def test_a_name_that_is_a_number_or_a_word_of_the_reason_does_not_split_a_group():
    reason = "has integers; say what 0 and 255 stand for in a crop"
    found = left_out(Exclusion(f"{name}.png", "crop", f"{name}.png {reason}") for name in ("0", "1", "a", "255"))
    assert found == [LeftOut({"frame or cell": 4}, f"0.png, crop: 0.png {reason}")]


def test_frames_and_cells_left_out_for_one_reason_are_counted_apart():
    kinds = ["cell", "frame", "cell", "", ""]
    items = ["1", "2", "3", "recording", "5"]
    found = left_out(Exclusion("x", item, "NaN", what) for item, what in zip(items, kinds, strict=True))
    assert str(found[0]) == "1 recording, 1 frame or cell, 2 cells and 1 frame, e.g. x, 1: NaN"
    assert found[0].total == 5


def test_what_was_left_out_is_told_with_its_number_and_its_file(caplog):
    excluded = [Exclusion("a.phase", "recording", "cut short"), Exclusion("b.phase", "3", "frame 3 is NaN", "frame")]
    with caplog.at_level(logging.WARNING):
        tell_left_out(logging.getLogger("inference_records"), excluded, "out/excluded.csv")
    (record,) = caplog.records
    assert "1 recording" in record.message
    assert "1 frame" in record.message
    assert "out/excluded.csv" in record.message
    assert "cut short" in record.message
    caplog.clear()
    tell_left_out(logging.getLogger("inference_records"), [], "out/excluded.csv")
    assert not caplog.records


def test_the_main_reasons_are_the_three_most_frequent():
    counts = {"is dark": 3, "is cut short": 4, "is blurred": 1, "is empty": 2}
    excluded = [Exclusion("a.csv", f"x{n}", reason) for reason, count in counts.items() for n in range(count)]
    text = main_reasons(excluded, PATIENTS)
    assert [part.split(": ")[-1] for part in text.split("; ")] == ["is cut short", "is dark", "is empty"]
    assert text.startswith("4 images, e.g. a.csv, x0: is cut short")
    assert main_reasons([]) == "none"


class TestCheckUsable:
    EXCLUDED = (Exclusion("a.csv", "x1", "is dark", "image"),)

    def test_what_was_left_out_is_written_and_told_and_the_rest_goes_on(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            check_usable("ward", [{"id": "y"}], self.EXCLUDED, tmp_path, LOGGER, PATIENTS, what="image")
        assert pd.read_csv(tmp_path / "excluded.csv")["reason"].tolist() == ["is dark"]
        assert "1 image" in caplog.text

    def test_nothing_left_is_an_error_with_the_reasons(self, tmp_path):
        with pytest.raises(DataError, match=r"ward: no image to infer on; 1 item\(s\) left out.* dark; expected PNG"):
            check_usable("ward", [], self.EXCLUDED, tmp_path, LOGGER, PATIENTS, what="image", expected="PNG")
        assert (tmp_path / "excluded.csv").is_file(), "the list is there when it is needed most"

    def test_without_a_folder_nothing_is_written(self, tmp_path, monkeypatch, caplog):
        monkeypatch.chdir(tmp_path)
        check_usable("ward", [{"id": "y"}], self.EXCLUDED, None, LOGGER, PATIENTS, what="image")
        assert not list(tmp_path.iterdir())
        assert not caplog.records
