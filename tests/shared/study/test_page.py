"""All three forms of a table say the same."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from shared.study.measures import Estimate
from shared.study.page import write_table
from shared.study.table import DASH, Picture, Row, Section, Table, html_cell, text_cell


@pytest.fixture
def table():
    rows = [
        Row({"model": "a <b>", "inputs": "x"}, {"AUC": Estimate(0.9, 0.8, 0.95, 12, 2, 0.01, published=0.96)}),
        Row({"model": "c", "inputs": ""}, {"verdict": "missed: 0.900"}),
    ]
    sections = [Section("first", "how", rows)]
    return Table("title", "beware", "read so", ["one fact"], sections, ["the rest"], repeats="seeds")


def test_csv_has_one_line_for_each_number(table, tmp_path):
    files = write_table(tmp_path, table)
    assert [file.name for file in files] == ["table.csv", "table.md", "table.html"]
    frame = pd.read_csv(tmp_path / "table.csv")
    assert frame["measure"].tolist() == ["AUC", "verdict"]
    number = frame.iloc[0]
    assert (number["section"], number["model"], number["inputs"]) == ("first", "a <b>", "x")
    expected = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 12, "repeats": 2, "repeat_sd": 0.01, "published": 0.96}
    assert {name: number[name] for name in expected} == expected
    assert np.isnan(number["null_high"])
    assert frame.iloc[1]["text"] == "missed: 0.900"


def test_markdown_and_page_name_what_was_left_out(table, tmp_path):
    write_table(tmp_path, table)
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| model | inputs | N | seeds | AUC | verdict |" in text
    assert f"| a <b> | x | 12 | 2 | 0.900 [0.800, 0.950], paper 0.960 | {DASH} |" in text
    assert f"| c | {DASH} | {DASH} | {DASH} | {DASH} | missed: 0.900 |" in text
    assert text.endswith("## Left out\n\n- the rest\n")
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert "a &lt;b&gt;" in page
    assert '<td class="missed">missed: 0.900</td>' in page
    assert "the rest" in page
    assert "<th>inputs</th><th>N</th><th>seeds</th><th>AUC</th>" in page


def test_pictures_are_part_of_the_page(table, tmp_path):
    (tmp_path / "maps.png").write_bytes(b"picture")
    write_table(tmp_path, replace(table, pictures=[Picture("maps.png", "what <it> shows")]))
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert f'src="data:image/png;base64,{b64encode(b"picture").decode()}" alt="what &lt;it&gt; shows"' in page
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "![what <it> shows](maps.png)\n\nwhat <it> shows\n\n## Left out" in text


def test_cells():
    assert text_cell(None) == DASH == "\u2013"
    assert text_cell(Estimate(-0.1234, -0.2, 0, 3)) == "-0.123 [-0.200, 0.000]"
    assert text_cell(Estimate(0.5, 0.25, 0.75, 10, chance=0.2)) == "0.500 [0.250, 0.750], chance 0.200"
    assert html_cell(Estimate(0.5, 0.25, 0.75, 10, null_high=0.1)) == {
        "value": "0.500",
        "interval": "0.250 to 0.750",
        "remark": "null ≤ 0.100",
        "kind": "number",
    }
    assert html_cell("met: 1")["kind"] == "met"
