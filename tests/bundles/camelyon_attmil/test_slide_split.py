"""Which slides are in which section, and what is told of a split that is not possible."""

from __future__ import annotations

import re
import shlex

import pandas as pd
import pytest

from shared.commands.overrides import parse_overrides
from shared.data.datalist import read_datalist
from shared.data.errors import DataError
from tests.bundles.camelyon_attmil.prepared_sources import (
    HALVES,
    SECTIONS,
    changed_source,
    prepared_records,
)


def test_slides_that_cannot_be_split_are_told_before_any_is_encoded(preparation, table_source, tmp_path):
    """The fractions that the refusal tells are had by typing them."""
    sixty = {"training": 0.6, "validation": 0.2, "test": 0.2}
    source = changed_source(
        table_source,
        tmp_path / "source",
        lambda table: pd.concat([table, pd.DataFrame([{"slide": "slides/none.tif", "label": "tumor"}])]),
    )
    output = tmp_path / "out"
    with pytest.raises(DataError, match="found patients: 4 with normal, 4 with tumour") as refusal:
        preparation(fractions=sixty)(source, output, progress=False)
    assert "1 slide(s) cannot be used: 1 slide, e.g. slides/none.tif, none: no such file" in str(refusal.value)
    assert not output.exists()
    told = re.search(r"--fractions '(\{.*?\})'", str(refusal.value))[0]
    assert told == """--fractions '{"training": 0.5, "validation": 0.25, "test": 0.25}'"""
    report = preparation("preflight", fractions=sixty)(source, progress=False)
    assert "split: not possible: found patients: 4 with normal, 4 with tumour" in str(report)
    assert told in str(report)
    given = parse_overrides(shlex.split(told))
    assert "\nsplit: training 4, validation 2, test 2" in str(preparation("preflight", **given)(source, progress=False))
    # one that turns out to be unusable only when it is read
    file = source / "slides" / "s0.tif"
    file.unlink()
    file.write_text("not an image")
    four = dict.fromkeys((*SECTIONS, "calibration"), 0.25)
    with pytest.raises(
        DataError, match=r"class normal occurs in 3 patient\(s\) only.*; 2 slide\(s\) were left out, see "
    ):
        preparation(fractions=four)(source, output, progress=False)
    assert len(pd.read_csv(output / "excluded.csv")) == 2
    # what was prepared before stays where it is
    preparation(fractions=HALVES)(table_source, tmp_path / "kept", progress=False)
    with pytest.raises(DataError, match="4 with normal"):
        preparation(fractions=sixty)(table_source, tmp_path / "kept", overwrite=True, progress=False)
    assert len(prepared_records(tmp_path / "kept")) == 8


def test_the_fractions_that_are_told_name_the_published_section_and_the_calibration_share(scripts):
    split = scripts("slide_split").SlideSplit
    test = [{"id": "t", "patient": "t", "label": 1, "published": "test"}]
    slides = [*test, *({"id": f"{n}", "patient": f"{n}", "label": n % 2, "published": None} for n in range(6))]
    fractions = {"training": 0.72, "validation": 0.08, "test": 0.2}
    with pytest.raises(DataError, match="none of 4096 seeded shuffles") as refusal:
        split(["normal", "tumour"], fractions)(slides)
    told = parse_overrides(shlex.split(re.search(r"--fractions '.*?'", str(refusal.value))[0]))["fractions"]
    assert told == {"training": 0.4, "validation": 0.4, "test": 0.2}
    found = split(["normal", "tumour"], told)(slides)
    assert [record["id"] for record in found["test"]] == ["t"]
    assert all({record["label"] for record in found[name]} == {0, 1} for name in ("training", "validation"))
    with pytest.raises(DataError, match=r"'\{.*\}' --calibration_share 0 makes it possible"):
        split(["normal", "tumour"], {"training": 0.9, "calibration": 0.1})(slides[1:])


def test_slides_of_one_patient_stay_together(preparation, table_source, tmp_path):
    source = changed_source(
        table_source, tmp_path / "source", lambda table: table.assign(patient=[f"p{n // 2}" for n in range(8)])
    )
    preparation()(source, tmp_path / "out", progress=False)
    sections = {}
    for section, record in prepared_records(tmp_path / "out").values():
        sections.setdefault(record["patient"], set()).add(section)
    assert all(len(of_patient) == 1 for of_patient in sections.values())


def test_slides_for_testing_alone_need_no_training_slides(preparation, table_source, tmp_path):
    """A data set of another site, on which a network is measured."""
    source = tmp_path / "source"
    source.mkdir()
    table = pd.read_csv(table_source / "slides.csv").assign(part="test")
    table["slide"] = [str(table_source / name) for name in table["slide"]]
    table[["slide", "label", "part"]].head(2).to_csv(source / "slides.csv", index=False)
    preparation()(source, tmp_path / "out", progress=False)
    content = read_datalist(tmp_path / "out" / "datalist.json")
    assert {name: len(content[name]) for name in HALVES} == {name: 2 * (name == "test") for name in HALVES}
