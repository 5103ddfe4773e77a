"""Slides, annotations, labels and feature files that cannot be used, by the command that a user types."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.bundles.commands import REPOSITORY, last_line, options, read, run

pytestmark = pytest.mark.slow

SETTINGS = {
    "tile_size": 64,
    "readers": 0,
    "workers": 1,
    "network#block_inplanes": "[2, 2, 2, 4]",
    "fractions": '{"training": 0.5, "validation": 0.25, "test": 0.25}',
}
#: what of the reason a user must find, by the slide that has it
REASONS = {
    "cut_in_half": "cut_in_half.tif: damaged",
    "cut_at_its_head": "cut_at_its_head.tif: not a slide that OpenSlide",
    "no_mpp": "no_mpp.tif: does not say its µm per pixel; give its µm per pixel in the column 'mpp' of the table",
    "no_tissue": "no_tissue.tif: no tissue found",
    "no_polygon": "no_polygon.xml: no outline of tumour (0 outline(s) in all); draw it, or take the annotation out",
    "two_points": "annotation 'line' has 2 point(s), an area needs three",
    "not_xml": "not_xml.xml: not valid XML",
    "off_tissue": "no outline of tumour lies on any of the",
    "another_slide": "slide of 512 x 448 pixels; expected pixels of level 0 of the same slide",
    "odd_label": "label 'perhaps', expected one of 0, normal, 1, tumor, tumour or nothing",
}
ASAP = '<?xml version="1.0"?><ASAP_Annotations><Annotations>{}</Annotations></ASAP_Annotations>'
LINE = (
    '<Annotation Name="line" Type="Polygon" PartOfGroup="_0"><Coordinates><Coordinate Order="0" X="1" Y="1"/>'
    '<Coordinate Order="1" X="9" Y="9"/></Coordinates></Annotation>'
)

#: a triangle
AREA = (
    '<Annotation Name="area" Type="Polygon" PartOfGroup="_0"><Coordinates><Coordinate Order="0" X="{0}" Y="{1}"/>'
    '<Coordinate Order="1" X="{2}" Y="{1}"/><Coordinate Order="2" X="{0}" Y="{3}"/></Coordinates></Annotation>'
)


def prepare(source, output, **overrides):
    script = str(REPOSITORY / "scripts" / "prepare.py")
    where = {"source": source} if output is None else {"source": source, "output": output}
    return [script, "camelyon_attmil", *options({**where, **SETTINGS, **overrides})]


@pytest.fixture(scope="module")
def source(write_stained, tmp_path_factory):
    """Eight slides that can be used, one of each kind that cannot, and one without a label."""
    root = tmp_path_factory.mktemp("source")
    rows = []

    def add(name, label, annotation="", **how):
        how = {"rectangle": (64, 64, 448, 384), **how}
        write_stained(root / f"{name}.tif", (512, 448), seed=len(rows), **how)
        rows.append({"slide": f"{name}.tif", "label": label, "annotation": annotation})

    for number in range(8):
        add(f"good_{number}", ["normal", "tumor"][number % 2])
    for name, size in (("cut_in_half", 0.5), ("cut_at_its_head", 0.01)):
        add(name, "tumor")
        whole = (root / f"{name}.tif").read_bytes()
        (root / f"{name}.tif").write_bytes(whole[: int(size * len(whole))])
    add("no_mpp", "tumor", mpp=None)
    add("no_tissue", "tumor", rectangle=(0, 0, 0, 0))
    annotations = {
        "no_polygon": ASAP.format(""),
        "two_points": ASAP.format(LINE),
        "not_xml": "<ASAP",
        "off_tissue": ASAP.format(AREA.format(460, 400, 500, 440)),
        "another_slide": ASAP.format(AREA.format(100, 100, 9000, 9000)),
    }
    for name, content in annotations.items():
        add(name, "tumor", f"{name}.xml")
        (root / f"{name}.xml").write_text(content)
    add("odd_label", "perhaps")
    add("no_label", "")
    pd.DataFrame(rows).to_csv(root / "slides.csv", index=False)
    return root


@pytest.fixture(scope="module")
def prepared(source, tmp_path_factory):
    """The output of the command, and what it printed."""
    output = tmp_path_factory.mktemp("prepared")
    return output, run(prepare(source, output), output).stdout


@pytest.mark.parametrize("name", REASONS)
def test_what_cannot_be_used_is_listed_with_its_reason(prepared, name):
    excluded = pd.read_csv(prepared[0] / "excluded.csv", dtype=str).set_index("item")["reason"]
    assert sorted(excluded.index) == sorted(REASONS)
    assert REASONS[name] in excluded[name]


def test_the_others_are_prepared_and_a_slide_without_label_is_kept_apart(prepared):
    output, said = prepared
    content = read(output, "datalist.json")
    names = {section: [record["id"] for record in content[section]] for section in ("training", "validation", "test")}
    assert sorted(name for section in names.values() for name in section) == [f"good_{number}" for number in range(8)]
    assert [record["id"] for record in content["unlabelled"]] == ["no_label"]
    assert f"left out: {len(REASONS)} slides" in said


def test_a_look_beforehand_finds_the_same(source, tmp_path):
    said = run([*prepare(source, None), "--preflight"], tmp_path).stdout
    for name, reason in REASONS.items():
        # what is damaged further inside than its first tiles are read is found, too
        assert reason in said or (name == "cut_in_half" and "cannot be decoded" in said), name
    assert f"9 of {len(REASONS) + 9} slides can be used" in said


def test_nothing_that_can_be_used(source, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    names = [f"no_mpp_{number}.tif" for number in range(8)]
    for name in names:
        shutil.copy(source / "no_mpp.tif", folder / name)
    rows = [f"{name},{['normal', 'tumor'][number % 2]}" for number, name in enumerate(names)]
    (folder / "slides.csv").write_text("\n".join(["slide,label", *rows]))
    line = last_line(prepare(folder, tmp_path / "out"), tmp_path)
    assert "no usable labelled slide (0 without label)" in line
    assert "does not say its µm per pixel" in line
    assert "--slide_mpp 0.25" in line
    (folder / "slides.csv").write_text("slide,label\nno_mpp_0.tif,\n")
    line = last_line(prepare(folder, tmp_path / "empty", slide_mpp=0.5), tmp_path)
    assert "no usable labelled slide (1 without label)" in line


def test_feature_files_with_nan_or_of_another_encoder(source, prepared, tmp_path):
    """Of features that are there already, NaN are left out; two encoders in one data set are refused."""
    features = tmp_path / "features"
    shutil.copytree(prepared[0] / "features", features)
    with h5py.File(features / "good_2.h5", "a") as file:
        file["features"][3, 1] = np.nan
    run(prepare(source, tmp_path / "out", features=features), tmp_path)
    reasons = pd.read_csv(tmp_path / "out" / "excluded.csv", dtype=str).set_index("item")["reason"]
    assert "good_2.h5: the features of 1 of" in reasons["good_2"]
    assert "no_tissue.h5: no such feature file" in reasons["no_tissue"]
    with h5py.File(features / "good_5.h5", "a") as file:
        file.attrs["encoder"] = "another one"
    line = last_line(prepare(source, tmp_path / "mixed", features=features), tmp_path)
    assert "good_5.h5" in line
    assert "another one" in line
