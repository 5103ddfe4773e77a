"""From a folder of DICOM files to a datalist, with labels and without."""

from __future__ import annotations

import pandas as pd
import pytest

from shared.data.datalist import load_section
from shared.data.errors import DataError
from tests.bundles.chexpert_informer.conftest import FINDINGS, labels_of
from tests.bundles.chexpert_informer.prepared_chests import excluded, prepare, reasons_of, records_of


def write_dicom_folder(write_dicom, folder, number=24):
    rows = []
    for index in range(number):
        bits, photometric = (8, 10, 12, 16)[index % 4], f"MONOCHROME{1 + index % 2}"
        place = f"study{index // 3}/IM{index:04d}" + ("" if index % 3 else ".dcm")
        write_dicom(folder / place, index, bits, patient=f"P{index // 2}", photometric=photometric)
        rows.append({"image": place, **dict(zip(FINDINGS, labels_of(31 - index), strict=True))})
    return pd.DataFrame(rows).astype(object)


def test_a_folder_of_dicom_with_labels(preparation, write_dicom, tmp_path):
    source = tmp_path / "source"
    table = write_dicom_folder(write_dicom, source)
    table.loc[1, "image"] = "IM0001"  # a file's name will do, if there is one of it
    table.loc[2, "image"] = __import__("pydicom").dcmread(source / "study0" / "IM0002").SOPInstanceUID
    table = table.drop(index=[22, 23])  # two are unlabelled
    table.to_csv(source / "labels.csv", index=False)
    prepare(preparation(), source, tmp_path / "data")
    records = records_of(tmp_path / "data")
    assert len(records) == 22
    for name, record in records.items():
        index = int(name[-4:])
        assert record["patient"] == f"P{index // 2}"
        assert record["label"] == labels_of(31 - index)
        assert (record["age"], record["sex"], record["view"]) == (61, "F", "PA")
    unlabelled = load_section(tmp_path / "data" / "datalist.json", "unlabelled")
    assert [record["id"] for record in unlabelled] == ["study7/IM0022", "study7/IM0023"]
    assert all("label" not in record for record in unlabelled)
    assert not excluded(tmp_path / "data").size


def test_a_folder_of_dicom_without_labels(preparation, bundle_scripts, write_dicom, tmp_path):
    write_dicom_folder(write_dicom, tmp_path / "source", 4)
    with pytest.raises(DataError, match="no usable labelled image \\(4 without labels\\)"):
        prepare(preparation(), tmp_path / "source", tmp_path / "data")
    used = preparation()
    module = bundle_scripts("chexpert_informer")("prepare")
    records, excluded = module.image_records(
        used.layouts["dicom"], used.selection, used.check, tmp_path / "source", progress=False
    )
    assert len(records) == 4
    assert not excluded


def test_every_bad_dicom_is_named_and_the_rest_goes_on(preparation, write_dicom, tmp_path):
    source, output = tmp_path / "source", tmp_path / "data"
    table = write_dicom_folder(write_dicom, source)
    for name, elements in {
        "no_patient": {"PatientID": None},
        "no_view": {"ViewPosition": None},
        "lateral": {"ViewPosition": "LL"},
        "no_pixels": {"PixelData": None},
        "colour": {"PhotometricInterpretation": "PALETTE COLOR"},
    }.items():
        write_dicom(source / f"{name}.dcm", 700, **{"patient": name, **elements})
        table.loc[len(table)] = [f"{name}.dcm", 1, 0, 0, 0, 0]
    (source / "broken.dcm").write_bytes(b"x" * 300)
    table.loc[3, "edema"] = 7
    table.loc[len(table)] = ["lost.dcm", 1, 0, 0, 0, 0]
    table.loc[len(table)] = [table.loc[5, "image"], 0, 0, 0, 0, 0]
    table.to_csv(source / "labels.csv", index=False)
    prepare(preparation(), source, output)
    reasons = reasons_of(output)
    assert "no PatientID and no patient in labels.csv" in reasons["no_patient.dcm"]
    assert "does not say whether it is frontal" in reasons["no_view"]
    assert "lateral view" in reasons["lateral"]
    assert "DICOM without pixel data" in reasons["no_pixels"]
    assert "PALETTE COLOR" in reasons["colour"]
    assert "cannot be read as DICOM" in reasons["broken.dcm"]
    assert "edema is '7'" in reasons["study1/IM0003.dcm"]
    assert "in labels.csv, but no such file" in reasons["lost.dcm"]
    assert "is named twice" in reasons["study1/IM0005"]
    assert len(reasons) == 9
    assert set(records_of(output)) == {f"study{i // 3}/IM{i:04d}" for i in range(24)} - {
        "study1/IM0003",
        "study1/IM0005",
    }
