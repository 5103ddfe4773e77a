"""A folder of slides with a table: what its columns say, and what is no such table."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.datalist import read_datalist
from shared.data.errors import DataError
from tests.bundles.camelyon_attmil.prepared_sources import (
    SECTIONS,
    changed_source,
    prepared_records,
)


def test_a_table_of_slides(preparation, scripts, table_source, tmp_path):
    summary = preparation()(table_source, tmp_path, progress=False)
    records = prepared_records(tmp_path)
    assert sorted(records) == [f"s{number}" for number in range(8)]
    assert {name for name, _ in records.values()} == set(SECTIONS)
    for _, record in records.values():
        bag = scripts("feature_layouts").read_features(record["features"])
        assert bag.features.shape == (record["tiles"], 4)
        assert bag.attributes.slide_id == record["id"]
        assert np.isnan(bag.tile_label).all() == (record["label"] == 1)
    content = read_datalist(tmp_path / "datalist.json")
    assert content["classes"] == ["normal", "tumour"]
    assert content["training"][0]["features"].startswith("features/")
    assert "published" not in content["training"][0]
    assert content["info"]["prepared_with"]["features"]["tile_size"] == 64
    assert "mean tiles" in str(summary)
    again = preparation()(table_source, tmp_path, progress=False)
    assert again.reused


def test_a_table_says_what_is_partly_annotated(preparation, scripts, table_source, tmp_path):
    said = ["1", "", "0", "yes", "no", "", "perhaps", ""]
    source = changed_source(table_source, tmp_path / "source", lambda table: table.assign(partly_annotated=said))
    slides, excluded = preparation("table").read(source)
    assert [slide.identity for slide in slides if slide.partly_annotated] == ["s0", "s3"]
    assert [item.item for item in excluded] == ["s6"]
    assert "partly_annotated 'perhaps', expected 1, 0 or nothing" in excluded[0].reason


def test_the_scale_of_a_row_counts_before_that_of_all(preparation, table_source, tmp_path):
    said = ["0.3", "0", "", "-1", "nan", "wide", "inf", " 0.4 "]
    source = changed_source(table_source, tmp_path / "source", lambda table: table.assign(mpp=said))
    slides, excluded = preparation("table", slide_mpp=0.25).read(source)
    assert {slide.identity: slide.mpp for slide in slides} == {"s0": 0.3, "s2": 0.25, "s7": 0.4}
    reasons = {item.item: item.reason for item in excluded}
    assert sorted(reasons) == ["s1", "s3", "s4", "s5", "s6"]
    assert reasons["s1"].startswith("mpp '0', expected µm per pixel as a number above 0")
    with pytest.raises(RuntimeError) as caught:
        preparation("table", slide_mpp=0)
    assert str(caught.value.__cause__) == "slide_mpp: found 0, expected a number above 0, or null"


def test_a_table_without_labels(preparation, table_source, tmp_path):
    source = changed_source(table_source, tmp_path / "source", lambda table: table.drop(columns="label"))
    with pytest.raises(DataError, match=r"no column 'label'.*--table#columns#label"):
        preparation()(source, tmp_path / "out", progress=False)


@pytest.mark.parametrize("content", [b"", "slide,label\nMüller.tif,normal\n".encode("latin-1")])
def test_a_table_that_is_none(preparation, tmp_path, content):
    (tmp_path / "slides.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"slides\.csv: cannot be read as a table .*; expected CSV in UTF-8"):
        preparation()(tmp_path, tmp_path / "out", progress=False)
    (tmp_path / "testing" / "images").mkdir(parents=True)
    (tmp_path / "testing" / "images" / "test_001.tif").touch()
    (tmp_path / "slides.csv").rename(tmp_path / "testing" / "reference.csv")
    with pytest.raises(DataError, match=r"reference\.csv: cannot be read as a table"):
        preparation()(tmp_path, tmp_path / "out", progress=False)
