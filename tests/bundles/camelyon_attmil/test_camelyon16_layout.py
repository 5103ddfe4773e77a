"""CAMELYON16's layout: its parts, labels and outlines, and what it says of its own slides."""

from __future__ import annotations

import numpy as np
import pytest

from shared.data.errors import DataError
from tests.bundles.camelyon_attmil.prepared_sources import (
    prepared_records,
    reasons_left_out,
)


def test_camelyon16(preparation, scripts, tmp_path):
    parameters = {
        "lesions": {"micro": {"mean": 240, "std": 10, "low": 220, "high": 260}},
        "artefacts": {"pale_slide": 0.0},
    }
    scripts("phantom").write_slides(
        tmp_path / "source", slides={"normal": 3, "tumor": 3, "test": 3}, kinds=["micro"], size=(640, 576), mpp=1.0,
        parameters=parameters, progress=False,
    )  # fmt: skip
    (tmp_path / "source" / "training" / "lesion_annotations" / "tumor_002.xml").unlink()
    preparation(mpp=1.0)(tmp_path / "source", tmp_path / "out", progress=False)
    records = prepared_records(tmp_path / "out")
    assert {name for name, (section, _) in records.items() if section == "test"} == {"test_001", "test_002", "test_003"}
    assert {section for name, (section, _) in records.items() if name[:4] != "test"} == {"training", "validation"}
    for name in ("tumor_001", "tumor_002", "normal_001"):
        record = records[name][1]
        labels = scripts("feature_layouts").read_features(record["features"]).tile_label
        assert record["label"] == int(name.startswith("tumor"))
        assert ("annotation" in record) == (name == "tumor_001")
        assert np.isnan(labels).all() == (name == "tumor_002")
        assert (np.nansum(labels) > 0.5) == (name == "tumor_001")


def test_what_camelyon16_says_of_its_own_slides(preparation, scripts, write_stained, tmp_path):
    """The label of a partly outlined slide counts, its tiles outside of the outlines are not known; others are out."""
    annotations = scripts("annotations")
    square = np.array([[64, 64], [192, 64], [192, 192], [64, 192]], dtype=float)
    outline = annotations.Annotation((annotations.Outline("_0", "_0", square),))
    training = [f"normal/normal_{number:03d}" for number in (1, 2, 85, 86)]
    training += [f"tumor/{name}" for name in ("tumor_009", "tumor_010", "Tumor_018", "tumor_037", "tumor_110")]
    tests = {"test_001": "Normal", "test_049": "Normal", "test_114": "Tumor"}
    for place in [f"training/{name}" for name in training] + [f"testing/images/{name}" for name in tests]:
        write_stained(tmp_path / f"{place}.tif", (512, 448), (64, 64, 448, 384))
        folder, _, name = place.rpartition("/")
        if name[0].lower() == "t":
            annotations.write_asap(tmp_path / folder.split("/")[0] / "lesion_annotations" / f"{name}.xml", outline)
    reference = "".join(f"{name},{label}\n" for name, label in tests.items() if name != "test_049")
    (tmp_path / "testing" / "reference.csv").write_text(reference)
    preparation()(tmp_path, tmp_path / "out", progress=False)
    records = {name: record for name, (_, record) in prepared_records(tmp_path / "out").items()}
    partly = {"tumor_010", "Tumor_018", "tumor_110", "test_114"}
    assert set(records) == {"normal_001", "normal_002", "normal_085", "tumor_009", "tumor_037", "test_001", *partly}
    assert {name for name, record in records.items() if record.get("partly_annotated")} == partly
    for name, record in records.items():
        assert record["label"] == int(name[:2].lower() == "tu" or name == "test_114")
        labels = scripts("feature_layouts").read_features(record["features"]).tile_label
        assert np.nansum(labels) == (4 if record["label"] else 0)
        assert np.isnan(labels).any() == (name in partly)
    reasons = reasons_left_out(tmp_path / "out")
    assert "published again as tumor_111" in reasons["normal_086"]
    assert "repeats another slide" in reasons["test_049"]
    # phantoms have the same names, and all of their tumour is outlined
    (tmp_path / "phantom.csv").write_text("slide,kind\n")
    slides, _ = scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)
    assert not any(slide.partly_annotated for slide in slides)
    assert "normal_086" in {slide.identity for slide in slides}


def test_camelyon16_without_reference_or_row(preparation, scripts, write_stained, tmp_path):
    for name in ("testing/images/test_001", "testing/images/test_002", "training/normal/normal_001"):
        write_stained(tmp_path / f"{name}.tif", (512, 448), (64, 64, 448, 384))
    with pytest.raises(DataError, match=r"reference\.csv: no such file"):
        preparation()(tmp_path, tmp_path / "out", progress=False)
    (tmp_path / "testing" / "reference.csv").write_text("image,class,type,metastasis\ntest_001,Tumor,IDC,Micro\n")
    # cut off while it was written
    (tmp_path / "training" / "normal" / ".normal_009-x7.tif").write_bytes(b"II*")
    slides, excluded = scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)
    found = [(slide.identity, slide.label, slide.kind) for slide in slides]
    assert found == [("normal_001", 0, None), ("test_001", 1, "micro")]
    assert [item.item for item in excluded] == ["test_002"]
    (tmp_path / "testing" / "reference.csv").write_text("test_001,Tumor\ntest_002,benign\n")
    with pytest.raises(DataError, match="row 2 has the class 'benign'"):
        scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)


def test_camelyon16_s_slides_of_one_name_are_left_out(scripts, tmp_path):
    for name in ("normal/normal_001.tif", "normal/normal_001.svs", "tumor/tumor_001.tif"):
        (tmp_path / "training" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "training" / name).touch()
    slides, excluded = scripts("camelyon16_layout").Camelyon16Layout().read(tmp_path)
    assert [slide.identity for slide in slides] == ["tumor_001"]
    names = [f"training/normal/normal_001.{suffix}" for suffix in ("svs", "tif")]
    assert [item.source for item in excluded] == names
    assert all(" and ".join(names) in item.reason for item in excluded)
